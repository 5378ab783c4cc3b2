"""From a hook call to facts: what is used of the prefetch, what is asked of the server, and what stays unread."""

import re
import socket
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import responses
from mapping_samples import BASE, CODES, DAY, NUCC, SYSTEMS, bundle, concept, condition, of_patient, order

from fhir_mappings.asked import Asked, Needs, Wanted
from fhir_mappings.chart import Chart, Vocabulary, gather
from fhir_mappings.client import FhirClient
from fhir_mappings.coverage import CoverageState
from fhir_mappings.labs import read_labs
from fhir_mappings.prefetch import ROWS
from fhir_mappings.queries import Failure, Query, Reply
from fhir_mappings.servers import Server

LABS = read_labs(SYSTEMS)
PLAN = "https://plan.example"
VOCABULARY = Vocabulary(CODES, LABS, PLAN)
TYPES = frozenset(row.type for row in ROWS)
TESTS = {"platelets": Wanted(2, DAY), "factor_ix_activity": Wanted(2), "aav5_antibody": Wanted(5)}
NEEDS = Needs(TESTS, TYPES, ("Questionnaire/form",))
EVERYTHING = frozenset(
    {"coverage", "diagnoses", "treatments", "clinicians", "notes", "answers"} | {f"result/{test}" for test in TESTS}
)
OUTCOME = {"resourceType": "OperationOutcome", "issue": [{"severity": "error"}]}

PATIENT = {"resourceType": "Patient", "id": "p1", "birthDate": "1990-05-01"}
DOCTOR = {"resourceType": "Practitioner", "id": "dr1", "name": [{"text": "Dr. Ann Example"}]}
ROLE = {
    "resourceType": "PractitionerRole",
    "id": "r1",
    "practitioner": {"reference": "Practitioner/dr1"},
    "organization": {"reference": "Organization/o1"},
    "specialty": [concept("207RH0000X", "Hematology", NUCC)],
}
CENTER = {"resourceType": "Organization", "id": "o1", "name": "Example Treatment Center"}
COVERAGE = {
    "resourceType": "Coverage",
    "id": "cov1",
    "status": "active",
    "beneficiary": {"reference": "Patient/p1"},
    "type": {"text": "commercial"},
    "payor": [{"reference": "Organization/payer"}],
}
PAYER = {"resourceType": "Organization", "id": "payer", "name": "Plan", "identifier": [{"system": "s", "value": "1"}]}


def observation(own_id: str, code: str, value: Any, day: str = "2026-10-01", **members: Any) -> dict[str, Any]:
    return of_patient(
        "Observation",
        own_id,
        **{
            "status": "final",
            "category": [{"coding": [{"code": "laboratory"}]}],
            "code": concept(code, "", "http://loinc.org"),
            "effectiveDateTime": day,
            "valueQuantity": {"value": value, "unit": "10*3/uL", "code": "10*3/uL"},
            **members,
        },
    )


PLATELETS = observation("plt1", "777-3", 212)
AAV5 = {
    **observation("aav1", "", 0),
    "code": {"text": "AAV5 neutralizing antibody"},
    "valueString": "Negative",
    "valueQuantity": None,
}
GIVEN = of_patient(
    "MedicationAdministration",
    "m1",
    status="completed",
    medicationReference={"reference": "Medication/med1"},
    effectiveDateTime="2024-02-01",
)
MEDICATION = {"resourceType": "Medication", "id": "med1", "code": {"text": "Alprolix"}}
NOTE = of_patient("DocumentReference", "d1", status="current", description="No prior gene therapy.")
ANSWER = of_patient(
    "QuestionnaireResponse",
    "a1",
    status="completed",
    questionnaire=f"{PLAN}/fhir/Questionnaire/form|1",
    authored="2026-11-01",
    item=[{"linkId": "q.x", "answer": [{"valueBoolean": True}]}],
)
STORE = [PATIENT, DOCTOR, ROLE, CENTER, COVERAGE, PAYER, condition(), PLATELETS, AAV5, GIVEN, MEDICATION, NOTE, ANSWER]


