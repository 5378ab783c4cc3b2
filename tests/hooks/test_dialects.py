"""The same facts, told to a caller of CRD 2.2, of 2.0.1 and of CDS Hooks alone."""

import time
from collections.abc import Mapping
from copy import deepcopy
from datetime import date
from typing import Any

import pytest
from crd_rules import broken_rules
from flask.testing import FlaskClient
from msgspec.structs import replace
from signing import (
    BY_ID,
    EXTENSION,
    GOVERNED,
    Ehr,
    Json,
    guidance,
    order_of,
    parts_of,
    said_of,
    stated,
    updated,
    without,
)

from cds_service.app import create_app
from cds_service.demo.stories import Story
from cds_service.settings import Settings
from hooks import order_sign
from hooks.answer import answer
from hooks.book import Entry, Receipt
from hooks.call import parse_call
from hooks.coverages import Plans
from hooks.plans import Enrolment, Member
from hooks.service import Caller, Moment, Service
from hooks.wire import decode, encode

DIALECTS = ("2.2", "2.0.1", "plain")
RULES = {"2.2": "2.2", "plain": "2.2", "2.0.1": "2.0.1"}
EVERY_DIALECT = pytest.mark.parametrize("dialect", DIALECTS)
MET = BY_ID["demo-hemgenix-met"]
FORM = "https://plan.example/fhir/Questionnaire/pharmacy-109-{}|2025-11-20"
COVERED = {"covered": "covered", "pa-needed": "auth-needed"}
CONDITIONAL = {"covered": "conditional", "info-needed": "OTH"}
OLD_CONDITIONAL = {"covered": "conditional", "pa-needed": "conditional", "info-needed": "OTH"}
TECHNICAL = {"covered": "indeterminate", "pa-needed": "indeterminate", "doc-needed": "indeterminate"}
ASKED = {**COVERED, "doc-needed": "clinical", "doc-purpose": "withpa"}
NOT_COVERED = {"covered": "not-covered"}
OLD_NOT_COVERED = {"covered": "not-covered", "pa-needed": "no-auth"}
CODES = ("covered", "pa-needed", "doc-needed", "doc-purpose", "info-needed")


@pytest.fixture(scope="session")
def apps(settings: Settings) -> Mapping[str, FlaskClient]:
    """A client of a service whose callers speak each dialect."""
    return {
        dialect: create_app(settings.model_copy(update={"default_dialect": dialect})).test_client()
        for dialect in DIALECTS
    }


@pytest.fixture
def ehrs(apps: Mapping[str, FlaskClient], ehr: Ehr) -> dict[str, Ehr]:
    """An EHR of each dialect."""
    return {dialect: Ehr(client, ehr.templates) for dialect, client in apps.items()}


def codes(said: Json) -> Json:
    """The five codes of an assertion, each of which is said once or not at all."""
    assert all(len(said[name]) == 1 for name in CODES if name in said)
    return {name: said[name][0] for name in CODES if name in said}


@pytest.mark.conformance("resp-14", "resp-38", "resp-43")
@pytest.mark.parametrize(
    ("outcome", "new", "old"),
    [
        ("criteria-met", COVERED, COVERED),
        ("documentation-missing", ASKED, ASKED),
        ("needs-review", COVERED, COVERED),
        ("criteria-not-met", COVERED, COVERED),
        ("undetermined", TECHNICAL, OLD_CONDITIONAL),
        ("policy-not-applicable", CONDITIONAL, OLD_CONDITIONAL),
        (None, CONDITIONAL, OLD_CONDITIONAL),
    ],
)
@EVERY_DIALECT
def test_each_outcome_has_its_codes(
    dialect: str, outcome: str | None, new: Json, old: Json, ehrs: dict[str, Ehr]
) -> None:
    """No code more and none less, and the reason in words."""
    story = next(story for story in BY_ID.values() if story.expected_outcome == outcome)
    said = said_of(ehrs[dialect].sign(story))
    assert codes(said) == (old if dialect == "2.0.1" else new)
    (reason,) = said["reason"]
    assert reason["text"]
    assert ("coding" in reason) == (outcome == "undetermined" and dialect != "2.0.1")
    asked = [FORM.format(story.drug)] if outcome == "documentation-missing" else None
    assert said.get("questionnaire") == asked


