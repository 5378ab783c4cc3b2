"""A DTR client that runs the served library fills in what this service would, and never anything else."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from signing import GOVERNED, TODAY

from cds_service.demo.stories import Story
from cds_service.dtr.forms import Form
from cds_service.dtr.prefill_library import to_compile
from elm import node
from hooks.service import Service
from hooks.wire import decode, encode

Json = dict[str, Any]
DRUGS = ("hemgenix", "roctavian")


def chart_of(story: Story) -> tuple[str, list[Json], Json]:
    """The story's chart."""
    return story.id, [deepcopy(one) for one in story.resources], deepcopy(story.order)


@pytest.mark.parametrize("drug", DRUGS)
def test_the_elm_is_of_the_cql(service: Service, forms: dict[str, Form], drug: str) -> None:
    """Translated anew, it is the file that is served."""
    wanted = to_compile(forms[drug].policy, service.library, service.vocabulary.labs)
    assert wanted is not None
    assert service.library.folder is not None
    file = service.library.folder / f"pharmacy-109/{drug}/2025-11-20.elm.json"
    assert node.translated(wanted.text).strip() == file.read_text(encoding="utf-8").strip()


@pytest.fixture(scope="session")
def told(theirs: Callable[..., Any]) -> dict[str, Json]:
    """What a client fills in for each demo patient."""
    found: dict[str, Json] = {}
    for drug in DRUGS:
        found |= theirs(drug, [chart_of(story) for story in GOVERNED if story.drug == drug])
    return found


@pytest.mark.parametrize("story", GOVERNED, ids=lambda story: story.id)
def test_both_fill_in_the_same_for_a_demo_patient(story: Story, told: dict[str, Json], ours: Any) -> None:
    """Every item that the library answers, and no other."""
    assert told[story.id] == ours(story.drug, chart_of(story))


def test_the_demo_patients_show_what_the_library_can_do(told: dict[str, Json]) -> None:
    """Numbers, words, diagnoses and days are filled in somewhere."""
    filled = {link for answers in told.values() for link in answers}
    assert filled >= {"q.dx", "q.lth", "q.baseline", "q.baseline.below", "q.baseline.date", "q.inhibitor", "q.hbv"}
    assert filled >= {"q.hiv", "q.hiv.date", "q.platelets", "q.platelets.date", "q.liver", "q.liver.date"}


# One chart, changed in one thing at a time


def _platelets(**members: Any) -> Callable[[list[Json]], None]:
    def change(record: list[Json]) -> None:
        found = next(one for one in record if one["id"].endswith("-platelets"))
        found.update(deepcopy(members))

    return change


def _beside(suffix: str, **members: Any) -> Callable[[list[Json]], None]:
    def change(record: list[Json]) -> None:
        found = next(one for one in record if one["id"].endswith(suffix))
        record.append({**deepcopy(found), "id": f"{found['id']}-2", **deepcopy(members)})

    return change


def _changed(suffix: str, **members: Any) -> Callable[[list[Json]], None]:
    def change(record: list[Json]) -> None:
        next(one for one in record if one["id"].endswith(suffix)).update(deepcopy(members))

    return change


def quantity(value: float, unit: str, **members: Any) -> Json:
    """A UCUM quantity."""
    return {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit, **members}


def coded(code: str, display: str) -> Json:
    """A SNOMED CT concept."""
    return {"coding": [{"system": "http://snomed.info/sct", "code": code, "display": display}], "text": display}


