"""The one way from a hook call to facts: `gather`. Prefetch first, then one parallel round of reads, then the mappings.

`gather` is `collect`, which does all the reading, and `chart_of` for each order, which does none.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from cds_service.policy.dates import day_span
from cds_service.policy.facts import NO_NAMES, Facts, Result
from fhir_mappings.asked import Asked, Needs, Reader, users
from fhir_mappings.bills import read_bills
from fhir_mappings.codes import CodeIndex
from fhir_mappings.condition import read_conditions, read_reasons
from fhir_mappings.coverage import CoverageChoice, choose_coverage
from fhir_mappings.diagnostic_report import read_report
from fhir_mappings.document import read_notes
from fhir_mappings.labs import LabTable
from fhir_mappings.medication import read_treatments
from fhir_mappings.observation import read_observation
from fhir_mappings.order import is_unidentified, read_order, unread_product
from fhir_mappings.patient import read_patient
from fhir_mappings.practitioner import read_clinicians
from fhir_mappings.prefetch import Prefetched, read_prefetch
from fhir_mappings.queries import Failure
from fhir_mappings.questionnaire_response import read_answers
from fhir_mappings.reads import Reads
from fhir_mappings.record import Record
from fhir_mappings.references import Json, children, own_reference, word
from fhir_mappings.result_values import NO_RESULTS, doubted
from fhir_mappings.servers import Server, base_of


class Vocabulary(Struct, frozen=True):
    """By what codes, words and units the record is understood, and where the plan's own forms live."""

    codes: CodeIndex
    labs: LabTable
    public_url: str  # CDS_PUBLIC_URL


class Chart(Struct, frozen=True):
    """What is known for one order: the facts, and beside them what only the answer's form needs."""

    facts: Facts
    coverage: CoverageChoice
    patient: Json | None  # as it came
    quantities: Mapping[str, Json]  # linkId → Quantity of an answer as it came, with its unit
    ordered: tuple[Json, ...]  # active ServiceRequests of this patient as they came
    broken: Mapping[str, tuple[str, ...]]  # source → references of what could not be read
    failures: Mapping[str, Failure]  # what was asked of the server → why it is not there
    unidentified: bool = False  # nothing tells which drug it orders


def gather(
    needs: Needs,
    asked: Asked,
    vocabulary: Vocabulary,
    reader: Reader | None = None,
    server: Server | None = None,
    deadline: float = 0.0,
) -> tuple[Chart, ...]:
    """One chart for each of the call's orders, read by `deadline` (monotonic seconds).

    Without `server`, which must be one that may be called, what the call did not send is unread.
    """
    record = collect(needs, asked, vocabulary, reader, server, deadline)
    return tuple(chart_of(record, order, needs, asked, vocabulary) for order in asked.orders)


def collect(
    needs: Needs,
    asked: Asked,
    vocabulary: Vocabulary,
    reader: Reader | None = None,
    server: Server | None = None,
    deadline: float = 0.0,
) -> Record:
    """Everything of this patient that was sent or could be read."""
    sent = open_record(asked, server)
    complete_record(sent, needs, asked, vocabulary, reader, server, deadline)
    return sent.record


class Sent(NamedTuple):
    """What the call itself brought."""

    record: Record
    prefetched: Prefetched


def open_record(asked: Asked, server: Server | None = None) -> Sent:
    """What was sent, before anything is read."""
    prefetched = read_prefetch(asked.prefetch)
    base = server.base if server is not None else base_of(asked.fhir_server) or prefetched.base
    return Sent(Record(asked.patient_id, base, asked.drafts, prefetched, asked.beside), prefetched)


def complete_record(
    sent: Sent,
    needs: Needs,
    asked: Asked,
    vocabulary: Vocabulary,
    reader: Reader | None = None,
    server: Server | None = None,
    deadline: float = 0.0,
) -> None:
    """Reads what is missing into the record, by `deadline` (monotonic seconds)."""
    reads = Reads(needs, asked, sent.record, sent.prefetched, vocabulary.codes)
    reads.complete(vocabulary.labs, reader, server, deadline)


