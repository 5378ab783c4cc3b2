"""What is written onto an order: contract by contract row, and the guide's rules for whatever is said."""

import time
from collections.abc import Mapping
from datetime import date
from typing import Any

import msgspec
import pytest
from crd_rules import broken_rules
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from signing import BY_ID, EXTENSION, GOVERNED, STORIES, TODAY, Json, call_of, context_of, parts_of, whole_record

from cds_service.demo.stories import Story
from cds_service.policy.determination import Determination, Evidence, Finding, outcome_of
from cds_service.policy.reasons import Outcome, Reason, Status
from hooks import order_sign
from hooks.answer import answer
from hooks.call import parse_call
from hooks.coverage_information import (
    URL,
    Assertion,
    Dialect,
    Links,
    assertion_for,
    conditional,
    not_covered,
    technical,
    to_extension,
)
from hooks.service import Caller, Moment, Service
from hooks.wire import encode

DIALECTS: tuple[Dialect, ...] = ("2.2", "2.0.1", "plain")
RULES_OF = {"2.2": "2.2", "plain": "2.2", "2.0.1": "2.0.1"}
LINKS = Links("https://plan.example")
HCPCS = "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
CONTACT = {"name": "Utilization", "telecom": [{"system": "phone", "value": "555-0100"}]}
EVERY_DIALECT = pytest.mark.parametrize("dialect", DIALECTS)


def finding(criterion: str, status: Status, reason: Reason | None = None, **members: Any) -> Finding:
    """A finding of a blocking criterion."""
    known = {
        "label": f"Criterion {criterion}",
        "kind": "inclusion",
        "blocking": True,
        "evidence": (Evidence("Observation/o1", "A result on 2026-01-01"),),
        "says": "",
        "needed": (),
        "tests": (),
        "remarks": (),
        "questions": (),
        "attach": "",
    }
    return Finding(id=criterion, status=status, reason=reason, **{**known, **members})


FINDINGS = {
    Outcome.CRITERIA_MET: (finding("1", Status.MET),),
    Outcome.CRITERIA_NOT_MET: (finding("1", Status.MET), finding("8c", Status.NOT_MET)),
    Outcome.DOCUMENTATION_MISSING: (finding("1", Status.MET), finding("5", Status.UNKNOWN, Reason.NOT_RECORDED)),
    Outcome.UNDETERMINED: (finding("6", Status.UNKNOWN, Reason.NOT_RETRIEVED),),
    Outcome.NEEDS_REVIEW: (finding("8b", Status.UNKNOWN, Reason.REVIEW),),
    Outcome.POLICY_NOT_APPLICABLE: (),
}


def determination(service: Service, outcome: Outcome, findings: tuple[Finding, ...] | None = None) -> Determination:
    """A determination of the Hemgenix policy with that outcome."""
    (policy,) = (found for found in service.library.policies if found.source.drug == "hemgenix")
    found = FINDINGS[outcome] if findings is None else findings
    return Determination(policy.source, "MedicationRequest/o", TODAY, outcome, found, (), "Commercial Group")


def said(assertion: Assertion, dialect: Dialect = "2.2") -> Mapping[str, Any]:
    """The parts of the extension; the rules of its version hold."""
    extension = to_extension(assertion, dialect)
    assert broken_rules(extension, RULES_OF[dialect]) == []
    assert extension["url"] == URL == EXTENSION
    return parts_of(extension)


def assertion(service: Service, outcome: Outcome, **members: Any) -> Assertion:
    """What follows from a determination with that outcome."""
    return assertion_for(determination(service, outcome), "Coverage/c", "ca-1", LINKS, HCPCS, **members)


def bare(fields: Json) -> Assertion:
    """An assertion that follows from no determination."""
    return Assertion(coverage="Coverage/c", assertion_id="ca-1", day=TODAY, **fields)


# The contract, row by row


@EVERY_DIALECT
def test_criteria_met_with_guidance_alone(service: Service, dialect: Dialect) -> None:
    """Covered; the authorization is still to be asked for; no documentation is."""
    found = said(assertion(service, Outcome.CRITERIA_MET), dialect)
    assert (found["covered"], found["pa-needed"]) == (["covered"], ["auth-needed"])
    assert found["reason"][0]["text"] == "All criteria of PHARMACY-109 for Hemgenix are met from the record."
    assert not {"doc-needed", "doc-purpose", "questionnaire", "info-needed", "satisfied-pa-id"} & found.keys()


