"""order-select: only what was selected is answered, and nothing is asked of the prescriber that comes later anyway."""

import time
from copy import deepcopy

import pytest
from calling import answer, hook_call, refused, select_context, with_orders
from flask.testing import FlaskClient
from msgspec.structs import replace
from signing import BY_ID, Ehr, Json, determinations, guidance, order_of, outcomes, said_of, updated

from cds_service.demo.stories import Story
from hooks import order_select
from hooks.answer import answer as line
from hooks.book import Entry, Receipt
from hooks.call import parse_call
from hooks.coverage_information import URL
from hooks.service import Caller, Moment, Service
from hooks.wire import encode

MET = BY_ID["demo-hemgenix-met"]
MISSING = BY_ID["demo-labs-missing"]


def selecting(ehr: Ehr, story: Story, orders: list[Json], *selections: str) -> Json:
    """The call that selects those of these orders."""
    return hook_call("order-select", select_context(story, orders, selections), ehr.prefetch(story))


@pytest.mark.conformance("hook-34")
def test_only_the_selected_orders_are_answered(client: FlaskClient, ehr: Ehr) -> None:
    """Of two governed drafts the one that was not selected gets no card and no update."""
    orders = [order_of(MET.id, id="first"), order_of(MET.id, id="second")]
    found = answer(client, selecting(ehr, MET, orders, "MedicationRequest/second"))
    assert [resource["id"] for resource in updated(found)] == ["second"]
    assert guidance(found)["extension"]["davinci-crd.associated-resource"] == [
        {"reference": "MedicationRequest/second"}
    ]


def test_every_selected_order_is_answered(client: FlaskClient, ehr: Ehr) -> None:
    """Several selections are several answers, in the order of the drafts."""
    orders = [order_of(MET.id, id="first"), order_of(MET.id, id="second")]
    found = answer(client, selecting(ehr, MET, orders, "MedicationRequest/second", "MedicationRequest/first"))
    assert [resource["id"] for resource in updated(found)] == ["first", "second"]


@pytest.mark.conformance("hook-34")
def test_the_other_drafts_count_as_orders_that_are_under_way(client: FlaskClient, ehr: Ehr) -> None:
    """A test that is drafted and not selected is not offered again."""
    offered = answer(client, selecting(ehr, MISSING, [MISSING.order], f"MedicationRequest/{MISSING.order['id']}"))
    (card,) = [card for card in offered["cards"] if card.get("suggestions")]
    resource = card["suggestions"][0]["actions"][0]["resource"]
    orders = [deepcopy(MISSING.order), {**resource, "id": "drafted"}]
    found = answer(client, selecting(ehr, MISSING, orders, f"MedicationRequest/{MISSING.order['id']}"))
    labels = [suggestion["label"] for card in found["cards"] for suggestion in card.get("suggestions", ())]
    assert card["suggestions"][0]["label"] not in labels
    assert len(labels) == len(card["suggestions"]) - 1


@pytest.mark.conformance("hook-13")
def test_a_selection_that_is_not_in_the_bundle_is_refused(client: FlaskClient, ehr: Ehr) -> None:
    """A 400 names its place, not its id."""
    said = refused(client, selecting(ehr, MET, [MET.order], "MedicationRequest/elsewhere"), 400)
    assert said.startswith("context.selections[0]")
    assert "elsewhere" not in said


@pytest.mark.parametrize("written", ["{}/_history/2", "https://ehr.example/fhir/{}"])
def test_a_selection_may_be_named_by_version_or_full_url(written: str, client: FlaskClient, ehr: Ehr) -> None:
    """The full URL is that of its entry."""
    name = f"MedicationRequest/{MET.order['id']}"
    call = selecting(ehr, MET, [MET.order], written.format(name))
    call["context"]["draftOrders"]["entry"][0]["fullUrl"] = f"https://ehr.example/fhir/{name}"
    assert outcomes(answer(client, call)) == ["criteria-met"]


@pytest.mark.parametrize("selections", [None, [], "MedicationRequest/x", [5], ["x"], [None], [""]], ids=repr)
def test_selections_of_another_shape_are_refused(selections: object, client: FlaskClient, ehr: Ehr) -> None:
    """An array of one reference or more is expected."""
    call = selecting(ehr, MET, [MET.order])
    call["context"]["selections"] = selections
    assert "context.selections" in refused(client, call, 400)


@pytest.mark.conformance("hook-19")
def test_missing_documentation_is_not_asked_for(client: FlaskClient, ehr: Ehr) -> None:
    """Covered, to be authorized, and the reason; no form and no documentation."""
    found = answer(client, selecting(ehr, MISSING, [MISSING.order], f"MedicationRequest/{MISSING.order['id']}"))
    assert outcomes(found) == ["documentation-missing"]
    said = said_of(found)
    assert (said["covered"], said["pa-needed"]) == (["covered"], ["auth-needed"])
    assert not {"doc-needed", "doc-purpose", "questionnaire", "info-needed"} & said.keys()
    assert said["reason"][0]["text"]


def test_signing_asks_for_the_form_that_selecting_left_out(client: FlaskClient, ehr: Ehr) -> None:
    """An order that carries the answer of order-select gets the documentation at order-sign, under the same id."""
    selected = answer(client, selecting(ehr, MISSING, [MISSING.order], f"MedicationRequest/{MISSING.order['id']}"))
    (carried,) = updated(selected)
    signed = said_of(ehr.sign(MISSING, carried))
    assert (signed["doc-needed"], signed["doc-purpose"]) == (["clinical"], ["withpa"])
    assert signed["coverage-assertion-id"] == said_of(selected)["coverage-assertion-id"]