@pytest.mark.conformance("resp-30", "impl-5", "resp-52", "resp-13")
@pytest.mark.parametrize("story", GOVERNED, ids=[story.id for story in GOVERNED])
@EVERY_DIALECT
def test_every_answer_keeps_the_rules_of_its_version(dialect: str, story: Story, ehrs: dict[str, Ehr]) -> None:
    """Children, types, codes and invariants, by a checker that does not know our code."""
    found = ehrs[dialect].sign(story)
    for resource in updated(found):
        for extension in resource["extension"]:
            if extension["url"] == EXTENSION:
                assert broken_rules(extension, RULES[dialect]) == []


@pytest.mark.parametrize("story", BY_ID.values(), ids=BY_ID.keys())
def test_2_0_1_never_has_what_came_later(story: Story, ehrs: dict[str, Ehr]) -> None:
    """Neither `indeterminate`, nor ContactDetail, category, expiry-date, policy-link or coded reasons."""
    found = ehrs["2.0.1"].sign(story)
    written = encode(found["systemActions"]).decode()
    later = (
        "indeterminate",
        "ContactDetail",
        "expiry-date",
        "policy-link",
        "valueUrl",
        "crd-coverage-detail",
        "technical",
    )
    assert not [word for word in later if word in written]
    assert "cdshooks-card-type" not in encode(found["cards"]).decode()
    for extension in _extensions(found):
        for detail in parts_of(extension).get("detail", []):
            assert "category" not in detail


def _extensions(found: Json) -> list[Json]:
    return [
        extension for resource in updated(found) for extension in resource["extension"] if extension["url"] == EXTENSION
    ]


@pytest.mark.parametrize("dialect", ["2.2", "plain"])
def test_details_have_their_category(dialect: str, ehrs: dict[str, Ehr]) -> None:
    """Mandatory since 2.2: limitations, and the policy's page beside them."""
    details = said_of(ehrs[dialect].sign(MET))["detail"]
    found = {detail["code"][0]["coding"][0]["code"]: detail["category"] for detail in details}
    assert found == {
        "allowed-quantity": ["cat-limitation"],
        "allowed-period": ["cat-limitation"],
        "policy-link": ["cat-other"],
    }


@pytest.mark.conformance("resp-5")
@EVERY_DIALECT
def test_the_topic_is_of_the_dialects_code_system(dialect: str, ehrs: dict[str, Ehr]) -> None:
    """With code and system on every card, and never the topic of coverage-information."""
    old = "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp"
    new = "http://terminology.hl7.org/CodeSystem/cdshooks-card-type"
    for story in BY_ID.values():
        for card in ehrs[dialect].sign(story)["cards"]:
            topic = card["source"]["topic"]
            assert topic["system"] == (old if dialect == "2.0.1" else new)
            assert topic["code"] in ("guideline", "clinical-reminder", "claim")


@pytest.mark.conformance("dev-25", "dev-24")
@EVERY_DIALECT
def test_the_associated_resource_has_the_dialects_shape(dialect: str, ehrs: dict[str, Ehr]) -> None:
    """Text in 2.0.1, a Reference since 2.2."""
    card = guidance(ehrs[dialect].sign(MET))
    name = f"MedicationRequest/{MET.order['id']}"
    expected = [name] if dialect == "2.0.1" else [{"reference": name}]
    assert card["extension"]["davinci-crd.associated-resource"] == expected


@pytest.mark.parametrize("story", BY_ID.values(), ids=BY_ID.keys())
def test_the_facts_are_the_same_in_each_dialect(story: Story, ehrs: dict[str, Ehr]) -> None:
    """The same words on the cards, the same determination, and the same assertion id."""
    answers = [ehr.sign(story) for ehr in ehrs.values()]
    words = [
        [(card["summary"], card["detail"], card["extension"].get("drug-coverage.determination")) for card in a["cards"]]
        for a in answers
    ]
    assert words[0] == words[1] == words[2]
    ids = [said_of(found)["coverage-assertion-id"] for found in answers]
    assert ids[0] == ids[1] == ids[2]


