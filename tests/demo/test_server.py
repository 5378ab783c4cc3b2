"""The demo's own FHIR server where it is stricter than others: nothing is ignored in silence, every error is FHIR."""

import threading

import pytest
from flask import Flask
from flask.testing import FlaskClient

from cds_service.demo.server import fhir_blueprint
from cds_service.demo.store import Store

BASE = "/demo/fhir"
PLATELETS = {"coding": [{"system": "http://loinc.org", "code": "777-3"}]}


@pytest.fixture
def store() -> Store:
    store = Store()
    for number in range(45):
        result = {"resourceType": "Observation", "id": f"o{number:02}", "status": "final", "code": PLATELETS}
        store.put(
            {**result, "subject": {"reference": "Patient/p"}, "effectiveDateTime": f"2026-01-{number % 28 + 1:02}"}
        )
    return store


@pytest.fixture
def client(store: Store) -> FlaskClient:
    app = Flask(__name__)
    app.register_blueprint(fhir_blueprint(store))
    return app.test_client()


@pytest.mark.parametrize(
    "search",
    [
        "patient=",
        "patient=p&code=",
        "code=,",
        "shoe-size=44",
        "_bogus=1",
        "code:in=http://x",
        "date=yesterday",
        "date=2026-13",
        "date=ap2026",
        "_sort=shoe-size",
        "_sort=status",
        "_count=abc",
        "_count=-1",
        "_total=bogus",
        "_include=Observation:shoe",
        "_summary=text",
        "_elements=code",
    ],
)
def test_what_is_not_understood_is_refused(client: FlaskClient, search: str) -> None:
    """An empty value, an unknown parameter or modifier, or a malformed value is 400 with an OperationOutcome."""
    answer = client.get(f"{BASE}/Observation?{search}")
    assert (answer.status_code, answer.json["resourceType"]) == (400, "OperationOutcome")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "", 400),
        ("GET", "/Shoe", 404),
        ("GET", "/Shoe/1", 404),
        ("GET", "/Patient/nobody", 404),
        ("GET", "/Patient/1/Observation", 405),
        ("PATCH", "/Patient/1", 405),
        ("PUT", "/Patient", 405),
        ("GET", "?_getpages=gone", 410),
    ],
)
def test_every_error_is_an_operation_outcome(client: FlaskClient, method: str, path: str, status: int) -> None:
    """No path and no method answers with HTML."""
    answer = client.open(f"{BASE}{path}", method=method)
    assert (answer.status_code, answer.json["resourceType"]) == (status, "OperationOutcome")
    assert answer.mimetype == "application/fhir+json"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"resourceType": "Patient"}', b'{"resourceType": "Observation", "id": "x"}']
)
def test_a_body_that_is_not_the_resource_is_refused(client: FlaskClient, body: bytes) -> None:
    """A PUT takes JSON of the type and the id in its path."""
    answer = client.put(f"{BASE}/Observation/o1", data=body, content_type="application/fhir+json")
    assert (answer.status_code, answer.json["resourceType"]) == (400, "OperationOutcome")


def test_a_resource_as_a_form_is_refused(client: FlaskClient) -> None:
    """A resource is sent as JSON, and a POST search as a form."""
    assert client.post(f"{BASE}/Patient", data={"a": "b"}).status_code == 415
    assert client.post(f"{BASE}/Patient/_search", json={}).status_code == 415


def test_the_capability_statement_says_r4(client: FlaskClient) -> None:
    """The metadata names FHIR 4.0.1 and every type that is served."""
    found = client.get(f"{BASE}/metadata").json
    assert (found["resourceType"], found["fhirVersion"]) == ("CapabilityStatement", "4.0.1")
    assert "Observation" in {one["type"] for one in found["rest"][0]["resource"]}


def test_a_page_has_twenty_matches_unless_asked(client: FlaskClient) -> None:
    """The rest is behind `next`, which is the base itself with a query."""
    first = client.get(f"{BASE}/Observation?patient=p").json
    assert (len(first["entry"]), first["total"]) == (20, 45)
    following = first["link"][1]["url"]
    assert following.startswith("http://localhost/demo/fhir?_getpages=")
    assert len(client.get(following).json["entry"]) == 20


def test_pages_stay_as_they_were_found(client: FlaskClient, store: Store) -> None:
    """A result that arrives between two pages neither repeats nor hides another."""
    first = client.get(f"{BASE}/Observation?patient=p&_sort=-date&_count=30").json
    newer = {"resourceType": "Observation", "status": "final", "subject": {"reference": "Patient/p"}}
    store.add({**newer, "effectiveDateTime": "2026-12-01"})
    second = client.get(first["link"][1]["url"]).json
    seen = [entry["resource"]["id"] for page in (first, second) for entry in page["entry"]]
    assert len(seen) == len(set(seen)) == 45


def test_a_count_of_nought_gives_the_total_alone(client: FlaskClient) -> None:
    """`_count=0` and `_summary=count` count without entries."""
    for search in ("_count=0", "_summary=count"):
        found = client.get(f"{BASE}/Observation?patient=p&{search}").json
        assert (found["total"], "entry" in found) == (45, False)


def test_a_version_counts_up(client: FlaskClient) -> None:
    """Each write has the next version, and a read says which it is."""
    for version in ("1", "2"):
        client.put(f"{BASE}/Patient/p", json={"resourceType": "Patient", "id": "p"})
        answer = client.get(f"{BASE}/Patient/p")
        assert (answer.json["meta"]["versionId"], answer.headers["ETag"]) == (version, f'W/"{version}"')


