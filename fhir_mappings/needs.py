"""What a policy asks of a record, and one order's facts as that policy sees them."""

from collections.abc import Iterable

from msgspec.structs import replace

from cds_service.policy.compiled import CompiledPolicy
from cds_service.policy.dates import months_before
from cds_service.policy.facts import NO_NAMES, Facts, Names, Result
from fhir_mappings.answered import answered_results, in_the_words_of
from fhir_mappings.asked import Asked, Needs, Wanted
from fhir_mappings.chart import Chart
from fhir_mappings.infancy import with_infancy
from fhir_mappings.labs import LabTable

# Everything that some criterion can be judged by; all of it is read in one parallel round.
EVERYTHING = frozenset(
    {
        "CareTeam",
        "ChargeItem",
        "Claim",
        "Condition",
        "Coverage",
        "DiagnosticReport",
        "DocumentReference",
        "Encounter",
        "Medication",
        "MedicationAdministration",
        "MedicationDispense",
        "MedicationRequest",
        "MedicationStatement",
        "Observation",
        "Organization",
        "Patient",
        "Practitioner",
        "PractitionerRole",
        "Procedure",
        "QuestionnaireResponse",
        "ServiceRequest",
    }
)
_BILLS = frozenset({"ChargeItem", "Claim"})
# What is needed of an order that no policy governs: whom to say so to.
COVERAGE_ALONE = frozenset({"Coverage", "Organization"})

_LATEST = 5  # results of a test of which the newest decides
_HISTORY = 100  # results of a test of which any can decide


def needs_of(policies: Iterable[CompiledPolicy], asked: Asked) -> Needs:
    """The union of what the policies ask for. Without policies: the coverage alone."""
    tests: dict[str, Wanted] = {}
    names: list[str] = []
    together: dict[str, str] = {}
    billed: Names = NO_NAMES
    for policy in policies:
        billed |= policy.billed
        names.append(f"Questionnaire/{policy.source.questionnaire}")
        for test, months in policy.tests.items():
            any_date = months is None or (test in tests and tests[test].since is None)
            since = None if any_date or months is None else months_before(asked.day, months)
            tests[test] = Wanted(_HISTORY if any_date else _LATEST, since)
        together.update(policy.together)
    types = (EVERYTHING if billed else EVERYTHING - _BILLS) if names else COVERAGE_ALONE
    return Needs(tests, types, tuple(names), billed, together)


def facts_for(policy: CompiledPolicy, chart: Chart, labs: LabTable) -> Facts:
    """The chart's facts with the form's laboratory answers among the results, and nothing broken passed over.

    A resource that could not be read may hide a fact, so its source counts as not read.
    """
    facts = chart.facts
    answers = in_the_words_of(policy.questions, facts.answers)
    answered = answered_results(policy.laboratory_questions, answers, chart.quantities, labs)
    results = facts.results
    if answered:
        merged: dict[str, tuple[Result, ...]] = dict(results)
        for result in answered:
            merged[result.test] = (*merged.get(result.test, ()), result)
        results = merged
    results = with_infancy(results, facts.person.birth if facts.person is not None else None, labs)
    unread = facts.unread | chart.broken.keys() if chart.broken else facts.unread
    return replace(facts, answers=answers, results=results, unread=unread)