@EVERY_DIALECT
def test_criteria_met_with_a_number_issued(service: Service, dialect: Dialect) -> None:
    """Satisfied, with the number; where the version has it, the day on which it ends, six months on."""
    found = said(assertion(service, Outcome.CRITERIA_MET, satisfied_pa_id="PA-7"), dialect)
    assert (found["covered"], found["pa-needed"], found["satisfied-pa-id"]) == (["covered"], ["satisfied"], ["PA-7"])
    assert found.get("expiry-date") == (None if dialect == "2.0.1" else ["2027-05-24"])
    assert found["reason"][0]["text"]
    assert "doc-purpose" not in found


@EVERY_DIALECT
def test_documentation_missing(service: Service, dialect: Dialect) -> None:
    """The form is asked for with the authorization, as a canonical with its version; the reason names what is open."""
    found = said(assertion(service, Outcome.DOCUMENTATION_MISSING), dialect)
    assert (found["covered"], found["pa-needed"]) == (["covered"], ["auth-needed"])
    assert (found["doc-needed"], found["doc-purpose"]) == (["clinical"], ["withpa"])
    canonical = "https://plan.example/fhir/Questionnaire/pharmacy-109-hemgenix|2025-11-20"
    assert found["questionnaire"] == [canonical]
    assert "Criterion 5 (5)" in found["reason"][0]["text"]
    assert "Criterion 1" not in found["reason"][0]["text"]


@EVERY_DIALECT
def test_documentation_missing_on_a_secondary_hook(service: Service, dialect: Dialect) -> None:
    """Nothing asks for documentation there: authorization and reason alone (CRD hook-19)."""
    found = said(assertion(service, Outcome.DOCUMENTATION_MISSING, documentation=False), dialect)
    assert (found["covered"], found["pa-needed"]) == (["covered"], ["auth-needed"])
    assert not {"doc-needed", "doc-purpose", "questionnaire"} & found.keys()
    assert found["reason"][0]["text"]


@EVERY_DIALECT
@pytest.mark.parametrize(
    ("outcome", "named"),
    [(Outcome.NEEDS_REVIEW, "Criterion 8b (8b)"), (Outcome.CRITERIA_NOT_MET, "Criterion 8c (8c)")],
)
def test_what_the_plan_has_to_decide(service: Service, outcome: Outcome, named: str, dialect: Dialect) -> None:
    """Covered and to be authorized, with a reason that names the criteria; nothing is denied by a machine."""
    found = said(assertion(service, outcome), dialect)
    assert (found["covered"], found["pa-needed"]) == (["covered"], ["auth-needed"])
    assert named in found["reason"][0]["text"]
    assert not {"doc-needed", "questionnaire", "satisfied-pa-id"} & found.keys()


@pytest.mark.parametrize("dialect", ["2.2", "plain"])
def test_undetermined_is_technical(service: Service, dialect: Dialect) -> None:
    """What could not be read is indeterminate, with the coded reason and a text (CRD resp-43)."""
    found = said(assertion(service, Outcome.UNDETERMINED), dialect)
    assert found["covered"] == found["pa-needed"] == found["doc-needed"] == ["indeterminate"]
    assert found["reason"][0]["coding"][0]["code"] == "technical"
    assert "could not be read" in found["reason"][0]["text"]


def test_undetermined_in_2_0_1(service: Service) -> None:
    """That version has no such code: conditional, with the information that is needed and why."""
    found = said(assertion(service, Outcome.UNDETERMINED), "2.0.1")
    assert (found["covered"], found["pa-needed"], found["info-needed"]) == (["conditional"], ["conditional"], ["OTH"])
    assert "coding" not in found["reason"][0]
    assert "could not be read" in found["reason"][0]["text"]


