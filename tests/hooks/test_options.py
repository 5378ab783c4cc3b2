"""The configuration of a call: each option, odd ones, and the version asked for."""

import pytest
from flask.testing import FlaskClient
from signing import BY_ID, Ehr, Json, outcomes

from hooks.options import CARD_CODES, OPTIONS

MISSING = BY_ID["demo-labs-missing"]  # both kinds of card
EVERYTHING_OFF = {option.code: False for option in OPTIONS if option.type == "boolean"}


def configured(ehr: Ehr, configuration: object) -> Json:
    """The answer to signing with this configuration."""
    return ehr.sign(MISSING, extension={"davinci-crd.configuration": configuration})


def topics(answer: Json) -> list[str]:
    """The topic of each card."""
    return [card["source"]["topic"]["code"] for card in answer["cards"]]


@pytest.mark.conformance("dev-15")
def test_without_configuration_the_defaults_hold(ehr: Ehr) -> None:
    """Everything is answered, the most important card first."""
    answer = ehr.sign(MISSING)
    assert topics(answer)[0] == "guideline"
    assert "clinical-reminder" in topics(answer)
    assert len(answer["systemActions"]) == 1


@pytest.mark.conformance("dev-14", "dev-5")
@pytest.mark.parametrize("code", CARD_CODES)
def test_a_kind_of_card_that_is_off_is_not_returned(code: str, ehr: Ehr) -> None:
    """And every other kind still is."""
    everything = topics(ehr.sign(MISSING))
    assert topics(configured(ehr, {code: False})) == [topic for topic in everything if topic != code]


@pytest.mark.conformance("dev-14", "resp-28")
def test_coverage_information_that_is_off_is_not_returned(ehr: Ehr) -> None:
    """The cards stay."""
    answer = configured(ehr, {"coverage-info": False})
    assert answer["systemActions"] == []
    assert outcomes(answer) == ["documentation-missing"]


def test_the_cards_that_are_off_leave_coverage_information_alone(ehr: Ehr) -> None:
    """Each option turns off its own."""
    plain = ehr.sign(MISSING)
    answer = configured(ehr, {"guideline": False, "clinical-reminder": False, "claim": False})
    assert answer == {"cards": [], "systemActions": plain["systemActions"]}


@pytest.mark.conformance("dev-6", "dev-10")
@pytest.mark.parametrize(
    "configuration",
    [
        EVERYTHING_OFF,
        {**EVERYTHING_OFF, "max-cards": 5},
        {**EVERYTHING_OFF, "unsolicited-determ": True},
        {**EVERYTHING_OFF, "max-cards": 0, "unsolicited-determ": True},
    ],
    ids=["all off", "cards wanted of none", "a number without coverage information", "and none"],
)
def test_everything_off_gets_an_empty_answer(configuration: Json, ehr: Ehr) -> None:
    """A completed evaluation that says nothing."""
    assert configured(ehr, configuration) == {"cards": [], "systemActions": []}


def test_a_number_may_be_turned_off_alone(ehr: Ehr) -> None:
    """Where none is issued anyway, nothing changes."""
    assert configured(ehr, {"unsolicited-determ": False})["systemActions"] == ehr.sign(MISSING)["systemActions"]


@pytest.mark.parametrize(("most", "kept"), [(0, 0), (1, 1), (2, 2), (10**9, None), (10**30, None)])
def test_max_cards_bounds_the_cards_and_not_the_actions(most: int, kept: int | None, ehr: Ehr) -> None:
    """The most important are kept."""
    everything = topics(ehr.sign(MISSING))
    answer = configured(ehr, {"max-cards": most})
    assert topics(answer) == everything[:kept]
    assert len(answer["systemActions"]) == 1


@pytest.mark.conformance("dev-6")
@pytest.mark.parametrize("most", [-1, -(10**30), True, False, "1", 1.5, None, [1], {}], ids=repr)
def test_a_max_cards_that_is_no_count_is_ignored(most: object, ehr: Ehr) -> None:
    """The default holds."""
    assert topics(configured(ehr, {"max-cards": most})) == topics(ehr.sign(MISSING))


@pytest.mark.conformance("dev-6")
@pytest.mark.parametrize("value", [0, 1, "false", "", None, [], {}, 0.0], ids=repr)
@pytest.mark.parametrize("code", ["guideline", "coverage-info"])
def test_a_switch_that_is_no_boolean_is_ignored(code: str, value: object, ehr: Ehr) -> None:
    """The default holds."""
    answer = configured(ehr, {code: value})
    assert topics(answer) == topics(ehr.sign(MISSING))
    assert len(answer["systemActions"]) == 1


@pytest.mark.conformance("dev-17", "found-33")
def test_unknown_codes_are_ignored(ehr: Ehr) -> None:
    """Whatever their value."""
    answer = configured(ehr, {"network": False, "cost": 7, "x": {"y": []}, "": None, "Guideline": False})
    assert topics(answer) == topics(ehr.sign(MISSING))


@pytest.mark.parametrize("configuration", [[], "text", 5, None, True], ids=repr)
def test_a_configuration_that_is_no_object_is_ignored(configuration: object, ehr: Ehr) -> None:
    """No call fails because of it."""
    assert topics(configured(ehr, configuration)) == topics(ehr.sign(MISSING))


@pytest.mark.conformance("dev-2")
@pytest.mark.parametrize("version", ["2.2", None])
def test_the_advertised_version_can_be_asked_for(version: str | None, ehr: Ehr) -> None:
    """And so can none."""
    answer = ehr.sign(MISSING, extension={"davinci-crd.requestedVersion": version})
    assert len(answer["systemActions"]) == 1


@pytest.mark.parametrize("version", ["2.0", "2.1", "2.0.1", "2.2.1", "3.0", "", "v2.2"])
def test_a_version_that_is_not_advertised_is_refused(version: str, ehr: Ehr) -> None:
    """With what is supported."""
    response = ehr.post(ehr.call(MISSING, extension={"davinci-crd.requestedVersion": version}))
    assert response.status_code == 400
    (issue,) = response.get_json()["issue"]
    assert issue["code"] == "not-supported"
    assert "2.2" in issue["diagnostics"]


@pytest.mark.parametrize("version", [2.2, ["2.2"], {}, True], ids=repr)
def test_a_version_that_is_no_text_is_refused(version: object, ehr: Ehr) -> None:
    """With its type."""
    response = ehr.post(ehr.call(MISSING, extension={"davinci-crd.requestedVersion": version}))
    assert response.status_code == 400
    assert "requestedVersion" in response.get_json()["issue"][0]["diagnostics"]


def test_the_version_asked_for_stands_above_the_default(settings: object, ehr: Ehr, client: FlaskClient) -> None:
    """A caller of a 2.0.1 endpoint that asks for 2.2 is answered in 2.2."""
    from cds_service.app import create_app
    from cds_service.settings import Settings

    assert isinstance(settings, Settings)
    old = create_app(settings.model_copy(update={"default_dialect": "2.0.1"})).test_client()
    found = Ehr(old, ehr.templates).sign(MISSING, extension={"davinci-crd.requestedVersion": "2.2"})
    assert found["cards"][0]["source"]["topic"]["system"] == "http://terminology.hl7.org/CodeSystem/cdshooks-card-type"