class Store:
    """A FHIR server in memory that answers what this package asks."""

    def __init__(self, *resources: Any, refuses: Sequence[str] = (), text_search: bool = False) -> None:
        self.resources = resources
        self.asked: list[str] = []
        self.rounds = 0
        self._refuses, self._text_search = refuses, text_search

    def read_all(self, server: Server, queries: Sequence[Query], deadline: float) -> list[Reply]:
        self.rounds += 1
        return [self._read(query, query.url(server.base) or "") for query in queries]

    def _read(self, query: Query, url: str) -> Reply:
        self.asked.append(unquote(url.removeprefix(f"{BASE}/")))
        kind, _, own_id = query.path.partition("/")
        found = [one for one in self.resources if one["resourceType"] == kind]
        if kind in self._refuses:
            return Reply([], Failure.FORBIDDEN)
        if own_id:
            found = [one for one in found if one["id"] == own_id]
            return Reply(found) if found else Reply([], Failure.NOT_FOUND)
        for name, (value,) in parse_qs(urlsplit(url).query).items():
            found = [one for one in found if self._fits(one, name, value)]
        found.sort(key=lambda one: one.get("effectiveDateTime", ""), reverse=True)
        return Reply(found[: query.most], None, len(found) > query.most)

    def _fits(self, resource: Any, name: str, value: str) -> bool:
        if name == "_id":
            return resource["id"] in value.split(",")
        if name == "code":
            codings = resource["code"].get("coding", [])
            return any(f"{one['system']}|{one['code']}" in value.split(",") for one in codings)
        if name == "code:text":
            return self._text_search and value.lower() in str(resource["code"]).lower()
        if name == "practitioner":
            return resource["practitioner"]["reference"].partition("/")[2] in value.split(",")
        return True


def chart(
    prefetch: Any = None, store: Store | None = None, needs: Needs = NEEDS, draft: Any = None, **members: Any
) -> Chart:
    draft = draft or order()
    asked = Asked("p1", (draft,), DAY, (draft,), prefetch, fhir_server=BASE, **members)
    (found,) = gather(needs, asked, VOCABULARY, store, Server(BASE) if store else None, time.monotonic() + 1)
    return found


def full_prefetch() -> dict[str, Any]:
    """Everything of STORE under the keys that discovery names, and an empty Bundle for what there is none of."""
    return {
        row.key: next(iter(found), None) if row.single else bundle(*found)
        for row in ROWS
        if (found := [one for one in STORE if one["resourceType"] == row.type])
        or not row.single
        or row.type == "Encounter"
    }


def said(found: Chart) -> dict[str, Any]:
    facts = found.facts
    return {
        "person": facts.person,
        "plan": facts.plan,
        "results": {test: [one.display for one in results] for test, results in facts.results.items()},
        "diagnoses": facts.diagnoses,
        "treatments": facts.treatments,
        "clinicians": facts.clinicians,
        "notes": facts.notes,
        "answers": dict(facts.answers),
        "unread": facts.unread,
    }


def test_a_full_prefetch_needs_no_server() -> None:
    """Everything is read from it, and nothing is unread."""
    found = chart(full_prefetch())
    facts = found.facts
    assert facts.unread == frozenset()
    assert facts.person is not None
    assert [one.reference for one in facts.results["platelets"]] == ["Observation/plt1"]
    assert [one.reference for one in facts.results["aav5_antibody"]] == ["Observation/aav1"]
    assert [one.display for one in facts.treatments] == ["Alprolix given on 2024-02-01"]
    assert [(one.sets, one.sites) for one in facts.clinicians] == [({"specialty.heme"}, {"site.center"})]
    assert [one.sets for one in facts.notes] == [{"statement.none"}]
    assert facts.answers["q.x"].value is True
    assert found.coverage.state is CoverageState.ACTIVE
    assert found.coverage.payers[0].identifiers == (("s", "1"),)
    assert found.broken == {}


def test_a_server_is_not_asked_for_what_was_sent() -> None:
    """A full prefetch makes no call."""
    store = Store(*STORE)
    chart(full_prefetch(), store)
    assert store.asked == []


@pytest.mark.parametrize("kept", [0, 3, 7, 12])
def test_read_sent_and_half_sent_say_the_same(kept: int) -> None:
    """Whatever part of the record came with the call."""
    sent = dict(list(full_prefetch().items())[:kept])
    assert said(chart(sent, Store(*STORE))) == said(chart(full_prefetch()))


def test_without_server_what_was_not_sent_is_unread() -> None:
    """A key that is absent is not an empty chart."""
    found = chart({})
    assert found.facts.unread == EVERYTHING | {"patient"}
    assert found.coverage.state is CoverageState.UNREADABLE


