"""The searches that the service sends, against any FHIR R4 server: what must come back, and in which order."""

import pytest
from search_record import FORM, ICD10, LOINC, Server, included, matches

BOTH_TESTS = f"{LOINC}|777-3,{LOINC}|3187-2"


def short(ids: list[str]) -> list[str]:
    """The ids without the patient's."""
    return [found.rpartition("-")[2] for found in ids]


def test_a_patient_is_read_by_id(server: Server, patient: str) -> None:
    """A read answers with the resource."""
    status, found = server.get(f"Patient/{patient}")
    assert (status, found["resourceType"], found["id"]) == (200, "Patient", patient)


def test_a_resource_that_is_not_there_is_404(server: Server, patient: str) -> None:
    """A read of nothing answers 404 with an OperationOutcome."""
    status, found = server.get(f"Patient/{patient}-nobody")
    assert (status, found["resourceType"]) == (404, "OperationOutcome")


def test_results_by_code_newest_first_undated_last(server: Server, patient: str) -> None:
    """Results of a code come newest first, by the start of their date; one without a date is not lost."""
    found = server.found(f"Observation?patient={patient}&code={LOINC}|777-3&_sort=-date&_count=10")
    assert short(found) == ["p2", "p3", "p1", "p4"]


def test_results_oldest_first_undated_last(server: Server, patient: str) -> None:
    """Oldest first, the one without a date is last as well."""
    found = server.found(f"Observation?patient={patient}&code={LOINC}|777-3&_sort=date&_count=10")
    assert short(found) == ["p1", "p3", "p2", "p4"]


def test_a_count_cuts_after_sorting(server: Server, patient: str) -> None:
    """The newest two of two codes are the newest two of all, not the first two stored."""
    found = server.found(f"Observation?patient={patient}&code={BOTH_TESTS}&_sort=-date&_count=2")
    assert short(found) == ["p2", "p3"]


def test_a_period_sorts_by_its_start_and_a_year_by_its_first_day(server: Server, patient: str) -> None:
    """A partial date and a period have their place among the others."""
    found = server.found(f"Observation?patient={patient}&code={LOINC}|3187-2&_sort=-date")
    assert short(found) == ["f1", "f2"]


@pytest.mark.parametrize("subject", ["patient={0}", "patient=Patient/{0}", "subject=Patient/{0}", "subject={0}"])
def test_a_patient_can_be_named_in_four_ways(server: Server, patient: str, subject: str) -> None:
    """`patient` and `subject`, with and without the type, find the same."""
    found = server.found(f"Observation?{subject.format(patient)}&code={LOINC}|3187-2&_sort=-date")
    assert found == [f"{patient}-f1", f"{patient}-f2"]


def test_nobody_s_results_are_an_empty_bundle(server: Server, patient: str) -> None:
    """A search for an unknown patient is 200 without matches."""
    assert server.found(f"Observation?patient={patient}-nobody&code={LOINC}|777-3") == []


def test_a_code_without_a_system_is_found(server: Server, patient: str) -> None:
    """A bare code finds the code of any system."""
    assert sorted(short(server.found(f"Observation?patient={patient}&code=3187-2"))) == ["f1", "f2"]


def test_a_code_of_another_system_is_not_found(server: Server, patient: str) -> None:
    """The system of a code counts."""
    assert server.found(f"Observation?patient={patient}&code={ICD10}|3187-2") == []


def test_a_test_is_found_by_the_text_of_its_code(server: Server, patient: str) -> None:
    """`code:text` finds a local code by the beginning of its name, in any case."""
    assert short(server.found(f"Observation?patient={patient}&code:text=aav5")) == ["a1"]


def test_results_by_category_and_status(server: Server, patient: str) -> None:
    """Category and status narrow a search together."""
    found = server.found(f"Observation?patient={patient}&category=laboratory&status=preliminary")
    assert short(found) == ["p3"]


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("ge2026-04-20", {"p2", "p3"}),
        ("gt2026-04-20", {"p2"}),
        ("le2026-03-01", {"p1", "f1", "f2"}),
        ("lt2026-03-01", {"f1", "f2"}),
        ("2026-04", {"p3"}),
        ("eq2026-05-10", {"p2"}),
        ("ge2026-02-02", {"p1", "p2", "p3", "f1"}),
        ("ge2019-06-01", {"p1", "p2", "p3", "f1", "f2"}),
    ],
)
def test_dates_compare_as_ranges(server: Server, patient: str, date: str, expected: set[str]) -> None:
    """A month, a year and a period count with every day that they may mean."""
    found = server.found(f"Observation?patient={patient}&code={BOTH_TESTS}&date={date}&_count=50")
    assert set(short(found)) == expected