NEWER = {"effectiveDateTime": f"{TODAY.isoformat()}T08:00:00-05:00"}
SAID = {"interpretation": None}
VERIFIED = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
CHANGES: dict[str, tuple[Callable[[list[Json]], None], str, Any]] = {
    # what is changed, which item to look at, what the library then says
    "another unit": (
        _platelets(valueQuantity=quantity(212000, "/uL"), referenceRange=[]), "q.platelets", (212.0, "10*9/L")
    ),
    "an unknown unit": (_platelets(valueQuantity=quantity(212, "mg/dL")), "q.platelets", None),
    "no unit": (_platelets(valueQuantity={"value": 212}), "q.platelets", None),
    "a slip of the decimal point": (_platelets(valueQuantity=quantity(212000, "10*9/L")), "q.platelets", None),
    "a comparator": (_platelets(valueQuantity=quantity(212, "10*9/L", comparator=">")), "q.platelets", None),
    "clumps": (_platelets(note=[{"text": "Platelet Clumps seen"}]), "q.platelets", None),
    "a range of another unit": (
        _platelets(referenceRange=[{"high": quantity(4.5, "10*9/L")}]), "q.platelets", None
    ),
    "preliminary": (_platelets(status="preliminary"), "q.platelets", None),
    "entered in error": (_platelets(status="entered-in-error"), "q.platelets", None),
    "of tomorrow": (_platelets(effectiveDateTime="2026-11-25"), "q.platelets", None),
    "of the last day": (_platelets(effectiveDateTime="2026-08-24"), "q.platelets.date", "2026-08-24"),
    "a day too old": (_platelets(effectiveDateTime="2026-08-23"), "q.platelets", None),
    "of some day of the month": (_platelets(effectiveDateTime="2026-11"), "q.platelets", None),
    "another test by its name": (
        _platelets(code={**coded("1", "x"), "coding": [{"system": "http://loinc.org", "code": "777-3"}],
                         "text": "Mean platelet volume"}), "q.platelets", None,
    ),
    "a newer one": (
        _beside("-platelets", valueQuantity=quantity(180, "10*9/L"), **NEWER), "q.platelets", (180.0, "10*9/L")
    ),
    "a newer one that cannot be read": (
        _beside("-platelets", valueQuantity=quantity(180, "mg/dL"), **NEWER), "q.platelets", None
    ),
    "two of one day": (_beside("-platelets", valueQuantity=quantity(30, "10*9/L")), "q.platelets", None),
    "a lower level on treatment": (
        _beside("-trough", valueQuantity=quantity(0.5, "%")), "q.baseline", (0.5, "%")
    ),
    "a level of a newborn": (
        _beside("-trough", valueQuantity=quantity(0.5, "%"), note=[{"text": "Cord blood"}]), "q.baseline", (1.0, "%")
    ),
    "a positive word": (
        _changed("-hbsag", valueCodeableConcept=coded("10828004", "Positive"), **SAID), "q.hbv", "active"
    ),
    "a reactive screen": (
        _changed("-hiv", valueCodeableConcept=coded("11214006", "Reactive"), **SAID), "q.hiv", None
    ),
    "a word and an interpretation that differ": (
        _changed("-hbsag", valueCodeableConcept=coded("10828004", "Positive")), "q.hbv", None
    ),
    "a word without a code": (
        _changed("-hbsag", valueCodeableConcept={"text": "probably"}, **SAID), "q.hbv", None
    ),
    "an inhibitor": (_changed("-inhibitor", valueQuantity=quantity(0.6, "[beth'U]")), "q.inhibitor", "positive"),
    "between the limits": (_changed("-inhibitor", valueQuantity=quantity(0.55, "[beth'U]")), "q.inhibitor", None),
    "at the laboratory's limit": (_changed("-inhibitor", valueQuantity=quantity(0.5, "[beth'U]")), "q.inhibitor", None),
    "below it": (_changed("-inhibitor", valueQuantity=quantity(0.3, "[beth'U]")), "q.inhibitor", "negative"),
    "a suspected diagnosis": (
        _changed("-hemophilia-b", verificationStatus={"coding": [{"system": VERIFIED, "code": "provisional"}]}),
        "q.dx", None,
    ),
    "a refuted diagnosis": (
        _changed("-hemophilia-b", verificationStatus={"coding": [{"system": VERIFIED, "code": "refuted"}]}),
        "q.dx", None,
    ),
    "a carrier": (_changed("-hemophilia-b", code={**coded("41788008", "Hemophilia B Carrier")}), "q.dx", None),
    "both hemophilias": (
        _beside("-hemophilia-b", code=coded("28293008", "Hereditary factor VIII deficiency disease")), "q.dx", None
    ),
}  # fmt: skip


@pytest.fixture(scope="session")
def varied(theirs: Callable[..., Any]) -> dict[str, tuple[tuple[str, list[Json], Json], Json]]:
    """Each changed chart, and what a client fills in from it."""
    charts = {}
    for number, (name, (change, _, _)) in enumerate(CHANGES.items()):
        story = next(found for found in GOVERNED if found.id == "demo-hemgenix-met")
        patient, record, order = chart_of(story)
        order.pop("reasonCode", None)
        order.pop("reasonReference", None)
        change(record)
        record = [{key: value for key, value in one.items() if value is not None} for one in record]
        charts[name] = _renamed((patient, record, order), f"changed-{number}")
    found = theirs("hemgenix", list(charts.values()))
    return {name: (chart, found[chart[0]]) for name, chart in charts.items()}


def _renamed(chart: tuple[str, list[Json], Json], new: str) -> tuple[str, list[Json], Json]:
    old, record, order = chart
    text = encode([record, order]).replace(old.encode(), new.encode())
    again = decode(text)
    return new, again[0], again[1]


@pytest.mark.parametrize("name", CHANGES)
def test_the_library_says_so_of_a_changed_chart(name: str, varied: Any) -> None:
    """Null where a person must look."""
    _, link, said = CHANGES[name]
    assert varied[name][1].get(link) == said


@pytest.mark.parametrize("name", CHANGES)
def test_the_library_never_says_anything_else_than_this_service(name: str, varied: Any, ours: Any) -> None:
    """It may leave open what the service tells; it never differs."""
    chart, found = varied[name]
    known = ours("hemgenix", chart)
    assert {link: known.get(link) for link in found} == found
