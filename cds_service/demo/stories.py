"""The stories of the demo: each a patient's chart, a draft order, and the answer that it should get."""

from collections.abc import Mapping
from datetime import date
from typing import TypeVar

from msgspec import Struct

from cds_service.demo import treatments
from cds_service.demo.charts import Chart, moment
from cds_service.demo.directory import PRESCRIBER, directory
from cds_service.demo.outcomes import Resource
from cds_service.demo.samples import SAMPLES, Sample
from cds_service.demo.store import Store
from cds_service.demo.usual import USUAL_ANSWERS, USUAL_RESULTS, Answer, Result

T = TypeVar("T")

POLICY_VERSION = "2025-11-20"
_SCREENS = ("hbsag", "anti-hbc", "anti-hcv", "hiv")
_DIAGNOSES = {"congenital-a": "Congenital hemophilia A", "congenital-b": "Congenital hemophilia B"}


class Story(Struct, frozen=True):
    """One patient. `resources` is the chart; `order` is the draft that is signed, and is not in the chart."""

    id: str  # of the story and of the patient
    title: str
    text: str
    drug: str
    expected_outcome: str | None  # None: not governed by a policy here, so no card
    resources: tuple[Resource, ...]
    order: Resource
    failing: tuple[str, ...] = ()  # resource types whose searches for this patient answer 500


def stories(today: date, public_url: str) -> tuple[Story, ...]:
    """All stories as of `today`; `public_url` is the base of the plan's form that the charts have answers to."""
    return tuple(_story(sample, today, public_url.rstrip("/")) for sample in SAMPLES)


def load(store: Store, told: tuple[Story, ...]) -> None:
    """Replaces what is in the store by these stories' charts and failures."""
    resources = {(resource["resourceType"], resource["id"]): resource for story in told for resource in story.resources}
    failing = [(resource_type, story.id) for story in told for resource_type in story.failing]
    store.reset(resources.values(), failing)


def _story(sample: Sample, today: date, public_url: str) -> Story:
    chart = Chart(sample.id, today)
    problem = treatments.problem_of(sample.drug)
    chart.patient(sample.given, sample.years)
    chart.coverage(sample.plan)
    chart.encounter()
    _problems(chart, sample, problem)
    _results(chart, sample)
    if sample.on_demand:
        treatments.on_demand(chart, problem, months=40)
    else:
        treatments.prophylaxis(chart, problem, months=70)
    if sample.had_gene_therapy:
        treatments.earlier_gene_therapy(chart, sample.drug, dose_ml=156)
    _documents(chart, problem)
    if sample.drug in treatments.GENE_THERAPIES:
        answers = _laid_over(USUAL_ANSWERS[sample.drug], sample.answers)
        form = f"{public_url}/fhir/Questionnaire/pharmacy-109-{sample.drug}|{POLICY_VERSION}"
        chart.add(_form_answers(chart, form, answers))
        order = treatments.gene_therapy_order(chart, sample.drug, sample.weight, sample.drug_by_reference)
    else:
        order = treatments.factor_order(chart, sample.drug)
    resources = (*directory(), *chart.resources)
    return Story(
        sample.id, sample.title, sample.text, sample.drug, sample.expected_outcome, resources, order, sample.failing
    )


def _laid_over(usual: Mapping[str, T], own: Mapping[str, T | None]) -> dict[str, T]:
    return {name: value for name, value in {**usual, **own}.items() if value is not None}


def _problems(chart: Chart, sample: Sample, problem: str) -> None:
    chart.problem(problem, months=12 * min(sample.years - 1, 30))
    chart.problem("brain-bleed", months=48, resolved=True)
    chart.problem("knee-bleed", months=7, resolved=True)
    for other in sample.problems:
        chart.problem(other, months=25)


def _results(chart: Chart, sample: Sample) -> None:
    results: dict[str, Result] = _laid_over(USUAL_RESULTS.get(sample.drug, {}), sample.results)
    references = {name: chart.result(name, result) for name, result in results.items()}
    chart.result("weight", Result("weight", sample.weight, days=6))
    screens = [references[name] for name in _SCREENS if name in references]
    if screens:
        chart.screening_report(screens, results["hbsag"].days)
    if "liver" in results:
        chart.elastography(results["liver"], references["liver"])


def _documents(chart: Chart, problem: str) -> None:
    kind = "B" if problem == "hemophilia-b" else "A"
    chart.note(
        "consult",
        "Hematology consult note",
        f"Consultation at Example Hemophilia Treatment Center. Congenital hemophilia {kind}. "
        "Treatment options were discussed with the patient. Plan: see the order of this visit.",
        months=1,
    )
    chart.note(
        "bleed-log",
        "Infusion and bleed log",
        "Log kept by the patient at home, last 12 months. Reviewed at the center.",
        months=2,
    )


def _form_answers(chart: Chart, form: str, answers: Mapping[str, Answer]) -> Resource:
    items = [{"linkId": link_id, "answer": [_answer(link_id, value)]} for link_id, value in answers.items()]
    return {
        "resourceType": "QuestionnaireResponse",
        "id": f"{chart.id}-form",
        "meta": {"profile": ["http://hl7.org/fhir/us/core/StructureDefinition/us-core-questionnaireresponse"]},
        "questionnaire": form,
        "status": "completed",
        "subject": chart.me,
        "authored": moment(chart.ago(days=5)),
        "author": PRESCRIBER,
        "item": items,
    }


def _answer(link_id: str, value: Answer) -> Resource:
    if isinstance(value, bool):
        return {"valueBoolean": value}
    if isinstance(value, int):
        return {"valueInteger": value}
    if link_id == "q.dx":
        return {"valueCoding": {"code": value, "display": _DIAGNOSES[value]}}
    return {"valueString": value}