def test_two_dates_make_a_window(server: Server, patient: str) -> None:
    """The same parameter twice means both."""
    found = server.found(
        f"Observation?patient={patient}&code={LOINC}|777-3&date=ge2026-03-01&date=le2026-04-30&_sort=date"
    )
    assert short(found) == ["p1", "p3"]


def test_problems_of_a_patient(server: Server, patient: str) -> None:
    """All problems, and one by its code."""
    assert sorted(short(server.found(f"Condition?patient={patient}"))) == ["d67", "i62"]
    assert short(server.found(f"Condition?patient={patient}&code={ICD10}|D67")) == ["d67"]


def test_coverage_by_patient_and_status(server: Server, patient: str) -> None:
    """The active coverage alone."""
    assert short(server.found(f"Coverage?patient={patient}&status=active")) == ["c1"]


def test_coverage_by_beneficiary(server: Server, patient: str) -> None:
    """`beneficiary` finds what `patient` finds."""
    assert sorted(short(server.found(f"Coverage?beneficiary=Patient/{patient}"))) == ["c1", "c2"]


@pytest.mark.parametrize(
    ("resource_type", "expected"),
    [
        ("MedicationRequest", ["r1", "r2"]),
        ("MedicationAdministration", ["g1"]),
        ("MedicationStatement", ["s1"]),
        ("MedicationDispense", ["x1"]),
        ("ChargeItem", ["ci1", "ci2"]),
        ("Claim", ["cl1", "cl2"]),
        ("Procedure", ["t1"]),
        ("DiagnosticReport", ["e1"]),
        ("DocumentReference", ["n1"]),
        ("Encounter", ["visit"]),
    ],
)
def test_everything_of_a_patient(server: Server, patient: str, resource_type: str, expected: list[str]) -> None:
    """Each type that a chart is read from is found by its patient, and only that patient's."""
    found = server.found(f"{resource_type}?patient={patient}&_count=100")
    assert sorted(found) == [f"{patient}-{name}" for name in expected]


def test_charges_by_bare_code(server: Server, patient: str) -> None:
    """Under whatever name of its system."""
    assert short(server.found(f"ChargeItem?patient={patient}&_count=200&code=J1411,J1412")) == ["ci1"]


def test_claims_newest_first(server: Server, patient: str) -> None:
    """By the day of creation."""
    assert short(server.found(f"Claim?patient={patient}&_sort=-created&_count=200")) == ["cl2", "cl1"]


def test_running_orders(server: Server, patient: str) -> None:
    """Medication orders by status."""
    assert short(server.found(f"MedicationRequest?patient={patient}&status=active")) == ["r1"]


def test_the_drug_that_an_order_points_to_comes_along(server: Server, patient: str) -> None:
    """`_include` adds the Medication, marked as included and not counted as a match."""
    status, bundle = server.get(
        f"MedicationRequest?patient={patient}&status=active&_include=MedicationRequest:medication"
    )
    assert (status, short(matches(bundle))) == (200, ["r1"])
    assert included(bundle) == [f"Medication/{patient}-drug"]


def test_a_role_brings_the_person_and_the_organization(server: Server, patient: str) -> None:
    """Two `_include` on a PractitionerRole add both."""
    status, bundle = server.get(
        f"PractitionerRole?practitioner={patient}-doc"
        "&_include=PractitionerRole:practitioner&_include=PractitionerRole:organization"
    )
    assert (status, short(matches(bundle))) == (200, ["role"])
    assert sorted(included(bundle)) == [f"Organization/{patient}-org", f"Practitioner/{patient}-doc"]