KEYS = {
    "patient": {"patient"},
    "coverage": {"coverage"},
    "conditions": {"diagnoses"},
    "observations": {f"result/{test}" for test in TESTS},
    "reports": {"notes", "result/aav5_antibody"},
    "procedures": {"treatments"},
    "medicationRequests": {"treatments"},
    "medicationAdministrations": {"treatments"},
    "medicationStatements": {"treatments"},
    "medicationDispenses": {"treatments"},
    "medications": {"treatments"},
    "practitioners": {"clinicians"},
    "practitionerRoles": {"clinicians"},
    "careTeams": {"clinicians"},
    "documents": {"notes"},
    "questionnaireResponses": {"answers"},
}


@pytest.mark.parametrize(("key", "sources"), KEYS.items())
def test_a_missing_key_costs_its_source(key: str, sources: set[str]) -> None:
    """And no other."""
    prefetch = full_prefetch()
    del prefetch[key]
    assert chart(prefetch).facts.unread == sources


@pytest.mark.parametrize(("key", "sources"), KEYS.items())
def test_a_failed_key_costs_its_source_and_is_not_asked_again(key: str, sources: set[str]) -> None:
    """The client has tried."""
    store = Store(*STORE)
    found = chart({**full_prefetch(), key: OUTCOME}, store)
    assert found.facts.unread == sources
    assert store.asked == []


@pytest.mark.parametrize("value", [None, bundle()])
@pytest.mark.parametrize("key", ["conditions", "observations", "documents", "questionnaireResponses", "coverage"])
def test_a_key_without_data_means_that_there_is_none(key: str, value: Any) -> None:
    """Looked, nothing there: nothing is asked and nothing is unread."""
    store = Store(*STORE)
    found = chart({**full_prefetch(), key: value}, store)
    assert found.facts.unread == frozenset()
    assert store.asked == [] or key == "coverage"


def test_a_first_page_without_server_is_unread_and_counts() -> None:
    """What was sent is used."""
    page = bundle(condition(), link=[{"relation": "next", "url": f"{BASE}/Condition?page=2"}])
    found = chart({**full_prefetch(), "conditions": page}).facts
    assert (len(found.diagnoses), found.unread) == (1, {"diagnoses"})


def test_a_first_page_is_read_on() -> None:
    """By its own link, and only below the server's base."""
    page = bundle(condition(), link=[{"relation": "next", "url": f"{BASE}/Condition?page=2"}])
    store = Store(condition("c2"))
    found = chart({**full_prefetch(), "conditions": page}, store).facts
    assert store.asked == ["Condition?page=2"]
    assert (len(found.diagnoses), found.unread) == (2, frozenset())


def test_a_first_page_of_results_is_asked_for_test_by_test() -> None:
    """A chart of any size is never walked page by page."""
    page = bundle(PLATELETS, link=[{"relation": "next", "url": f"{BASE}/Observation?page=2"}])
    store = Store(*STORE)
    chart({**full_prefetch(), "observations": page}, store)
    assert not any("page=2" in url for url in store.asked)
    assert any(url.startswith("Observation?patient=p1&code=http://loinc.org|777-3") for url in store.asked)


def test_results_that_were_searched_by_code_lack_what_has_no_code() -> None:
    """The test that only its name finds is asked for; the others were sent."""
    link = [{"relation": "self", "url": f"{BASE}/Observation?patient=p1&code=x"}]
    prefetch = {**full_prefetch(), "observations": bundle(PLATELETS, link=link)}
    store = Store(*STORE)
    assert chart(prefetch, store).facts.results["aav5_antibody"]
    assert all(url.startswith("Observation?") and "777-3" not in url for url in store.asked)
    assert chart(prefetch).facts.unread == {"result/aav5_antibody"}


@pytest.mark.parametrize(("kind", "sources"), [(row.type, KEYS.get(row.key)) for row in ROWS if row.key in KEYS])
def test_a_type_that_the_server_refuses_costs_its_source(kind: str, sources: set[str]) -> None:
    """403, 404 or 400: could not look."""
    found = chart({}, Store(*STORE, refuses=[kind])).facts
    assert found.unread == sources


def test_each_test_is_asked_for_newest_first_with_a_count() -> None:
    """So that a chart of 100,000 results costs what one of 1,000 does."""
    store = Store(*STORE)
    chart({}, store)
    asked = [url for url in store.asked if url.startswith("Observation?")]
    assert all("_sort=-date,_id" in url and "_count=" in url for url in asked)
    assert all("patient=p1" in url for url in asked)


def test_independent_reads_are_one_round_and_each_hop_one_more() -> None:
    """Medication, payer and the role's organisation are known only after the first; nothing is asked twice."""
    store = Store(*STORE)
    chart({}, store)
    assert store.rounds == 2
    assert len(store.asked) == len(set(store.asked))


