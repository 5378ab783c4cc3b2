"""Feedback: kept with the card that it answers, once, and shown to the operator."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from signing import Ehr, Json

from cds_service.app import create_app
from cds_service.cli import main
from cds_service.settings import Settings
from hooks.feedback import Feedback, parse_feedback
from hooks.registry import HOOKS
from hooks.wire import encode

AT = "2026-11-24T12:00:00Z"
ACCEPTED: Json = {"card": "c", "outcome": "accepted", "acceptedSuggestions": [{"id": "s"}], "outcomeTimestamp": AT}
OVERRIDDEN: Json = {"card": "c", "outcome": "overridden", "outcomeTimestamp": AT}
CODE: Json = {"system": "urn:drug-coverage:override-reason", "code": "urgent"}


def parsed(**members: Any) -> Feedback:
    """The one feedback with these members."""
    base = ACCEPTED if members.get("outcome", "overridden") == "accepted" else OVERRIDDEN
    (found,) = parse_feedback(encode({"feedback": [{**base, **members}]}))
    return found


def test_the_operator_sees_what_became_of_the_cards(settings: Settings, client: FlaskClient, tmp_path: Path) -> None:
    """Per kind of card: accepted, overridden, and why; the same sent again counts once."""
    service = create_app(settings.model_copy(update={"data_dir": tmp_path})).test_client()
    _, reminder, form = Ehr(service, {}).sign("demo-labs-missing")["cards"]
    sent = [
        {**ACCEPTED, "card": reminder["uuid"], "acceptedSuggestions": [{"id": reminder["suggestions"][0]["uuid"]}]},
        {**OVERRIDDEN, "card": form["uuid"], "overrideReason": {"reason": CODE, "userComment": "faxed"}},
        {**OVERRIDDEN, "card": "of-nobody"},
    ]
    for _ in range(2):
        response = service.post(
            "/cds-services/order-sign-crd/feedback", data=encode({"feedback": sent}), content_type="application/json"
        )
        assert (response.status_code, response.data) == (200, b"")
    result = CliRunner(env={"CDS_DATA_DIR": str(tmp_path)}).invoke(main, ["feedback"])
    rows = [line.split() for line in result.output.splitlines() if line.startswith(("claim", "clinical", "unknown"))]
    assert rows == [
        ["unknown", "overridden", "1"],
        ["claim", "overridden", "1", "urgent"],
        ["clinical-reminder", "accepted", "1"],
    ]
    assert "faxed" not in result.output


@pytest.mark.parametrize("hook", HOOKS, ids=[hook.name for hook in HOOKS])
def test_each_service_takes_feedback(hook: Any, client: FlaskClient) -> None:
    """Of a card that is not known here too."""
    path = f"/cds-services/{hook.service_id}/feedback"
    response = client.post(path, data=encode({"feedback": [ACCEPTED]}), content_type="application/json")
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("reason", "code", "comment"),
    [
        ({"reason": CODE, "userComment": "x"}, "urgent", "x"),
        ({"reason": CODE}, "urgent", ""),
        ({"userComment": "x"}, "", "x"),
        ({**CODE, "userComment": "x"}, "urgent", "x"),
        ({}, "", ""),
        (None, "", ""),
    ],
    ids=["both", "code", "comment", "as in 1.1", "empty", "none"],
)
def test_the_reason_is_read_as_each_version_writes_it(reason: Json | None, code: str, comment: str) -> None:
    """CDS Hooks 2.0 has the Coding under `reason`, 1.1 had its parts beside the comment."""
    found = parsed(overrideReason=deepcopy(reason))
    assert (found.reason_code, found.comment) == (code, comment)


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"outcome": "ignored"}, "feedback[0].outcome"),
        ({"card": None}, "feedback[0].card"),
        ({"card": {}}, "feedback[0].card"),
        ({"card": "x" * 201}, "feedback[0].card"),
        ({"outcomeTimestamp": None}, "feedback[0].outcomeTimestamp"),
        ({"outcomeTimestamp": "yesterday"}, "feedback[0].outcomeTimestamp"),
        ({"outcome": "accepted", "acceptedSuggestions": None}, "feedback[0].acceptedSuggestions"),
        ({"outcome": "accepted", "acceptedSuggestions": [{}]}, "feedback[0].acceptedSuggestions[0].id"),
        ({"overrideReason": []}, "feedback[0].overrideReason"),
        ({"overrideReason": {"reason": "x"}}, "feedback[0].overrideReason.reason"),
        ({"overrideReason": {"reason": {"code": 5}}}, "feedback[0].overrideReason.reason.code"),
        ({"overrideReason": {"userComment": 5}}, "feedback[0].overrideReason.userComment"),
    ],
    ids=repr,
)
def test_what_is_of_another_shape_is_named(members: Json, place: str, client: FlaskClient) -> None:
    """400 with the place; what was written is not repeated."""
    base = ACCEPTED if members.get("outcome") == "accepted" else OVERRIDDEN
    body = encode({"feedback": [{**base, **members}]})
    response = client.post("/cds-services/order-sign-crd/feedback", data=body, content_type="application/json")
    (issue,) = response.get_json()["issue"]
    assert (response.status_code, issue["expression"]) == (400, [place])
    assert "yesterday" not in issue["diagnostics"]


def test_more_than_the_ledger_can_take_at_once_is_refused(client: FlaskClient) -> None:
    """A hundred thousand elements would keep it from everybody else."""
    for count, status in ((1000, 200), (1001, 400)):
        sent = encode({"feedback": [{**ACCEPTED, "card": str(number)} for number in range(count)]})
        response = client.post("/cds-services/order-sign-crd/feedback", data=sent, content_type="application/json")
        assert response.status_code == status
