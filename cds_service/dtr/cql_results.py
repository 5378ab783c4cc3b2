"""What a laboratory or imaging test says, in CQL: the results that count, their number, their word.

From the lab table alone; which window and which question is the caller's to say. A statement answers null where a
person must look: another unit, an implausible number, doubt in a note, two results of one day that differ.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal

from cds_service.dtr.cql_text import case, decimal, define, function, pattern, retrieved, string, strings
from cds_service.dtr.prefill import DOUBTFUL
from cds_service.policy.facts import Word
from cds_service.policy.value_sets import Code
from fhir_mappings.lab_file import Cutoff, LabTest
from fhir_mappings.labs import LabTable

_QUANTITY = "(O.value as FHIR.Quantity)"
COMPARATOR = f"{_QUANTITY}.comparator.value"

COMMON = (
    function(
        '"day of"(O Observation)',
        "date from Coalesce((O.effective as FHIR.dateTime).value, (O.effective as FHIR.instant).value)",
    ),
    function(
        '"counts"(O Observation)',
        "O.status.value in { 'final', 'amended', 'corrected' } and \"day of\"(O) on or before Today()",
    ),
    function(
        '"named"(concept FHIR.CodeableConcept, pattern String)',
        "Coalesce(Matches(Lower(concept.text.value), pattern), false)\n"
        "    or exists (concept.coding C where Matches(Lower(C.display.value), pattern))",
    ),
    function(
        '"in doubt"(O Observation, pattern String)',
        '"named"(O.code, pattern) or exists (O.note N where Matches(Lower(N.text.value), pattern))',
    ),
    function('"unit of"(Q FHIR.Quantity)', "Coalesce(Q.code.value, Q.unit.value)"),
    function(
        '"agreed"(numbers List<Decimal>)',
        "if Count(numbers) = Length(numbers) and Count(distinct numbers) = 1 then First(numbers) else null",
    ),
)


def codes_of(test: LabTest) -> tuple[Code, ...]:
    """The codes that name the test; of a number also those that only its unit bears out, for the unit is looked at."""
    partly = test.kind == "number"
    named = (code for code in test.codes if code.system == "loinc" and not code.panel)
    return tuple(code for code in named if code.status == "verified" or partly)


def number_of(test: LabTest, unit: str) -> str:
    """The number of the result `O` in `unit`."""
    own = test.factor(unit)
    divided = "" if own in (None, 1) else f" / {decimal(own or Decimal(1))}"
    return f'"{test.name} number"(O, {_QUANTITY}){divided}'


def results(test: LabTest, months: int | None, labs: LabTable) -> Iterator[str]:
    """`"<test>"`: final results of the window; `"<test> newest"`: those of the last day; how a number is read."""
    wanted = ['"counts"(O)']
    if months is not None:
        wanted.append(f'"day of"(O) on or after Today() - {months} months')
    if test.text.exclude:
        wanted.append(f'not "named"(O.code, {pattern(test.text.exclude)})')
    condition = "\n      and ".join(wanted)
    yield define(test.name, f"{retrieved('Observation', codes_of(test))} O\n    where {condition}")
    last = f'Max("{test.name}" X return "day of"(X))'
    yield define(f"{test.name} newest", f'"{test.name}" O where "day of"(O) = {last}')
    if test.units:
        yield from _numbers(test, labs)


def _numbers(test: LabTest, labs: LabTable) -> Iterator[str]:
    by_factor: dict[Decimal, list[str]] = {}
    for unit, factor in (*test.units.items(), *test.exact_units.items()):
        by_factor.setdefault(factor, []).append(unit)
    factors = [(f"unit in {strings(units)}", decimal(factor)) for factor, units in by_factor.items()]
    yield function(f'"{test.name} factor"(unit String)', case(factors))
    value = f'Q.value.value * "{test.name} factor"("unit of"(Q))'
    left = []
    if test.normal_high is not None:
        limit = f'R.high.value.value * "{test.name} factor"(Coalesce("unit of"(R.high), "unit of"(Q)))'
        inside = f"between {decimal(test.normal_high.low)} and {decimal(test.normal_high.high)}"
        left.append((f"exists (O.referenceRange R where not ({limit} {inside}))", "null"))
    rules = [rule for rule in labs.flags if rule.flag in DOUBTFUL and (not rule.tests or test.name in rule.tests)]
    if rules:
        left.append((f'"in doubt"(O, {pattern(one for rule in rules for one in rule.match)})', "null"))
    bounds = test.plausible
    kept = f"{value} between {decimal(bounds.low)} and {decimal(bounds.high)}" if bounds is not None else "true"
    yield function(f'"{test.name} number"(O Observation, Q FHIR.Quantity)', case([*left, (kept, value)]))


def coded_words(labs: LabTable) -> Iterator[str]:
    """`"word of"`: what codings say, negative, positive or unclear; null where no listed code is among them."""
    for name, words in (
        ("negative", {Word.NEGATIVE}),
        ("positive", {Word.POSITIVE}),
        ("otherwise", set(Word) - {Word.NEGATIVE, Word.POSITIVE}),
    ):
        yield function(f'"says {name}"(codings List<FHIR.Coding>)', _listed(labs, words))
    yield function(
        '"word of"(codings List<FHIR.Coding>)',
        case(
            [
                ('"says otherwise"(codings) or ("says negative"(codings) and "says positive"(codings))', "'unclear'"),
                ('"says negative"(codings)', "'negative'"),
                ('"says positive"(codings)', "'positive'"),
            ]
        ),
    )


def _listed(labs: LabTable, words: Iterable[Word]) -> str:
    by_system: dict[str, list[str]] = {}
    for rule in labs.words.rules:
        if rule.word in words:
            for code in rule.codes:
                by_system.setdefault(labs.systems.uri(code.system), []).append(code.code)
    tests = (f"C.system.value = '{uri}' and C.code.value in {strings(codes)}" for uri, codes in by_system.items())
    return "exists (codings C where " + "\n      or ".join(tests) + ")"


def word(test: LabTest) -> Iterator[str]:
    """`"<test> word"`: what the newest results say together; unclear where they differ, null where there is none."""
    coded = '"word of"((O.value as FHIR.CodeableConcept).coding)'
    value = coded if test.cutoff is None else f"Coalesce({coded}, {_word_of_number(test, test.cutoff)})"
    yield function(f'"{test.name} value"(O Observation)', value)
    value, said = f'"{test.name} value"(O)', '"word of"(flatten (O.interpretation I return I.coding))'
    yield function(
        f'"{test.name} word of"(O Observation)',
        "Coalesce("
        + case([("O.value is null", said), (f"{said} is null or {said} = {value}", value)])
        + ", 'unclear')",
    )
    words = f'"{test.name} newest" O return "{test.name} word of"(O)'  # a query drops what it has twice
    yield define(f"{test.name} words", words)
    several = f'if Count("{test.name} words") = 1 then First("{test.name} words") else \'unclear\''
    yield define(f"{test.name} word", f'if exists("{test.name} words") then ({several}) else null')


def _word_of_number(test: LabTest, cutoff: Cutoff) -> str:
    number, positive = number_of(test, test.unit), decimal(cutoff.positive)
    if cutoff.beyond:
        cases = [
            (f"{COMPARATOR} is null and {number} > {positive}", "'positive'"),
            (f"{COMPARATOR} is null and {number} = {positive}", "'negative'"),
        ]
    else:
        limit = f"First(O.referenceRange R where R.high.value.value <= {positive} return R.high.value.value)"
        least = limit if cutoff.negative is None else f"Coalesce({limit}, {decimal(cutoff.negative)})"
        cases = [
            (f"({COMPARATOR} is null or {COMPARATOR} in {{ '>', '>=' }}) and {number} >= {positive}", "'positive'"),
            (f"{COMPARATOR} = {string('<')} and {number} <= {positive}", "'negative'"),
            (f"{COMPARATOR} is null and {number} < {least}", "'negative'"),
        ]
    return "(" + case(cases) + ")"