def test_a_new_resource_gets_an_id_and_a_location(client: FlaskClient) -> None:
    """POST answers 201 with where the resource is."""
    answer = client.post(f"{BASE}/Patient", json={"resourceType": "Patient", "id": "mine"})
    assert answer.status_code == 201
    assert answer.json["id"] != "mine"
    assert client.get(answer.headers["Location"]).json == answer.json


def test_a_deleted_resource_is_gone(client: FlaskClient) -> None:
    """A read after a delete is 410, not 404; and a search does not find it."""
    client.delete(f"{BASE}/Observation/o00")
    assert client.get(f"{BASE}/Observation/o00").status_code == 410
    assert client.get(f"{BASE}/Observation?_id=o00").json["total"] == 0


def test_a_conditional_create_makes_no_second_one(client: FlaskClient) -> None:
    """If-None-Exist answers with the one that is there."""
    headers = {"If-None-Exist": "_id=o01"}
    answer = client.post(f"{BASE}/Observation", json={"resourceType": "Observation"}, headers=headers)
    assert (answer.status_code, answer.json["id"]) == (200, "o01")


def test_numbers_keep_their_digits(client: FlaskClient) -> None:
    """0.80 comes back as 0.80, and a long decimal whole."""
    body = b'{"resourceType":"Observation","id":"d","valueQuantity":{"value":0.80},"x":1.2345678901234567890123}'
    client.put(f"{BASE}/Observation/d", data=body, content_type="application/fhir+json")
    text = client.get(f"{BASE}/Observation/d").text
    assert '"value":0.80' in text
    assert "1.2345678901234567890123" in text


def test_a_failing_search_is_500_and_fails_alone(client: FlaskClient, store: Store) -> None:
    """Results of one patient cannot be searched; other patients and other types can."""
    store.fail("Observation", "p")
    for search in (
        "Observation?patient=p",
        "Observation?subject=Patient/p&code=777-3",
        "Observation?patient=Patient/p",
    ):
        answer = client.get(f"{BASE}/{search}")
        assert (answer.status_code, answer.json["resourceType"]) == (500, "OperationOutcome")
    assert client.get(f"{BASE}/Observation?patient=q").status_code == 200
    assert client.get(f"{BASE}/Condition?patient=p").status_code == 200


def test_a_failing_search_fails_in_a_batch_too(client: FlaskClient, store: Store) -> None:
    """A batch carries the failure in its place."""
    store.fail("Observation", "p")
    entries = [{"request": {"method": "GET", "url": url}} for url in ("Observation?patient=p", "Observation/o01")]
    found = client.post(BASE, json={"resourceType": "Bundle", "type": "batch", "entry": entries}).json
    assert [entry["response"]["status"][:3] for entry in found["entry"]] == ["500", "200"]


@pytest.mark.parametrize(
    "entry", [None, {}, {"request": None}, {"request": {"method": "GET"}}, {"request": {"method": "POST", "url": ""}}]
)
def test_a_malformed_entry_of_a_batch_fails_alone(client: FlaskClient, entry: object) -> None:
    """The other entries are answered."""
    good = {"request": {"method": "GET", "url": "Observation/o01"}}
    found = client.post(BASE, json={"resourceType": "Bundle", "type": "batch", "entry": [entry, good]}).json
    assert [one["response"]["status"][:1] for one in found["entry"]] == ["4", "2"]


@pytest.mark.parametrize("code", [5, "x", [], [1], {"coding": 5}, {"coding": ["x", {"code": 7}]}, {"text": 5}])
def test_a_broken_resource_hides_only_itself(client: FlaskClient, code: object) -> None:
    """A search passes over what it cannot read, and finds the others."""
    broken = {"resourceType": "Observation", "id": "b", "code": code, "effectiveDateTime": 7, "subject": "Patient/p"}
    client.put(f"{BASE}/Observation/b", json=broken)
    for search in ("code=777-3", "code:text=AAV5", "date=ge2020", "patient=p&_sort=-date"):
        assert client.get(f"{BASE}/Observation?{search}").status_code == 200
    assert client.get(f"{BASE}/Observation?patient=p&code=777-3&_sort=-date").json["total"] == 45


def test_a_time_zone_counts_only_beside_a_time(client: FlaskClient) -> None:
    """A search by day compares the day as written; one by instant compares instants."""
    late = {"resourceType": "Observation", "id": "z", "subject": {"reference": "Patient/z"}}
    client.put(f"{BASE}/Observation/z", json={**late, "effectiveDateTime": "2026-04-30T23:30:00-05:00"})
    assert client.get(f"{BASE}/Observation?patient=z&date=2026-05-01").json["total"] == 0
    assert client.get(f"{BASE}/Observation?patient=z&date=ge2026-05-01T00:00:00Z").json["total"] == 1


def test_many_writers_lose_nothing(store: Store) -> None:
    """Eight threads adding at once leave every resource behind."""
    before = len(store.all_of("Observation"))

    def add() -> None:
        for _ in range(50):
            store.add({"resourceType": "Observation", "status": "final"})

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.all_of("Observation")) == before + 400


def test_a_stored_resource_does_not_change_under_a_reader(store: Store) -> None:
    """What the caller does to its own copy afterwards is not in the store."""
    mine = {"resourceType": "Patient", "id": "p", "name": [{"family": "Example"}]}
    store.put(mine)
    mine["name"].clear()
    assert store.get("Patient", "p")["name"] == [{"family": "Example"}]