@pytest.mark.conformance("resp-35")
def test_selecting_again_takes_nothing_away(client: FlaskClient, ehr: Ehr) -> None:
    """An order that carries the answer of order-sign is not written again by order-select."""
    (carried,) = updated(ehr.sign(MISSING))
    found = answer(client, selecting(ehr, MISSING, [carried], f"MedicationRequest/{MISSING.order['id']}"))
    assert found["systemActions"] == []


class Generous:
    """A book that gives a number to whoever wants one."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def record(self, entries: tuple[Entry, ...], deadline: float) -> tuple[Receipt, ...]:
        """A number for each entry that wants one."""
        self.entries += entries
        return tuple(Receipt(True, "PA-1" if entry.wants_number else "", None) for entry in entries)


def test_no_number_is_issued(ehr: Ehr, service: Service, today: object) -> None:
    """Even where numbers are issued and every criterion is met, selecting an order gets none."""
    call = selecting(ehr, MET, [MET.order], f"MedicationRequest/{MET.order['id']}")
    book = Generous()
    issuing = replace_service(service, book)
    parsed = parse_call(encode(call), order_select.HOOK)
    found = line(parsed, order_select.HOOK, issuing, Caller(), Moment(today, time.monotonic() + 5))  # type: ignore[arg-type]
    assert [entry.wants_number for entry in book.entries] == [False]
    said = said_of({"systemActions": [plain(action) for action in found["systemActions"]]})
    assert said["pa-needed"] == ["auth-needed"]
    assert "satisfied-pa-id" not in said


def replace_service(service: Service, book: object) -> Service:
    """The service, issuing numbers, with this book."""
    return replace(service, book=book, issues_numbers=True)


def plain(value: Json) -> Json:
    """As it reads on the wire."""
    from hooks.wire import decode

    return dict(decode(encode(value)))


@pytest.mark.conformance("hook-39", "resp-28")
def test_an_ungoverned_selection_gets_its_coverage_information(client: FlaskClient, ehr: Ehr) -> None:
    """No card, and conditional with the reason."""
    other = BY_ID["demo-other-drug"]
    call = selecting(ehr, other, [other.order], f"MedicationRequest/{other.order['id']}")
    found = answer(client, call)
    assert found["cards"] == []
    assert said_of(found)["covered"] == ["conditional"]


def test_the_whole_record_may_hold_the_order_that_is_selected(client: FlaskClient, ehr: Ehr) -> None:
    """An order that the EHR has stored already is not its own earlier gene therapy."""
    call = selecting(ehr, MET, [MET.order], f"MedicationRequest/{MET.order['id']}")
    call["prefetch"] = with_orders(ehr, MET, MET.order)
    assert outcomes(answer(client, call)) == ["criteria-met"]


def test_a_draft_without_an_id_is_selected_by_its_full_url(client: FlaskClient, ehr: Ehr) -> None:
    """As the answer names it."""
    name = "urn:uuid:0f5f0c9e-6c3e-4d57-9f2c-6a1d3f0c1a01"
    call = hook_call("order-select", select_context(MET, [MET.order], [name]), ehr.prefetch(MET))
    (entry,) = call["context"]["draftOrders"]["entry"]
    entry["fullUrl"] = name
    del entry["resource"]["id"]
    assert [said["order"] for said in determinations(answer(client, call))] == [name]
    call["context"]["selections"] = [name[:-1]]
    assert "context.selections[0]" in refused(client, call, 400)


def carrying(reference: str, until: str) -> Json:
    """The order under a new id, with the number that it got under another, until that day."""
    parts: list[Json] = [
        {"url": "coverage", "valueReference": {"reference": reference}},
        {"url": "covered", "valueCode": "covered"},
        {"url": "pa-needed", "valueCode": "satisfied"},
        {"url": "date", "valueDate": "2026-11-20"},
        {"url": "coverage-assertion-id", "valueString": "ca-of-the-draft"},
        {"url": "satisfied-pa-id", "valueString": "PA-0"},
        {"url": "expiry-date", "valueDate": until},
    ]
    return {**order_of(MET.id, id="renamed"), "extension": [{"url": URL, "extension": parts}]}


@pytest.mark.parametrize(
    ("reference", "until", "keeps"),
    [
        (f"Coverage/{MET.id}-coverage", "2027-05-20", True),
        (f"Coverage/{MET.id}-coverage", "2026-11-24", False),
        ("Coverage/another", "2027-05-20", False),
    ],
)
def test_an_order_that_was_renamed_keeps_its_number(
    reference: str, until: str, keeps: bool, ehr: Ehr, service: Service, today: object
) -> None:
    """A hook that gives no numbers takes none away; the ledger hears which one the order carries."""
    call = selecting(ehr, MET, [carrying(reference, until)], "MedicationRequest/renamed")
    book = Generous()
    parsed = parse_call(encode(call), order_select.HOOK)
    moment = Moment(today, time.monotonic() + 5)  # type: ignore[arg-type]
    found = line(parsed, order_select.HOOK, replace_service(service, book), Caller(), moment)
    assert (found["systemActions"] == []) is keeps
    assert [entry.carried for entry in book.entries] == ["PA-0" if keeps else ""]