def many(count: int, days: Callable[[int], str], **members: Any) -> list[dict[str, Any]]:
    return [observation(f"o{at}", "777-3", 200 + at, days(at), **members) for at in range(count)]


def test_more_results_than_wanted_lose_nothing_where_the_newest_decides() -> None:
    """Newest first, and a final one among them."""
    store = Store(*many(9, lambda at: f"2026-10-0{at + 1}"))
    found = chart({}, store).facts
    assert [one.reference for one in found.results["platelets"]][:2] == ["Observation/o8", "Observation/o7"]
    assert "result/platelets" not in found.unread


@pytest.mark.parametrize("status", ["preliminary", "cancelled", "entered-in-error"])
def test_more_results_than_wanted_without_a_final_one_are_unread(status: str) -> None:
    """The final one may be among the rest."""
    store = Store(*many(9, lambda at: f"2026-10-0{at + 1}", status=status))
    assert "result/platelets" in chart({}, store).facts.unread


def test_more_results_than_wanted_in_no_order_are_unread() -> None:
    """A server that does not sort may keep the newest back."""

    class Unsorted(Store):
        def _read(self, query: Query, url: str) -> Reply:
            reply = super()._read(query, url)
            return Reply(list(reversed(reply.resources)), reply.failure, reply.more, reply.broken)

    store = Unsorted(*many(9, lambda at: f"2026-10-0{at + 1}"))
    assert "result/platelets" in chart({}, store).facts.unread


def test_more_results_than_wanted_are_unread_where_any_can_decide() -> None:
    """The lowest factor level ever may be the oldest."""
    percent = {"valueQuantity": {"value": Decimal("1.2"), "unit": "%"}}
    store = Store(*[observation(f"f{at}", "3187-2", 1, f"201{at}-01-01", **percent) for at in range(9)])
    assert "result/factor_ix_activity" in chart({}, store).facts.unread


def test_a_test_without_a_code_is_found_by_its_name() -> None:
    """Among the newest laboratory results, where the server cannot search by text."""
    newer = [observation(f"n{at}", "1-1", 1, "2026-11-01") for at in range(250)]
    few, deep = Store(AAV5, *newer[:100]), Store(AAV5, *newer)
    found = chart({}, few).facts
    assert (len(found.results["aav5_antibody"]), "result/aav5_antibody" in found.unread) == (1, False)
    found = chart({}, deep).facts
    assert (len(found.results["aav5_antibody"]), "result/aav5_antibody" in found.unread) == (0, True)
    found = chart({}, Store(AAV5, *newer, text_search=True)).facts
    assert (len(found.results["aav5_antibody"]), "result/aav5_antibody" in found.unread) == (1, False)


def test_another_patients_answers_do_not_count() -> None:
    """A server that forgets the patient."""
    other = {"subject": {"reference": "Patient/p2"}}
    strangers = [
        {**one, **other, "beneficiary": other["subject"]}
        for one in (condition(), PLATELETS, GIVEN, NOTE, ANSWER, COVERAGE)
    ]
    found = chart({}, Store(PATIENT, *strangers))
    facts = found.facts
    assert not any(
        (facts.diagnoses, facts.results["platelets"], facts.treatments, facts.notes, facts.answers, facts.plan)
    )
    assert found.coverage.state is CoverageState.NONE


def test_the_medication_of_the_order_is_read() -> None:
    """And where it cannot be, the order is unread."""
    draft = order(medicationCodeableConcept=None, medicationReference={"reference": "Medication/gene"})
    gene = {"resourceType": "Medication", "id": "gene", "code": {"text": "Hemgenix"}}
    assert chart({}, Store(*STORE, gene), draft=draft).facts.order.products == {"drug.gene"}
    assert "order" in chart({}, Store(*STORE), draft=draft).facts.unread
    assert "order" in chart(full_prefetch(), draft=draft).facts.unread


def test_a_coverage_that_only_the_order_names_is_read() -> None:
    """By its reference; where that fails the coverage is unreadable, not absent."""
    draft = order(insurance=[{"reference": "Coverage/cov1"}])
    found = chart({"coverage": None}, Store(*STORE), draft=draft)
    assert found.coverage.state is CoverageState.ACTIVE
    found = chart({"coverage": None}, Store(PATIENT), draft=draft)
    assert found.coverage.state is CoverageState.UNREADABLE