@EVERY_DIALECT
def test_a_policy_that_does_not_apply(service: Service, dialect: Dialect) -> None:
    """Conditional, with a reason that names the line of business; nothing is said of quantity or billing."""
    found = said(assertion(service, Outcome.POLICY_NOT_APPLICABLE), dialect)
    assert (found["covered"], found["info-needed"]) == (["conditional"], ["OTH"])
    assert "Commercial Group" in found["reason"][0]["text"]
    assert not {"doc-needed", "detail", "billingCode"} & found.keys()
    assert found.get("pa-needed") == (["conditional"] if dialect == "2.0.1" else None)


@EVERY_DIALECT
@pytest.mark.parametrize("code", ["no-active-coverage", "no-member-found", "coverage-not-found"])
def test_not_covered(code: str, dialect: Dialect) -> None:
    """Not covered with its coded reason; 2.0.1 has no such codes, and cannot do without pa-needed."""
    found = said(bare(not_covered("The coverage is not active.", code)), dialect)
    assert found["covered"] == ["not-covered"]
    if dialect == "2.0.1":
        assert found["pa-needed"] == ["no-auth"]
        assert found["reason"] == [{"text": "The coverage is not active."}]
    else:
        assert "pa-needed" not in found
        assert found["reason"][0]["coding"][0]["code"] == code


@EVERY_DIALECT
def test_what_is_said_beside_the_answer(service: Service, dialect: Dialect) -> None:
    """Billing code, quantity, period, policy page, orders that depend on it, and whom to call."""
    found = said(
        assertion(service, Outcome.CRITERIA_MET, contact=CONTACT, dependencies=("ServiceRequest/s",)),
        dialect,
    )
    assert found["billingCode"][0]["code"] == "J1411"
    assert found["billingCode"][0]["system"] == HCPCS
    details = {detail["code"][0]["coding"][0]["code"]: detail["value"][0] for detail in found["detail"]}
    expected: Json = {
        "allowed-quantity": {"value": 1, "unit": "treatment"},
        "allowed-period": {"start": "2026-11-24", "end": "2027-05-24"},
    }
    if dialect != "2.0.1":  # which has no such code
        expected["policy-link"] = "https://plan.example/policies/pharmacy-109/hemgenix"
    assert details == expected
    assert found["dependency"] == [{"reference": "ServiceRequest/s"}]
    assert found["contact"] == ([CONTACT["telecom"][0]] if dialect == "2.0.1" else [CONTACT])


@pytest.mark.parametrize(("day", "ends"), [(date(2026, 8, 31), "2027-02-28"), (date(2027, 8, 31), "2028-02-29")])
def test_an_authorization_ends_on_a_day_that_there_is(service: Service, day: date, ends: str) -> None:
    """Six months after 31 August is the last day of February."""
    told = replace(determination(service, Outcome.CRITERIA_MET), day=day)
    found = said(assertion_for(told, "Coverage/c", "ca-1", LINKS, HCPCS, satisfied_pa_id="PA-7"))
    assert found["expiry-date"] == [ends]


@EVERY_DIALECT
@pytest.mark.parametrize("fields", [technical("No answer."), conditional("Not known here.")])
def test_what_follows_from_no_determination_keeps_the_rules(fields: Json, dialect: Dialect) -> None:
    """A drug that could not be read, and one that no policy governs."""
    assert said(bare(fields), dialect)["coverage"] == [{"reference": "Coverage/c"}]


# Any determination at all

_TEXT = st.text(min_size=1, max_size=40)
_UNKNOWN = st.sampled_from(list(Reason)).flatmap(
    lambda reason: st.builds(finding, st.just("1"), st.just(Status.UNKNOWN), st.just(reason), label=_TEXT)
)
_DECIDED = st.builds(
    finding,
    st.just("2"),
    st.sampled_from([Status.MET, Status.NOT_MET, Status.NOT_APPLICABLE]),
    label=_TEXT,
    blocking=st.booleans(),
)
_FINDINGS = st.lists(_UNKNOWN | _DECIDED, max_size=6).map(tuple)


