"""Orders signed in an EHR: each gets the plan's answer, and comes back as it came in."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from copy import deepcopy

import msgspec
import pytest
from signing import (
    BASE,
    BY_ID,
    EXTENSION,
    STORIES,
    Ehr,
    FhirServer,
    Json,
    call_of,
    context_of,
    criterion,
    determinations,
    guidance,
    order_of,
    outcomes,
    said_of,
    stated,
    updated,
    without,
)

from cds_service.demo.store import Store
from cds_service.demo.stories import Story
from hooks.wire import encode

Serving = Callable[[Store], AbstractContextManager[FhirServer]]
MET = BY_ID["demo-hemgenix-met"]
EVERY_STORY = pytest.mark.parametrize("story", STORIES, ids=[story.id for story in STORIES])
UNFAILING = [story for story in STORIES if not story.failing]


@EVERY_STORY
def test_each_story_gets_its_outcome_from_what_was_sent(story: Story, ehr: Ehr) -> None:
    """With the whole record sent and no FHIR server, the outcome is the one that the story was written for."""
    expected = [story.expected_outcome] if story.expected_outcome else []
    assert outcomes(ehr.sign(story)) == expected


@pytest.mark.parametrize("sent", ["advertised", "half", "other half", "none"])
@EVERY_STORY
def test_each_story_gets_its_outcome_however_much_was_sent(story: Story, sent: str, ehr: Ehr, serving: Serving) -> None:
    """What was not sent is read from the FHIR server, and the outcome is the same."""
    expected = [story.expected_outcome] if story.expected_outcome else []
    with serving(ehr.store(story)):
        assert outcomes(ehr.sign(story, sent=sent, fhirServer=BASE)) == expected


@pytest.mark.parametrize("subject", [None, {"identifier": {"value": "x"}}, {"reference": 7}, ["Patient/x"]])
def test_a_result_that_does_not_say_whose_it_is_keeps_its_criterion_open(subject: object, ehr: Ehr) -> None:
    """It may be this patient's newest: nothing of it is shown, and what an older one said does not stand."""
    call = ehr.call(MET)
    entries = call["prefetch"]["observations"]["entry"]
    newest = deepcopy(next(e["resource"] for e in entries if e["resource"]["id"] == f"{MET.id}-platelets"))
    newest |= {"id": "newest", "subject": subject, "valueQuantity": {**newest["valueQuantity"], "value": 12.75}}
    entries.append({"resource": {name: value for name, value in newest.items() if value is not None}})
    answer = ehr.answer(call)
    found = criterion(answer, "8c")
    assert (found["status"], found["reason"]) == ("unknown", "inconclusive")
    assert "12.75" not in str(answer)
    assert outcomes(answer) == ["documentation-missing"]


def test_orders_without_an_id_are_told_apart_by_their_full_urls(ehr: Ehr) -> None:
    """A draft that the EHR has not stored yet: cards and determinations name it by its entry's fullUrl."""
    names = ["urn:uuid:11111111-1111-4111-8111-111111111111", "urn:uuid:22222222-2222-4222-8222-222222222222"]
    order = {name: value for name, value in MET.order.items() if name != "id"}
    call = ehr.call(MET, order, deepcopy(order))
    for entry, name in zip(call["context"]["draftOrders"]["entry"], names, strict=True):
        entry["fullUrl"] = name
    answer = ehr.answer(call)
    assert [said["order"] for said in determinations(answer)] == names
    about = [card["extension"]["davinci-crd.associated-resource"] for card in answer["cards"]]
    assert about == [[{"reference": name}] for name in names]


def _words(answer: Json) -> list[object]:
    """What an answer says, without the ids made for it."""
    cards = [(card["summary"], card["detail"], card["indicator"]) for card in answer["cards"]]
    labels = [suggestion["label"] for card in answer["cards"] for suggestion in card.get("suggestions", ())]
    return [cards, labels, answer["systemActions"]]


@pytest.mark.parametrize("story", UNFAILING, ids=[story.id for story in UNFAILING])
def test_the_answer_is_the_same_word_for_word_however_much_was_sent(story: Story, ehr: Ehr, serving: Serving) -> None:
    """Cards, suggestions and coverage-information do not hang on what was sent and what was read."""
    with serving(ehr.store(story)):
        said = [_words(ehr.sign(story, sent=sent, fhirServer=BASE)) for sent in ("whole", "advertised", "half", "none")]
    assert said[1:] == said[:1] * 3