@pytest.mark.conformance("resp-36")
@EVERY_DIALECT
def test_the_same_facts_have_the_same_id(dialect: str, ehrs: dict[str, Ehr]) -> None:
    """Asked twice, nothing is different but the ids of the cards."""
    one, two = (ehrs[dialect].sign(MET) for _ in range(2))
    assert one["systemActions"] == two["systemActions"]


# Several coverages


def _two_coverages() -> Story:
    (coverage,) = (resource for resource in MET.resources if resource["resourceType"] == "Coverage")
    copies = [{**deepcopy(coverage), "id": name} for name in ("c1", "c2")]
    return replace(MET, resources=(*without(MET.resources, "Coverage"), *copies))


def _under(name: str, order: str) -> Json:
    return order_of(MET.id, id=order, insurance=[{"reference": f"Coverage/{name}"}])


@pytest.mark.conformance("resp-32")
@EVERY_DIALECT
def test_two_orders_under_two_coverages_have_two_ids(dialect: str, ehrs: dict[str, Ehr]) -> None:
    """Each says which coverage it speaks of."""
    found = updated(ehrs[dialect].sign(_two_coverages(), _under("c1", "a"), _under("c2", "b")))
    said = [stated(resource)[0] for resource in found]
    assert [one["coverage"] for one in said] == [[{"reference": "Coverage/c1"}], [{"reference": "Coverage/c2"}]]
    assert said[0]["coverage-assertion-id"] != said[1]["coverage-assertion-id"]


@pytest.mark.conformance("resp-32", "resp-33", "covinfo-1")
@EVERY_DIALECT
def test_one_order_under_two_coverages_has_two_ids(dialect: str, ehrs: dict[str, Ehr]) -> None:
    """Answered under one and then under the other, it carries both, and one assertion on each."""
    (once,) = updated(ehrs[dialect].sign(_two_coverages(), _under("c1", "a")))
    moved = {**once, "insurance": [{"reference": "Coverage/c2"}]}
    (twice,) = updated(ehrs[dialect].sign(_two_coverages(), moved))
    first, second = stated(twice)
    assert (first["coverage"], second["coverage"]) == ([{"reference": "Coverage/c1"}], [{"reference": "Coverage/c2"}])
    assert first["coverage-assertion-id"] != second["coverage-assertion-id"]


# Which dialect


@pytest.mark.parametrize(("registered", "requested"), [("2.0.1", "2.2"), ("plain", "2.2")])
def test_the_version_in_the_call_stands_above_the_registration(
    registered: Any, requested: str, service: Service, ehr: Ehr
) -> None:
    """A caller that declares 2.2 is answered in 2.2."""
    extension = {"davinci-crd.requestedVersion": requested}
    found = _line(service, ehr.call(MET, extension=extension), Caller(dialect=registered))
    assert _topic(found).startswith("http://terminology.hl7.org")


def test_the_registration_stands_above_the_default(service: Service, ehr: Ehr) -> None:
    """A caller registered for 2.0.1 is answered in 2.0.1."""
    found = _line(service, ehr.call(MET), Caller(dialect="2.0.1"))
    assert _topic(found) == "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp"


def _topic(found: Json) -> str:
    return str(found["cards"][0]["source"]["topic"]["system"])


def _line(service: Service, call: Json, caller: Caller) -> Json:
    """What the line answers to an order-sign call, as it reads on the wire."""
    parsed = parse_call(encode(call), order_sign.HOOK)
    moment = Moment(date(2026, 11, 24), time.monotonic() + 5)
    found: Json = decode(encode(answer(parsed, order_sign.HOOK, service, caller, moment)))
    return found


# Numbers and what stands beside the answer