@given(
    findings=_FINDINGS,
    applies=st.booleans(),
    dialect=st.sampled_from(DIALECTS),
    documentation=st.booleans(),
    number=st.sampled_from(["", "PA-1"]),
    contact=st.sampled_from([None, CONTACT]),
)
def test_every_determination_keeps_the_rules(
    service: Service,
    findings: tuple[Finding, ...],
    applies: bool,
    dialect: Dialect,
    documentation: bool,
    number: str,
    contact: Json | None,
) -> None:
    """Whatever is found of whatever criteria, the extension is sound, and says satisfied only where all is met."""
    outcome = outcome_of(findings) if applies else Outcome.POLICY_NOT_APPLICABLE
    told = determination(service, outcome, findings)
    found = said(
        assertion_for(told, "Coverage/c", "ca-1", LINKS, HCPCS, documentation, number, contact),
        dialect,
    )
    if found.get("pa-needed") == ["satisfied"]:
        assert (outcome, number) == (Outcome.CRITERIA_MET, "PA-1")
    if not documentation:
        assert not {"clinical", "admin"} & set(found.get("doc-needed", []))


def _signed(service: Service, story: Story, dialect: Dialect, version: str = "") -> Json:
    """The answer to the story's order in that dialect."""
    members = {"extension": {"davinci-crd.requestedVersion": version}} if version else {}
    call = call_of(context_of(story.order), whole_record(story.resources, story.failing), **members)
    parsed = parse_call(encode(call), order_sign.HOOK)
    return answer(
        parsed,
        order_sign.HOOK,
        replace(service, default_dialect=dialect),
        Caller(),
        Moment(TODAY, time.monotonic() + 5),
    )


@EVERY_DIALECT
@pytest.mark.parametrize("story", STORIES, ids=[story.id for story in STORIES])
def test_every_story_keeps_the_rules(service: Service, story: Story, dialect: Dialect) -> None:
    """What each sample order comes back with is sound in each version."""
    (action,) = _signed(service, story, dialect)["systemActions"]
    (raw,) = [found for found in _decoded(action["resource"]) if found["url"] == EXTENSION]
    assert broken_rules(raw, RULES_OF[dialect]) == []


def _decoded(resource: Json) -> list[Json]:
    found: list[Json] = msgspec.json.decode(encode(resource))["extension"]
    return found


def test_the_version_that_a_call_asks_for_comes_before_the_default(service: Service) -> None:
    """A caller that names 2.2 is spoken to in 2.2, whatever the others get."""
    story = BY_ID["demo-results-unreadable"]
    (action,) = _signed(service, story, "2.0.1", "2.2")["systemActions"]
    (raw,) = _decoded(action["resource"])
    assert broken_rules(raw, "2.2") == []
    assert parts_of(raw)["covered"] == ["indeterminate"]


@pytest.mark.parametrize("dialect", ["2.0.1", "plain"])
def test_older_callers_without_a_coverage_still_get_their_card(service: Service, dialect: Dialect) -> None:
    """Marked as not confirmed, and without coverage-information: there is no Coverage to point at."""
    story = BY_ID["demo-hemgenix-met"]
    resources = [resource for resource in story.resources if resource["resourceType"] != "Coverage"]
    bare_story = replace(story, resources=tuple(resources), order={**story.order, "insurance": []})
    answered = _signed(service, bare_story, dialect)
    assert answered["systemActions"] == []
    (card,) = answered["cards"]
    assert "Coverage not confirmed" in card["detail"]


@pytest.mark.parametrize(
    ("dialect", "system"),
    [
        ("2.2", "http://terminology.hl7.org/CodeSystem/cdshooks-card-type"),
        ("plain", "http://terminology.hl7.org/CodeSystem/cdshooks-card-type"),
        ("2.0.1", "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp"),
    ],
)
def test_topic_and_associated_resource_are_written_as_the_version_has_them(
    service: Service, dialect: Dialect, system: str
) -> None:
    """2.0.1 has another code system, and names a resource by a string."""
    answered = _signed(service, GOVERNED[0], dialect)
    card = answered["cards"][0]
    reference = f"MedicationRequest/{GOVERNED[0].order['id']}"
    assert card["source"]["topic"]["system"] == system
    about = card["extension"]["davinci-crd.associated-resource"]
    assert about == ([reference] if dialect == "2.0.1" else [{"reference": reference}])