# What comes back


def _raw_order(call: bytes, at: int = 0) -> dict[str, bytes]:
    found = msgspec.json.decode(call, type=_Envelope).context.draftOrders.entry[at].resource
    return {name: bytes(raw) for name, raw in msgspec.json.decode(found, type=dict[str, msgspec.Raw]).items()}


class _Entry(msgspec.Struct):
    resource: msgspec.Raw


class _Orders(msgspec.Struct):
    entry: list[_Entry]


class _Context(msgspec.Struct):
    draftOrders: _Orders  # noqa: N815 - the specification's name


class _Envelope(msgspec.Struct):
    context: _Context


class _Action(msgspec.Struct):
    resource: dict[str, msgspec.Raw]


class _Answer(msgspec.Struct):
    systemActions: list[_Action]  # noqa: N815 - the specification's name


def _came_back(ehr: Ehr, call: bytes) -> list[dict[str, bytes]]:
    response = ehr.post(call)
    assert response.status_code == 200, response.get_data(as_text=True)
    actions = msgspec.json.decode(response.data, type=_Answer).systemActions
    return [{name: bytes(raw) for name, raw in action.resource.items()} for action in actions]


def _call_with(ehr: Ehr, written: bytes) -> bytes:
    """The call of the story in which everything is in place, with `written` as more members of its order."""
    body = encode(ehr.call(MET))
    return body.replace(b'"status":"draft"', b'"status":"draft",' + written, 1)


@pytest.mark.parametrize(
    "written",
    [
        b'"dose":0.80',
        b'"dose":1E5',
        b'"dose":1.0e-07',
        b'"dose":-0.0',
        b'"dose":12345678901234567890.123456789012345678901234567890',
        b'"dose":123456789012345678901234567890',
        b'"note":[{"text":"caf\\u00e9 \\/ caf\xc3\xa9 \\ud83d\\ude00"}]',
        b'"unheardOf":{"b":[1.10,{"a":null}],"a":true,  "c" : "" }',
        b'"contained":[{"resourceType":"Medication","id":"m","amount":{"value":1.50}}]',
        b'"_status":{"extension":[{"url":"http://ehr.example/x","valueDecimal":3.0}]}',
    ],
)
def test_an_order_comes_back_byte_for_byte(written: bytes, ehr: Ehr) -> None:
    """Digits, escapes, spaces, unknown and contained members: nothing changes but the extension that is added."""
    call = _call_with(ehr, written)
    sent = _raw_order(call)
    (back,) = _came_back(ehr, call)
    own = back.pop("extension")
    assert back == sent
    assert [found["url"] for found in msgspec.json.decode(own)] == [EXTENSION]


def test_members_come_back_in_the_order_in_which_they_came(ehr: Ehr) -> None:
    """The extension is added at the end, or stays where it was."""
    call = encode(ehr.call(MET))
    (back,) = _came_back(ehr, call)
    assert list(back) == [*_raw_order(call), "extension"]


def test_extensions_of_others_are_kept_byte_for_byte(ehr: Ehr) -> None:
    """Those that the order had stand before the one that is added."""
    others = (
        b'[{"url":"http://ehr.example/x","valueDecimal":0.80},  {"url":"http://ehr.example/y","valueString":"\\u00e9"}]'
    )
    (back,) = _came_back(ehr, _call_with(ehr, b'"extension":' + others))
    kept = msgspec.json.decode(back["extension"], type=list[msgspec.Raw])
    assert [bytes(raw) for raw in kept[:2]] == [
        b'{"url":"http://ehr.example/x","valueDecimal":0.80}',
        b'{"url":"http://ehr.example/y","valueString":"\\u00e9"}',
    ]
    assert msgspec.json.decode(kept[2])["url"] == EXTENSION


def test_numbers_too_long_to_keep_are_refused_or_come_back_whole(ehr: Ehr) -> None:
    """1e400 and thousands of digits are never rounded in silence."""
    for number in (b"1e400", b"0." + b"1" * 3000, b"9" * 3000):
        call = _call_with(ehr, b'"dose":' + number)
        response = ehr.post(call)
        if response.status_code == 200:
            assert b'"dose":' + number + b"," in response.data
        else:
            assert response.status_code == 400
            assert response.content_type == "application/fhir+json"