class _Book:
    def record(self, entries: tuple[Entry, ...], deadline: float) -> tuple[Receipt, ...]:
        return tuple(Receipt(True, f"PA-{entry.coverage}", date(2026, 11, 20)) for entry in entries)


@EVERY_DIALECT
def test_a_number_is_written_with_its_day_of_expiry_where_the_version_has_it(
    dialect: Any, service: Service, ehr: Ehr
) -> None:
    """Satisfied; six months from the day of issue; no form and no documentation."""
    issuing = replace(service, book=_Book(), issues_numbers=True)
    said = said_of(_line(issuing, ehr.call(MET), Caller(dialect=dialect)))
    assert codes(said) == {"covered": "covered", "pa-needed": "satisfied"}
    assert said["satisfied-pa-id"] == [f"PA-Coverage/{MET.id}-coverage"]
    assert said.get("expiry-date") == (None if dialect == "2.0.1" else ["2027-05-20"])


@pytest.mark.conformance("resp-35")
def test_an_order_that_was_answered_without_a_number_gets_it_later(service: Service, ehr: Ehr) -> None:
    """The assertion's id is the same, what it says is more, so the order is written again."""
    (carried,) = updated(ehr.sign(MET))
    issuing = replace(service, book=_Book(), issues_numbers=True)
    call = ehr.call(MET, carried)
    found = _line(issuing, call, Caller())
    assert codes(said_of(found))["pa-needed"] == "satisfied"
    (again,) = updated(found)
    assert _line(issuing, ehr.call(MET, again), Caller())["systemActions"] == []
    assert _line(service, ehr.call(MET, again), Caller())["systemActions"] == []


class _Roster:
    def __init__(self, enrolment: Enrolment) -> None:
        self._enrolment = enrolment

    def member(self, numbers: object, day: date, deadline: float) -> Member:
        return Member(self._enrolment)


@pytest.mark.conformance("resp-44", "resp-45")
@pytest.mark.parametrize(
    ("enrolment", "code"),
    [
        (Enrolment.NOT_A_MEMBER, "no-member-found"),
        (Enrolment.OTHER_COVERAGE, "coverage-not-found"),
        (Enrolment.INACTIVE, "no-active-coverage"),
    ],
)
@EVERY_DIALECT
def test_who_is_not_covered_is_told_so_in_the_dialects_codes(
    dialect: Any, enrolment: Enrolment, code: str, service: Service, ehr: Ehr
) -> None:
    """The coded reason in 2.2; in 2.0.1 the words, and `no-auth`, without which that version's rule fails."""
    plans = Plans(roster=_Roster(enrolment))
    said = said_of(_line(replace(service, plans=plans), ehr.call(MET), Caller(dialect=dialect)))
    assert codes(said) == (OLD_NOT_COVERED if dialect == "2.0.1" else NOT_COVERED)
    (reason,) = said["reason"]
    assert reason["text"]
    assert [coding["code"] for coding in reason.get("coding", [])] == ([] if dialect == "2.0.1" else [code])
    assert not {"questionnaire", "satisfied-pa-id", "billingCode", "detail"} & said.keys()


# dependency


def _request(name: str, **members: object) -> Json:
    return {
        "resourceType": "ServiceRequest",
        "id": name,
        "status": "draft",
        "intent": "order",
        "subject": MET.order["subject"],
        "insurance": MET.order["insurance"],
        **members,
    }


def _code(system: str, code: str) -> Json:
    return {"coding": [{"system": system, "code": code}]}


CPT = "http://www.ama-assn.org/go/cpt"
BESIDE = {
    "an infusion, first hour": _request("s", code=_code(CPT, "96365")),
    "an infusion, each further hour": _request("s", code=_code(CPT, "96366")),
    "an infusion of a highly complex drug": _request("s", code=_code(CPT, "96413")),
    "one of the policy's tests": _request("s", code=_code("http://loinc.org", "777-3")),
    "stands on the order": _request("s", basedOn=[{"reference": f"MedicationRequest/{MET.order['id']}"}]),
    "supports the order": _request("s", supportingInfo=[{"reference": f"MedicationRequest/{MET.order['id']}"}]),
}
APART = {
    "another test": _request("s", code=_code("http://loinc.org", "2093-3")),
    "an injection": _request("s", code=_code(CPT, "96372")),
    "a cancelled infusion": _request("s", status="revoked", code=_code(CPT, "96365")),
    "an infusion not to be given": _request("s", doNotPerform=True, code=_code(CPT, "96365")),
    "stands on another order": _request("s", basedOn=[{"reference": "MedicationRequest/other"}]),
    "odd members": _request("s", code=5, basedOn=5, supportingInfo=[5]),
}


