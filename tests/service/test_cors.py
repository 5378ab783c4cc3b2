"""Browser clients of other origins: only those that are listed, and none by default."""

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from cds_service.demo.run import demo_app, demo_settings

EHR = "http://127.0.0.1:9300"
OTHER = "https://elsewhere.example"
ALLOWED = "Access-Control-Allow-Origin"
PATHS = ("/cds-services", "/cds-services/order-sign-crd", "/demo/fhir/metadata", "/demo/fhir/Patient/_search")


def demo(folder: Path, **environment: str) -> FlaskClient:
    """A client of the demo: the service, and the EHR's FHIR server beside it."""
    return demo_app(demo_settings(9301, folder, environment)).test_client()


@pytest.fixture
def listed(tmp_path: Path) -> FlaskClient:
    """A client of the demo that lists two origins, one of them an address with characters of a pattern."""
    return demo(tmp_path, CDS_CORS_ORIGINS=f"{EHR}, http://[::1]:9300")


@pytest.fixture
def by_default(tmp_path: Path) -> FlaskClient:
    """A client of the demo without settings."""
    return demo(tmp_path)


def asked_first(origin: str) -> dict[str, str]:
    """The headers of a browser that asks before it calls."""
    wanted = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    return {"Origin": origin, **wanted}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("origin", [EHR, "http://[::1]:9300"])
def test_a_listed_origin_may_send_a_token_and_json(path: str, origin: str, listed: FlaskClient) -> None:
    """The preflight names the origin, POST, Authorization and Content-Type."""
    response = listed.options(path, headers=asked_first(origin))
    assert response.status_code == 200
    assert response.headers.getlist(ALLOWED) == [origin]
    assert "POST" in response.headers["Access-Control-Allow-Methods"]
    assert response.headers["Access-Control-Allow-Headers"] == "authorization, content-type"
    assert "Access-Control-Allow-Credentials" not in response.headers


@pytest.mark.parametrize("path", ["/cds-services", "/demo/fhir/metadata", "/demo/fhir/Patient/nobody"])
def test_a_listed_origin_may_read_answers_and_errors(path: str, listed: FlaskClient) -> None:
    """An error that a browser may not read would look like a service that is away."""
    response = listed.get(path, headers={"Origin": EHR, "Accept": "application/json+fhir"})
    assert response.headers.getlist(ALLOWED) == [EHR]


@pytest.mark.parametrize("origin", [OTHER, "null", EHR + "0", EHR.replace(".", "x"), "https://127.0.0.1:9300"])
def test_other_origins_get_no_header(origin: str, listed: FlaskClient) -> None:
    """Neither before a call nor with the answer."""
    for path in PATHS:
        assert ALLOWED not in listed.options(path, headers=asked_first(origin)).headers
        assert ALLOWED not in listed.get(path, headers={"Origin": origin}).headers


def test_a_kept_answer_is_for_its_origin_alone(listed: FlaskClient) -> None:
    """Discovery may be kept for an hour: opened as a page first, it must not be what a client's script is given."""
    for headers in ({}, {"Origin": EHR}, {"Origin": OTHER}):
        assert "Origin" in listed.get("/cds-services", headers=headers).headers["Vary"]


@pytest.mark.parametrize("path", PATHS)
def test_it_is_off_by_default(path: str, by_default: FlaskClient) -> None:
    """Without the setting no origin is named, not even the service's own."""
    for origin in (EHR, "http://127.0.0.1:9301"):
        headers = dict(by_default.options(path, headers=asked_first(origin)).headers)
        headers |= dict(by_default.get(path, headers={"Origin": origin}).headers)
        assert not [name for name in headers if name.startswith("Access-Control")]


def test_the_demo_asks_for_tokens_where_clients_are_registered(tmp_path: Path) -> None:
    """Both settings together, and nothing else of the environment, change that the demo takes every call."""
    clients = tmp_path / "clients.json"
    clients.write_text("[]")
    registered = {"CDS_AUTH": "required", "CDS_TRUSTED_CLIENTS": str(clients)}
    for environment, status in (({"CDS_AUTH": "required"}, 400), (registered, 401)):
        client = demo(tmp_path, **environment)
        assert client.post("/cds-services/order-sign-crd", json={}).status_code == status