def chart_of(
    record: Record, order: Json, needs: Needs, asked: Asked, vocabulary: Vocabulary, day: date | None = None
) -> Chart:
    """The facts for one order, on `day` where it has another than the call."""
    codes, on = vocabulary.codes, day or asked.day
    read = read_order(order, record, codes)
    coverage = choose_coverage(record, order, codes, day_span(on))
    canonicals = [f"{vocabulary.public_url}/fhir/{name}" for name in needs.questionnaires]
    answers = read_answers(record, canonicals, needs.together)
    person = read_patient(record)
    results = _results(record, needs, vocabulary.labs)
    diagnoses = read_conditions(record, codes) + read_reasons(order, read.reference, record, codes)
    treatments = read_treatments(record, codes) + read_bills(record, codes, on)
    clinicians = tuple(read_clinicians(record, order, users(asked), codes, day_span(on)))
    notes = read_notes(record, codes)
    unread = frozenset(record.unread | ({"order"} if unread_product(order, record) else NO_NAMES))
    facts = Facts(
        day=on,
        order=read,
        person=person,
        plan=coverage.plan,
        results=results,
        diagnoses=diagnoses,
        treatments=treatments,
        clinicians=clinicians,
        notes=notes,
        answers=answers.by_link,
        unread=unread,
    )
    return Chart(
        facts,
        coverage,
        record.at(record.patient),
        answers.quantities,
        tuple(request for request in record.of("ServiceRequest") if word(request, "status") == "active"),
        {source: tuple(dict.fromkeys(names)) for source, names in record.broken.items()},
        dict(record.failures),
        is_unidentified(order, read.products, record, codes),
    )


def outline_of(record: Record, order: Json, asked: Asked, vocabulary: Vocabulary, day: date | None = None) -> Chart:
    """The chart of an order for a drug that no policy knows: the order, its Coverage and the patient; nothing else."""
    on = day or asked.day
    coverage = choose_coverage(record, order, vocabulary.codes, day_span(on))
    facts = Facts(
        day=on,
        order=read_order(order, record, vocabulary.codes),
        person=read_patient(record),
        plan=coverage.plan,
        results={},
        diagnoses=(),
        treatments=(),
        clinicians=(),
        notes=(),
        answers={},
        unread=frozenset(record.unread),
    )
    unidentified = is_unidentified(order, facts.order.products, record, vocabulary.codes)
    return Chart(facts, coverage, record.at(record.patient), {}, (), {}, dict(record.failures), unidentified)


def _results(record: Record, needs: Needs, labs: LabTable) -> dict[str, tuple[Result, ...]]:
    """The results of the tests asked for, newest first; undated ones last."""
    found: dict[str, list[Result]] = {test: [] for test in needs.tests}
    for resource in record.of("Observation"):
        for result in read_observation(resource, labs):
            if result.test in found:
                found[result.test].append(result)
    for resource in record.of("DiagnosticReport"):
        for result in (*read_report(resource, labs), *_contained(resource, labs)):
            if result.test in found:
                found[result.test].append(result)
    for resource, why in record.doubtful:
        read = {"Observation": read_observation, "DiagnosticReport": read_report}.get(word(resource, "resourceType"))
        for result in read(resource, labs) if read is not None else ():
            if result.test in found:
                title = labs.test(result.test).title
                found[result.test].append(doubted(result, f"{title}: a result that {why}"))
    for results in found.values():
        results.sort(key=_age, reverse=True)
    return {test: tuple(results) for test, results in found.items()}


def _contained(report: Json, labs: LabTable) -> Iterator[Result]:
    """The results that stand within the report as contained Observations, of which no search tells."""
    if word(report, "status") in NO_RESULTS:
        return
    for inner in children(report, "contained"):
        if word(inner, "resourceType") == "Observation":
            place = f"{own_reference(report) or 'DiagnosticReport'}#{word(inner, 'id')}"
            yield from (replace(result, reference=place) for result in read_observation(inner, labs))


def _age(result: Result) -> tuple[date, str]:
    """Newest first; of one day the order does not hang on how the results came."""
    return (result.date.last if result.date is not None else date.min), result.reference