def _dependencies(found: Json) -> list[Json]:
    resource = next(resource for resource in updated(found) if resource["resourceType"] == "MedicationRequest")
    return list(stated(resource)[0].get("dependency", []))


@pytest.mark.parametrize("request_", BESIDE.values(), ids=BESIDE.keys())
@EVERY_DIALECT
def test_an_order_that_belongs_to_the_drug_is_named(dialect: str, request_: Json, ehrs: dict[str, Ehr]) -> None:
    """An infusion or a test in the same Bundle, or what says so itself: `dependency`."""
    found = ehrs[dialect].sign(MET, MET.order, request_)
    assert _dependencies(found) == [{"reference": "ServiceRequest/s"}]


@pytest.mark.parametrize("request_", APART.values(), ids=APART.keys())
def test_an_order_that_does_not_belong_to_the_drug_is_not_named(request_: Json, ehr: Ehr) -> None:
    """Whatever else is ordered at the same time."""
    assert _dependencies(ehr.sign(MET, MET.order, request_)) == []


def test_an_order_for_the_drug_as_a_service_does_not_depend_on_itself(ehr: Ehr) -> None:
    """A ServiceRequest for the drug is an order like any other."""
    drug = _code("https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "J1411")
    drug["coding"] += _code(CPT, "96365")["coding"]
    found = ehr.sign(MET, _request("drug", code=drug), _request("s", code=_code(CPT, "96365")))
    said = {resource["id"]: stated(resource)[0].get("dependency") for resource in updated(found)}
    assert said == {"drug": [{"reference": "ServiceRequest/s"}], "s": None}


def test_a_later_infusion_is_written_on_the_order(ehr: Ehr) -> None:
    """It is something new about an assertion that the order carries already; asked again, nothing is."""
    (carried,) = updated(ehr.sign(MET))
    infusion = _request("s", code=_code(CPT, "96365"))
    found = ehr.sign(MET, carried, infusion)
    assert _dependencies(found) == [{"reference": "ServiceRequest/s"}]
    (again,) = [resource for resource in updated(found) if resource["resourceType"] == "MedicationRequest"]
    left = [resource["id"] for resource in updated(ehr.sign(MET, again, infusion))]
    assert left == ["s"]


# hook-13 and what stands in its place


def _with_coverages(*changes: Json) -> Story:
    (coverage,) = (resource for resource in MET.resources if resource["resourceType"] == "Coverage")
    copies = [{**deepcopy(coverage), "id": f"c{at}", **changed} for at, changed in enumerate(changes, 1)]
    return replace(MET, resources=(*without(MET.resources, "Coverage"), *copies))


WITHOUT_COVERAGE: dict[str, tuple[Json, ...]] = {"none": (), "several without order": ({}, {})}


@pytest.mark.conformance("hook-13")
@pytest.mark.parametrize(
    "changes",
    [*WITHOUT_COVERAGE.values(), ({"payor": [{"display": "A plan"}]},)],
    ids=[*WITHOUT_COVERAGE, "no payer identifier"],
)
def test_a_2_2_caller_without_a_usable_coverage_is_refused(changes: tuple[Json, ...], ehrs: dict[str, Ehr]) -> None:
    """400 with an OperationOutcome that says what is missing."""
    response = ehrs["2.2"].post(ehrs["2.2"].call(_with_coverages(*changes), order_of(MET.id, insurance=None)))
    assert response.status_code == 400
    assert response.get_json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize("changes", WITHOUT_COVERAGE.values(), ids=WITHOUT_COVERAGE.keys())
@pytest.mark.parametrize("dialect", ["2.0.1", "plain"])
def test_other_callers_get_guidance_without_coverage_information(
    dialect: str, changes: tuple[Json, ...], ehrs: dict[str, Ehr]
) -> None:
    """There is no Coverage to point at; the card says that it was not confirmed."""
    found = ehrs[dialect].sign(_with_coverages(*changes), order_of(MET.id, insurance=None))
    assert found["systemActions"] == []
    assert "overage not confirmed" in guidance(found)["detail"]


@pytest.mark.parametrize("dialect", ["2.0.1", "plain"])
def test_a_payer_without_identifier_is_no_obstacle_to_other_callers(dialect: str, ehrs: dict[str, Ehr]) -> None:
    """Only 2.2 makes it a bad call."""
    found = ehrs[dialect].sign(_with_coverages({"payor": [{"display": "A plan"}]}), order_of(MET.id, insurance=None))
    assert len(found["systemActions"]) == 1


def test_a_coverage_that_could_not_be_read_is_a_412_in_2_2(ehrs: dict[str, Ehr]) -> None:
    """Neither sent nor read, and none can be pointed at."""
    call = ehrs["2.2"].call(MET, order_of(MET.id, insurance=None))
    del call["prefetch"]["coverage"]
    assert ehrs["2.2"].post(call).status_code == 412


@pytest.mark.parametrize(("sent", "status"), [(True, 400), (False, 412)], ids=["none is there", "not read"])
def test_a_coverage_that_is_contained_in_the_order_is_refused_with_the_reason(
    sent: bool, status: int, ehrs: dict[str, Ehr]
) -> None:
    """Neither form nor EHR could find what coverage-information would name."""
    (own,) = (resource for resource in MET.resources if resource["resourceType"] == "Coverage")
    order = order_of(MET.id, insurance=[{"reference": "#cov"}], contained=[{**own, "id": "cov"}])
    call = ehrs["2.2"].call(_with_coverages(), order)
    if not sent:
        del call["prefetch"]["coverage"]
    response = ehrs["2.2"].post(call)
    assert response.status_code == status
    assert "contained in the order does not count" in response.get_json()["issue"][0]["diagnostics"]


@pytest.mark.parametrize("dialect", ["2.0.1", "plain"])
def test_a_coverage_that_could_not_be_read_leaves_guidance_to_others(dialect: str, ehrs: dict[str, Ehr]) -> None:
    """Marked as not confirmed."""
    call = ehrs[dialect].call(MET, order_of(MET.id, insurance=None))
    del call["prefetch"]["coverage"]
    found = ehrs[dialect].answer(call)
    assert found["systemActions"] == []
    assert "overage not confirmed" in guidance(found)["detail"]


@pytest.mark.conformance("resp-43", "found-32")
@EVERY_DIALECT
def test_a_coverage_that_only_the_order_names_is_technical(dialect: str, ehrs: dict[str, Ehr]) -> None:
    """It can be pointed at: 200, and never a bad call."""
    call = ehrs[dialect].call(MET)
    del call["prefetch"]["coverage"]
    said = said_of(ehrs[dialect].answer(call))
    assert codes(said) == (OLD_CONDITIONAL if dialect == "2.0.1" else TECHNICAL)
    assert said["coverage"] == MET.order["insurance"]


@pytest.mark.conformance("resp-43")
@EVERY_DIALECT
def test_a_payer_that_could_not_be_read_is_technical(dialect: str, ehrs: dict[str, Ehr]) -> None:
    """The Coverage is there, its payer's Organization is not."""
    call = ehrs[dialect].call(MET)
    kept = [entry for entry in call["prefetch"]["organizations"]["entry"] if entry["resource"]["id"] != "demo-plan"]
    call["prefetch"]["organizations"]["entry"] = kept
    said = said_of(ehrs[dialect].answer(call))
    assert codes(said) == (OLD_CONDITIONAL if dialect == "2.0.1" else TECHNICAL)