# One coverage-information for each order


def test_the_coverage_information_points_at_the_coverage_of_the_order(ehr: Ehr) -> None:
    """By the reference under which the EHR has it."""
    said = said_of(ehr.sign(MET))
    assert said["coverage"] == [{"reference": "Coverage/demo-hemgenix-met-coverage"}]
    assert said["date"] == ["2026-11-24"]


def test_the_card_and_the_coverage_information_share_the_assertion_id(ehr: Ehr) -> None:
    """By the one the other can be found again."""
    answer = ehr.sign(MET)
    assert said_of(answer)["coverage-assertion-id"] == [determinations(answer)[0]["assertionId"]]


def test_asked_twice_the_assertion_has_the_same_id(ehr: Ehr) -> None:
    """The same order, coverage and chart make the same assertion."""
    first, second = (said_of(ehr.sign(MET)) for _ in range(2))
    assert first == second


def test_another_coverage_makes_another_assertion(ehr: Ehr) -> None:
    """Two coverages of one order never share an assertion id (CRD resp-32)."""
    story = deepcopy(MET)
    other = next(resource for resource in story.resources if resource["resourceType"] == "Coverage")
    other["id"] = "another-coverage"
    order = order_of(MET.id, insurance=None)
    one = said_of(ehr.sign(MET, order))["coverage-assertion-id"]
    two = said_of(ehr.sign(story, order))["coverage-assertion-id"]
    assert one != two


def test_another_order_makes_another_assertion(ehr: Ehr) -> None:
    """An id belongs to one order."""
    one, two = (said_of(ehr.sign(MET, order_of(MET.id, id=name))) for name in ("order-a", "order-b"))
    assert one["coverage-assertion-id"] != two["coverage-assertion-id"]


def test_another_finding_makes_another_assertion(ehr: Ehr) -> None:
    """When the chart has changed, so that the answer does, it is another assertion."""
    story = deepcopy(MET)
    platelets = next(r for r in story.resources if r["id"] == f"{MET.id}-platelets")
    platelets["valueQuantity"]["value"] = 49
    one, two = said_of(ehr.sign(MET)), said_of(ehr.sign(story))
    assert one["coverage-assertion-id"] != two["coverage-assertion-id"]


def test_an_order_that_carries_this_very_assertion_gets_no_update(ehr: Ehr) -> None:
    """Nothing new is to be said, so nothing is written (CRD resp-35); the card is there all the same."""
    (back,) = updated(ehr.sign(MET))
    again = ehr.sign(MET, back)
    assert again["systemActions"] == []
    assert outcomes(again) == ["criteria-met"]


def test_an_earlier_assertion_of_this_coverage_is_replaced(ehr: Ehr) -> None:
    """The order carries one word of the plan on each coverage, the newest, and what others wrote stays."""
    (back,) = updated(ehr.sign("demo-hemgenix-met"))
    back["extension"].insert(0, {"url": "http://ehr.example/x", "valueString": "kept"})
    story = deepcopy(MET)
    platelets = next(r for r in story.resources if r["id"] == f"{MET.id}-platelets")
    platelets["valueQuantity"]["value"] = 49
    (newer,) = updated(ehr.sign(story, back))
    assert [found["url"] for found in newer["extension"]] == ["http://ehr.example/x", EXTENSION]
    assert stated(newer)[0]["coverage-assertion-id"] != stated(back)[0]["coverage-assertion-id"]


def test_an_earlier_assertion_is_known_whatever_the_ehr_added_to_it(ehr: Ehr) -> None:
    """A display beside the reference makes it no other coverage."""
    (back,) = updated(ehr.sign(MET))
    part = next(part for part in back["extension"][0]["extension"] if part["url"] == "coverage")
    part["valueReference"]["display"] = "Example Choice PPO"
    assert ehr.sign(MET, back)["systemActions"] == []