def test_a_reference_to_nothing_is_asked_for_once() -> None:
    """And leaves its source unread."""
    store = Store(PATIENT, {**GIVEN, "medicationReference": {"reference": "Medication/gone"}})
    found = chart({}, store).facts
    assert store.asked.count("Practitioner/dr1") == store.asked.count("Medication/gone") == 1
    assert found.unread == {"clinicians", "treatments"}


def test_many_references_are_one_search() -> None:
    """Not a read each."""
    meds = [{**MEDICATION, "id": f"med{at}"} for at in range(9)]
    doses = [{**GIVEN, "id": f"m{at}", "medicationReference": {"reference": f"Medication/med{at}"}} for at in range(9)]
    store = Store(*meds, *doses)
    found = chart({}, store).facts
    assert len(found.treatments) == 9
    assert [url for url in store.asked if url.startswith("Medication?")] == [
        "Medication?_id=" + ",".join(f"med{at}" for at in range(9)) + "&_count=9"
    ]


def test_references_elsewhere_are_never_read() -> None:
    """Only relative ones and those under the same base."""
    draft = order(requester={"reference": "https://evil.example/fhir/Practitioner/dr1"})
    dose = {**GIVEN, "medicationReference": {"reference": "https://evil.example/fhir/Medication/med1"}}
    store = Store(dose)
    chart({}, store, draft=draft, user="../../admin", performer="https://evil.example/Practitioner/9")
    assert not any("evil" in url or "admin" in url or "Practitioner/" in url for url in store.asked)


def test_what_the_policy_does_not_need_is_not_read() -> None:
    """Types and tests come from the policy."""
    store = Store(*STORE)
    found = chart({}, store, Needs({}, frozenset({"Patient"})))
    assert store.asked == ["Patient/p1"]
    assert found.facts.unread == frozenset()


def test_a_broken_resource_costs_itself_only() -> None:
    """It is counted, and the rest of the Bundle is read."""
    prefetch = {**full_prefetch(), "conditions": bundle(condition(), condition("c9", code="D67"), "x", 5)}
    found = chart(prefetch)
    assert len(found.facts.diagnoses) == 1
    assert set(found.broken["diagnoses"]) == {"Condition/c9", "Condition"}
    assert found.facts.unread == frozenset()


JUNK: list[Any] = [None, 0, True, "x", [], ["x"], [[]], {}, {"x": 1}, [{"x": 1}], Decimal("1E+400"), [None]]


@pytest.mark.parametrize("junk", JUNK, ids=lambda junk: str(junk)[:12])
def test_no_member_of_the_wrong_type_raises(junk: Any) -> None:
    """Each member of each resource, one after the other, replaced by something else."""
    for key, value in full_prefetch().items():
        for resource in [value] if key == "patient" else [one["resource"] for one in (value or {}).get("entry", [])]:
            for member in resource:
                bad = {**resource, member: junk}
                chart({**full_prefetch(), key: bad if key == "patient" else bundle(bad)})
        chart({**full_prefetch(), key: junk})
    for member in order():
        chart(full_prefetch(), draft={**order(), member: junk})
    chart(junk)


def test_results_are_newest_first_and_undated_ones_last() -> None:
    """Whatever the order in which they came."""
    held = [
        observation("a", "777-3", 1, "2026-01-01"),
        observation("b", "777-3", 1, "bad"),
        observation("c", "777-3", 1),
    ]
    found = chart({**full_prefetch(), "observations": bundle(*held)}).facts
    assert [one.reference for one in found.results["platelets"]] == ["Observation/c", "Observation/a", "Observation/b"]


def test_active_service_requests_are_kept_for_what_is_ordered_already() -> None:
    """And no others."""
    held = [of_patient("ServiceRequest", "s1", status="active"), of_patient("ServiceRequest", "s2", status="revoked")]
    assert [one["id"] for one in chart({"serviceRequests": bundle(*held)}).ordered] == ["s1"]


@responses.activate
def test_a_fault_of_one_search_leaves_the_rest() -> None:
    """Over HTTP: a server that knows the patient and fails at everything else."""
    responses.get(f"{BASE}/Patient/p1", json=PATIENT)
    responses.get(re.compile(rf"{BASE}/(?!Patient).*"), status=500)
    client = FhirClient()
    asked = Asked("p1", (order(),), DAY, (order(),), None)
    (found,) = gather(NEEDS, asked, VOCABULARY, client, Server(BASE), time.monotonic() + 5)
    client.close()
    assert found.facts.person is not None
    assert found.facts.unread == EVERYTHING | {"bills"}
    assert set(found.failures.values()) == {Failure.SERVER_ERROR}
    assert all(name.isascii() and "p1" not in name for name in found.failures)