def test_several_resources_by_id(server: Server, patient: str) -> None:
    """`_id` takes a list; an unknown id is simply not found."""
    found = server.found(f"Practitioner?_id={patient}-doc,{patient}-nobody")
    assert found == [f"{patient}-doc"]


def test_form_answers_by_form_of_any_version(server: Server, patient: str) -> None:
    """A canonical without a version finds the answers to every version, and not those to another form."""
    found = server.found(f"QuestionnaireResponse?patient={patient}&questionnaire={FORM}")
    assert sorted(short(found)) == ["q1", "q2"]


def test_form_answers_newest_first(server: Server, patient: str) -> None:
    """Form answers sort by the day they were written, undated last."""
    assert short(server.found(f"QuestionnaireResponse?patient={patient}&_sort=-authored")) == ["q2", "q1", "q3"]


def test_a_patient_by_identifier(server: Server, patient: str) -> None:
    """A record number with its system finds its patient."""
    assert server.found(f"Patient?identifier=http://example.org/numbers|{patient}") == [patient]


def test_a_patient_by_the_beginning_of_the_name(server: Server, patient: str) -> None:
    """A name is found by its beginning, in any case."""
    assert server.found(f"Patient?name=searcher{patient[:-2]}") == [patient]


def test_a_search_by_post_finds_the_same(server: Server, patient: str) -> None:
    """A search too long for a URL is sent as a form."""
    status, bundle = server.post_search(
        "Observation", {"patient": patient, "code": f"{LOINC}|777-3", "_sort": "-date", "_count": "10"}
    )
    assert (status, short(matches(bundle))) == (200, ["p2", "p3", "p1", "p4"])


def test_pages_are_followed_to_the_end(server: Server, patient: str) -> None:
    """`next` leads through all matches, once each, in order, on the server's own base."""
    url: str | None = f"Observation?patient={patient}&code={BOTH_TESTS}&_sort=-date,_id&_count=2"
    seen: list[str] = []
    while url:
        status, bundle = server.get(url)
        assert status == 200, bundle
        seen += matches(bundle)
        links = {link["relation"]: link["url"] for link in bundle.get("link", [])}
        url = links.get("next")
        assert url is None or url.startswith((f"{server.base}?", f"{server.base}/"))
    assert short(seen) == ["p2", "p3", "p1", "f1", "f2", "p4"]


def test_the_total_counts_matches_of_all_pages(server: Server, patient: str) -> None:
    """`_total=accurate` is the number of matches, whatever the page holds."""
    status, bundle = server.get(f"Observation?patient={patient}&code={BOTH_TESTS}&_count=1&_total=accurate")
    assert (status, bundle["total"]) == (200, 6)


def test_a_batch_of_reads_and_searches(server: Server, patient: str) -> None:
    """Every entry is answered in its place, failures among them."""
    urls = [f"Patient/{patient}", f"Patient/{patient}-nobody", f"Condition?patient={patient}&code=D67"]
    entries = [{"request": {"method": "GET", "url": url}} for url in urls]
    status, bundle = server.post("", {"resourceType": "Bundle", "type": "batch", "entry": entries})
    assert (status, bundle["type"]) == (200, "batch-response")
    found = bundle["entry"]
    assert [entry["response"]["status"][:3] for entry in found] == ["200", "404", "200"]
    assert found[0]["resource"]["id"] == patient
    assert short(matches(found[2]["resource"])) == ["d67"]


def test_an_unknown_search_parameter_is_refused(server: Server, patient: str) -> None:
    """What a server does not know must not be ignored in silence."""
    status, found = server.get(f"Observation?patient={patient}&shoe-size=44")
    assert (status, found["resourceType"]) == (400, "OperationOutcome")


def test_a_new_result_is_found_at_once(server: Server, patient: str) -> None:
    """What was created is in the next search, and what was deleted is not."""
    order = {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "code": {"coding": [{"system": LOINC, "code": "777-3"}]},
        "subject": {"reference": f"Patient/{patient}"},
    }
    status, stored = server.post("ServiceRequest", order)
    assert status == 201
    search = f"ServiceRequest?patient={patient}&code={LOINC}|777-3&status=active"
    assert server.found(search) == [stored["id"]]
    assert server.delete(f"ServiceRequest/{stored['id']}") in (200, 204)
    assert server.found(search) == []