def test_an_assertion_about_another_coverage_is_kept(ehr: Ehr) -> None:
    """What another plan said of its own coverage is not ours to take away."""
    foreign = {
        "url": EXTENSION,
        "extension": [
            {"url": "coverage", "valueReference": {"reference": "Coverage/of-another-plan"}},
            {"url": "covered", "valueCode": "not-covered"},
        ],
    }
    (back,) = updated(ehr.sign(MET, order_of(MET.id, extension=[foreign])))
    assert back["extension"][0] == foreign
    assert len(stated(back)) == 2


ODD_EXTENSIONS: list[object] = [
    5,
    "x",
    None,
    [],
    {},
    {"url": 5},
    {"url": EXTENSION},
    {"url": EXTENSION, "extension": 5},
]


@pytest.mark.parametrize("odd", ODD_EXTENSIONS, ids=repr)
def test_odd_extensions_of_an_order_are_kept_as_they_are(odd: object, ehr: Ehr) -> None:
    """What cannot be understood is nobody's earlier answer."""
    (back,) = updated(ehr.sign(MET, order_of(MET.id, extension=[odd])))
    assert back["extension"][0] == odd
    assert len(back["extension"]) == 2


@pytest.mark.parametrize("status", [5, [], {"x": 1}, True, ["draft"]], ids=repr)
def test_an_odd_status_is_none(status: object, ehr: Ehr) -> None:
    """The order is answered like one without a status."""
    assert outcomes(ehr.sign(MET, order_of(MET.id, status=status))) == ["criteria-met"]


# Several orders


def test_two_governed_orders_get_one_answer_each(ehr: Ehr) -> None:
    """One guidance card and one update for each, about that order."""
    orders = order_of(MET.id, id="first"), order_of(MET.id, id="second")
    answer = ehr.sign(MET, *orders)
    assert [found["order"] for found in determinations(answer)] == [
        "MedicationRequest/first",
        "MedicationRequest/second",
    ]
    assert [resource["id"] for resource in updated(answer)] == ["first", "second"]
    about = [card["extension"]["davinci-crd.associated-resource"] for card in answer["cards"]]
    assert about == [[{"reference": "MedicationRequest/first"}], [{"reference": "MedicationRequest/second"}]]


def test_orders_of_two_drugs_are_each_judged_by_their_own_policy(ehr: Ehr) -> None:
    """Hemgenix and Roctavian in one call: each has its own criteria."""
    roctavian = order_of("demo-roctavian-met", subject=MET.order["subject"], insurance=MET.order["insurance"])
    answer = ehr.sign(MET, MET.order, {**roctavian, "reasonReference": MET.order["reasonReference"]})
    assert [found["drug"] for found in determinations(answer)] == ["hemgenix", "roctavian"]
    assert outcomes(answer) == ["criteria-met", "documentation-missing"]


def test_an_order_that_names_two_governed_drugs_gets_no_verdict(ehr: Ehr) -> None:
    """It is not guessed which one is meant: an Instructions card and a reason that name both."""
    both = {"coding": [*MET.order["medicationCodeableConcept"]["coding"]], "text": "Hemgenix or Roctavian"}
    answer = ehr.sign(MET, order_of(MET.id, medicationCodeableConcept=both))
    (card,) = answer["cards"]
    assert "Hemgenix and Roctavian" in card["detail"]
    assert not {"links", "suggestions"} & card.keys()
    assert "drug-coverage.determination" not in card["extension"]
    said = said_of(answer)
    assert (said["covered"], said["info-needed"]) == (["conditional"], ["OTH"])
    assert "Hemgenix and Roctavian" in said["reason"][0]["text"]


def test_an_ungoverned_order_gets_no_card_but_is_not_passed_over_in_silence(ehr: Ehr) -> None:
    """Coverage-information says that what is needed is not known here (CRD hook-16)."""
    answer = ehr.sign("demo-other-drug")
    assert answer["cards"] == []
    said = said_of(answer)
    assert (said["covered"], said["info-needed"]) == (["conditional"], ["OTH"])
    assert said["reason"][0]["text"]
    assert not {"pa-needed", "doc-needed", "questionnaire"} & said.keys()


def test_an_ungoverned_order_beside_a_governed_one_changes_nothing_for_it(ehr: Ehr) -> None:
    """The governed one gets its card, the other only its coverage-information."""
    other = order_of("demo-other-drug", subject=MET.order["subject"], insurance=MET.order["insurance"])
    answer = ehr.sign(MET, MET.order, other)
    assert outcomes(answer) == ["criteria-met"]
    assert [stated(resource)[0]["covered"] for resource in updated(answer)] == [["covered"], ["conditional"]]