def test_a_server_that_never_answers_costs_the_deadline_and_no_more() -> None:
    """What was sent counts, the rest is unread."""
    client = FhirClient()
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        server = Server(f"http://127.0.0.1:{listener.getsockname()[1]}/fhir")
        asked = Asked("p1", (order(),), DAY, (order(),), {"patient": PATIENT})
        started = time.monotonic()
        (found,) = gather(NEEDS, asked, VOCABULARY, client, server, started + 0.4)
        assert time.monotonic() - started < 0.5
    client.close()
    assert found.facts.person is not None
    assert found.facts.unread == EVERYTHING | {"bills"}
    assert set(found.failures.values()) == {Failure.TIMEOUT}


BILLING = Needs({}, frozenset({"Patient", "ChargeItem", "Claim"}), billed=frozenset({"drug.gene"}))
BILL = {
    **of_patient("ChargeItem", "b1", status="billed", occurrenceDateTime="2024-02-01"),
    "code": concept("J1411", system="https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"),
}
NO_SUCH_TYPE = {"severity": "error", "code": "processing", "diagnostics": "Unknown resource type 'Claim'"}


def billed(refused: Failure | None = None, prefetch: Any = None) -> Chart:
    class Bills(Store):
        def _read(self, query: Query, url: str) -> Reply:
            if refused is not None and query.path in ("ChargeItem", "Claim"):
                return Reply([], refused)
            return super()._read(query, url)

        def _fits(self, resource: Any, name: str, value: str) -> bool:
            codes = [one["code"] for one in resource.get("code", {}).get("coding", [])]
            return name != "code" or any(code in value.split(",") for code in codes)

    return chart(prefetch or {}, Bills(PATIENT, BILL), BILLING)


def test_charges_are_asked_for_by_code_and_claims_for_the_patient() -> None:
    """A chart holds thousands of charges; a claim's lines cannot be searched."""
    store = Store(PATIENT)
    chart({}, store, BILLING)
    assert store.asked == [
        "Patient/p1",
        "ChargeItem?patient=p1&_count=200&code=J1411",
        "Claim?patient=p1&_sort=-created&_count=200",
    ]
    assert [one.reference for one in billed().facts.treatments] == ["ChargeItem/b1"]


@pytest.mark.parametrize("failure", [Failure.NOT_FOUND, Failure.FORBIDDEN, Failure.NOT_SUPPORTED])
def test_a_server_that_does_not_offer_bills_has_told_all_there_is(failure: Failure) -> None:
    """Many have none to offer, or not to this caller: the record is what it serves."""
    found = billed(failure)
    assert (found.facts.unread, dict(found.failures)) == (frozenset(), {})


@pytest.mark.parametrize(
    "failure", [Failure.SERVER_ERROR, Failure.TIMEOUT, Failure.UNAUTHORIZED, Failure.REFUSED, Failure.BUSY]
)
def test_bills_that_could_not_be_read_are_unread(failure: Failure) -> None:
    """They are there, and may hold something."""
    assert billed(failure).facts.unread == {"bills"}


def test_bills_that_nobody_sent_and_no_server_has_are_not_missed() -> None:
    """An EHR that sends its whole record has none."""
    assert chart({"patient": PATIENT}, None, BILLING).facts.unread == frozenset()


@pytest.mark.parametrize(
    ("issue", "unread"),
    [
        (NO_SUCH_TYPE, set()),
        ({"severity": "error", "code": "not-supported"}, set()),
        ({"severity": "error", "code": "forbidden"}, set()),
        ({"severity": "error", "code": "timeout"}, {"bills"}),
        ({"severity": "error", "code": "processing", "diagnostics": "Out of memory"}, {"bills"}),
    ],
)
def test_a_client_says_of_bills_whether_there_are_none_or_it_failed(issue: Any, unread: set[str]) -> None:
    """An OperationOutcome under our key."""
    sent = {"patient": PATIENT, "claims": {"resourceType": "OperationOutcome", "issue": [issue]}}
    assert billed(prefetch=sent).facts.unread == unread


def test_another_type_that_is_not_offered_is_unread() -> None:
    """Only bills can be done without."""
    sent = {**full_prefetch(), "conditions": {"resourceType": "OperationOutcome", "issue": [NO_SUCH_TYPE]}}
    assert chart(sent).facts.unread == {"diagnoses"}