@pytest.mark.parametrize("status", ["cancelled", "completed", "entered-in-error", "stopped"])
def test_an_order_that_is_over_gets_no_answer(status: str, ehr: Ehr) -> None:
    """Only what is being ordered is looked at."""
    answer = ehr.sign(MET, order_of(MET.id, status=status))
    assert answer == {"cards": [], "systemActions": []}


@pytest.mark.parametrize("status", ["active", "on-hold", "draft", None])
def test_an_order_that_is_signed_already_is_answered(status: str | None, ehr: Ehr) -> None:
    """Some EHRs call when the order is active, and a missing status is no reason to keep silent."""
    assert outcomes(ehr.sign(MET, order_of(MET.id, status=status))) == ["criteria-met"]


def test_a_request_not_to_give_the_drug_gets_no_answer(ehr: Ehr) -> None:
    """doNotPerform orders nothing."""
    assert ehr.sign(MET, order_of(MET.id, doNotPerform=True))["cards"] == []


def test_a_call_without_orders_gets_an_empty_answer(ehr: Ehr) -> None:
    """An empty draft Bundle is a completed evaluation."""
    context = context_of(patient_id=MET.id)
    assert ehr.answer(call_of(context)) == {"cards": [], "systemActions": []}


# Options and versions


def test_cards_can_be_switched_off(ehr: Ehr) -> None:
    """`guideline` false: coverage-information alone."""
    extension = {"davinci-crd.configuration": {"guideline": False}}
    answer = ehr.sign(MET, extension=extension)
    assert (answer["cards"], len(answer["systemActions"])) == ([], 1)


def test_coverage_information_can_be_switched_off(ehr: Ehr) -> None:
    """`coverage-info` false: the card alone."""
    answer = ehr.sign(MET, extension={"davinci-crd.configuration": {"coverage-info": False}})
    assert (outcomes(answer), answer["systemActions"]) == (["criteria-met"], [])


@pytest.mark.parametrize(
    "configuration",
    [{"guideline": "no"}, {"coverage-info": None}, {"max-cards": -1}, {"x": [{}]}, [], "text", None, {"guideline": 0}],
)
def test_odd_options_harm_nothing(configuration: object, ehr: Ehr) -> None:
    """Any combination of options is accepted (CRD dev-6)."""
    answer = ehr.sign(MET, extension={"davinci-crd.configuration": configuration})
    assert outcomes(answer) == ["criteria-met"]


def test_the_version_that_is_advertised_can_be_asked_for(ehr: Ehr) -> None:
    """`2.2` is the current dialect."""
    answer = ehr.sign(MET, extension={"davinci-crd.requestedVersion": "2.2"})
    assert guidance(answer)["source"]["topic"]["system"] == "http://terminology.hl7.org/CodeSystem/cdshooks-card-type"


def test_unknown_members_are_ignored_wherever_they_stand(ehr: Ehr) -> None:
    """Clients may send more than is known here (CRD found-33)."""
    call = ehr.call(MET)
    plain = ehr.answer(call)
    call["x"] = call["context"]["x"] = call["context"]["draftOrders"]["x"] = call["prefetch"]["x"] = {"y": [1]}
    call["extension"] = {"com.example.x": 5}
    assert ehr.answer(call)["systemActions"] == plain["systemActions"]


# Coverage


def _with_coverages(*changes: Json) -> Story:
    """The story with one copy of its Coverage for each set of changes."""
    (coverage,) = (resource for resource in MET.resources if resource["resourceType"] == "Coverage")
    copies = [{**deepcopy(coverage), "id": f"c{at}", **changed} for at, changed in enumerate(changes, 1)]
    return msgspec.structs.replace(MET, resources=(*without(MET.resources, "Coverage"), *copies))


def _sign_under(ehr: Ehr, *changes: Json, **members: object) -> Json:
    order = order_of(MET.id, **{"insurance": None, **members})
    return ehr.answer(ehr.call(_with_coverages(*changes), order))


@pytest.mark.parametrize(
    "changed",
    [{"status": "cancelled"}, {"period": {"end": "2026-11-23"}}, {"period": {"start": "2026-11-25"}}],
    ids=["cancelled", "past", "to come"],
)
def test_a_coverage_that_is_not_active_is_not_covered(changed: Json, ehr: Ehr) -> None:
    """The coded answer points at it, and the card still has the criteria."""
    answer = _sign_under(ehr, changed)
    said = said_of(answer)
    assert said["covered"] == ["not-covered"]
    assert said["reason"][0]["coding"][0]["code"] == "no-active-coverage"
    assert not {"pa-needed", "doc-needed", "questionnaire", "info-needed"} & said.keys()
    assert outcomes(answer) == ["criteria-met"]


@pytest.mark.parametrize("end", ["2026-11-24", "2026-11", "2026"])
def test_the_last_day_of_a_coverage_counts(end: str, ehr: Ehr) -> None:
    """A partial end does not close it before its last day."""
    assert said_of(_sign_under(ehr, {"period": {"end": end}}))["covered"] == ["covered"]


def test_of_several_coverages_the_one_that_the_order_names_counts(ehr: Ehr) -> None:
    """`insurance` of the order decides."""
    answer = _sign_under(ehr, {}, {}, insurance=[{"reference": "Coverage/c2"}])
    assert said_of(answer)["coverage"] == [{"reference": "Coverage/c2"}]


def test_of_several_coverages_the_first_in_order_counts(ehr: Ehr) -> None:
    """`Coverage.order` tells the primary one."""
    assert said_of(_sign_under(ehr, {"order": 2}, {"order": 1}))["coverage"] == [{"reference": "Coverage/c2"}]


@pytest.mark.parametrize(
    ("changes", "said"),
    [((), "found none"), (({}, {}), "found several"), (({"payor": [{"display": "A plan"}]},), "payer")],
    ids=["none", "several", "no payer identifier"],
)
def test_a_caller_without_a_usable_coverage_is_refused(changes: tuple[Json, ...], said: str, ehr: Ehr) -> None:
    """CRD 2.2, hook-13: a 400 that says what is missing."""
    call = ehr.call(_with_coverages(*changes), order_of(MET.id, insurance=None))
    response = ehr.post(call)
    assert response.status_code == 400
    assert said in response.get_json()["issue"][0]["diagnostics"]


@pytest.mark.parametrize("kind", ["NutritionOrder", "VisionPrescription"])
def test_an_order_that_names_its_patient_otherwise_is_checked_too(kind: str, ehr: Ehr) -> None:
    """R4 calls the member `patient` there; another patient's order is refused, with its place."""
    order = {"resourceType": kind, "id": "x", "status": "draft", "patient": {"reference": f"Patient/{MET.id}"}}
    assert len(ehr.sign(MET, order)["systemActions"]) == 1
    response = ehr.post(ehr.call(MET, {**order, "patient": {"reference": "Patient/other"}}))
    assert response.status_code == 400
    assert b"resource.patient: the order is for another patient" in response.data


@pytest.mark.parametrize("tail", ["", "/_history/2"])
def test_what_a_client_wrote_out_is_still_about_the_same_coverage(tail: str, ehr: Ehr) -> None:
    """An absolute reference to the Coverage on that server is replaced, and not put beside."""
    (order,) = updated(ehr.sign(MET))
    reference = order["extension"][0]["extension"][0]["valueReference"]
    reference["reference"] = f"{BASE}/{reference['reference']}{tail}"
    assert ehr.sign(MET, order, fhirServer=BASE)["systemActions"] == []
    order["extension"][0]["extension"][1]["valueCode"] = "not-covered"
    order["extension"][0]["extension"].pop()
    (again,) = updated(ehr.sign(MET, order, fhirServer=BASE))
    assert len(again["extension"]) == 1


def test_of_a_chart_no_more_is_read_than_an_ungoverned_order_needs(ehr: Ehr, serving: Serving) -> None:
    """The coverage and its payer; no criterion asks for anything else."""
    story = BY_ID["demo-other-drug"]
    with serving(ehr.store(story)) as server:
        found = ehr.sign(story, sent="none", fhirServer=BASE)
    assert said_of(found)["covered"] == ["conditional"]
    assert {path.partition("?")[0].partition("/")[0] for path in server.asked} == {"Coverage", "Organization"}
