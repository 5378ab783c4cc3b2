"""The chart behind an open form, read and judged by the same line as the determination (hooks/answer.py)."""

from datetime import date
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from cds_service.dtr.forms import Form, Forms
from cds_service.policy.determination import Determination
from cds_service.policy.facts import Facts
from cds_service.smart.fields import Answers, answers_in, asked_only, items_of
from cds_service.smart.problems import LAUNCH_AGAIN, ProblemError, SignedOutError
from cds_service.smart.session import Session
from fhir_mappings.asked import Asked, Needs
from fhir_mappings.chart import chart_of, complete_record, open_record
from fhir_mappings.needs import needs_of
from fhir_mappings.queries import Failure
from fhir_mappings.record import Record
from fhir_mappings.references import Json, child, children, own_reference, plain, word
from fhir_mappings.servers import Server
from hooks import order_sign
from hooks.answer import add_kept_forms, day_of
from hooks.bundles import DraftOrder
from hooks.call import Call
from hooks.coverages import standing
from hooks.hook import Subjects
from hooks.one_order import Asking, Judged, judge, member_key
from hooks.options import choices
from hooks.orders import asked_of, orders_of, products_of
from hooks.refusals import Refusal
from hooks.service import Caller, Moment, Service
from hooks.wire import encode

OVERLAY = "this-form"  # the id of the answers on the page, while they are in no chart


class Case(Struct, frozen=True):
    """One order of one patient with its form."""

    server: Server  # the EHR, with the session's token
    form: Form
    order: DraftOrder
    is_order_read: bool
    record: Record
    needs: Needs
    asked: Asked
    chart_alone: Judged  # without what is on the page
    facts: Facts
    said: Determination
    items: dict[str, Json]
    filled: Answers  # what the chart and earlier answers say
    latest: Json | None  # the newest form of this patient, of any status that a person can go on with
    answers: Answers  # what the page starts with


def read_case(session: Session, server: Server, service: Service, forms: Forms, moment: Moment) -> Case:
    """The order and the chart, judged. Raises ProblemError and SignedOutError."""
    named = _named_form(session, forms, moment.today)
    call = _call(session)
    order, is_read = _order(session, call, named, service, server, moment)
    asked = asked_of(call, (order,), moment)
    sent = open_record(asked, server)
    products = products_of(order.resource, sent.record, service)
    needs = needs_of(service.library.governing(products, day_of(order.resource, moment.today)), asked)
    add_kept_forms(sent.record, service, server, session.patient, needs, moment)
    complete_record(sent, needs, asked, service.vocabulary, service.reader, server, moment.deadline)
    _check_readable(session, sent.record)
    judged = _judged(call, order, sent.record, needs, asked, service, moment)
    if judged.said is None or judged.facts is None:
        raise ProblemError(409, "This order needs no form of ours", "No drug policy of this plan governs it alone.")
    form = _form_of(judged, named, forms, moment.today)
    items = items_of(form)
    known = form.filling.answers(judged.facts)
    latest = _latest(sent.record, form, session)
    filled = asked_only(items, known)
    answers = {**known, **(answers_in(latest, items) if latest is not None else {})}
    return Case(
        server=server,
        form=form,
        order=order,
        is_order_read=is_read,
        record=sent.record,
        needs=needs,
        asked=asked,
        chart_alone=judged,
        facts=judged.facts,
        said=judged.said,
        items=items,
        filled=filled,
        latest=latest,
        answers=asked_only(items, answers),
    )


def answer_now(case: Case, response: Json, session: Session, service: Service, moment: Moment) -> Determination:
    """What would be said of the order if this response were in the chart, completed."""
    case.record.add_all([{**response, "id": OVERLAY, "status": "completed"}])
    judged = _judged(_call(session), case.order, case.record, case.needs, case.asked, service, moment)
    return judged.said or case.said


def member_of(case: Case, session: Session, service: Service, moment: Moment) -> str:
    """Who the member is, as the entries of the ledger name it."""
    return member_key(_asking(_call(session), service, moment), case.chart_alone)


def _named_form(session: Session, forms: Forms, today: date) -> Form | None:
    if not session.questionnaire:
        return None
    form = forms.find(session.questionnaire, today)
    if form is None:
        advice = f"Its address or its version is not known here. {LAUNCH_AGAIN}"
        raise ProblemError(404, "This form is not one of the plan's", advice)
    return form


def _call(session: Session) -> Call:
    named = (session.order,) if session.order else ()
    return Call(
        instance="form",
        patient_id=session.patient,
        user=session.user,
        encounter_id=session.encounter,
        subjects=Subjects(named=named, open_orders=not named),
        fhir_server=session.iss,
        token=session.token,
        prefetch={},
        configuration={},
        requested_version="",
    )


def _order(
    session: Session, call: Call, form: Form | None, service: Service, server: Server, moment: Moment
) -> tuple[DraftOrder, bool]:
    """The order, and whether it could be read: one that is still being written often cannot."""
    try:
        found = orders_of(call, service, server, moment).found
    except Refusal as refusal:
        if refusal.status == 400:
            raise ProblemError(403, "The order is another patient's", LAUNCH_AGAIN) from None
        found = ()
    if found:
        return max(found, key=lambda draft: word(draft.resource, "authoredOn")), True
    if form is None:
        raise ProblemError(404, "No order was found that this form is for", LAUNCH_AGAIN)
    return _stand_in(session, form, service), False


def _stand_in(session: Session, form: Form, service: Service) -> DraftOrder:
    """An order for the form's drug, by whoever is signed in: all that is known of one that cannot be read."""
    reference = session.order if session.order.startswith("MedicationRequest/") else "MedicationRequest/unread"
    billing = form.policy.source.billing
    coding = {"system": service.hcpcs, "code": billing.code, "display": billing.display}
    resource: dict[str, Any] = {
        "resourceType": "MedicationRequest",
        "id": reference.partition("/")[2],
        "status": "draft",
        "intent": "order",
        "medicationCodeableConcept": {"coding": [coding], "text": form.policy.source.name},
        "subject": {"reference": f"Patient/{session.patient}"},
        **({"requester": {"reference": session.user}} if session.user else {}),
    }
    return DraftOrder(reference, resource, encode(resource))


def _check_readable(session: Session, record: Record) -> None:
    if record.at(record.patient) is None:
        if Failure.UNAUTHORIZED in record.failures.values():
            raise SignedOutError
        raise ProblemError(502, "The chart could not be read", "Nothing was changed. Try again in a moment.")
    if session.coverage and record.at(session.coverage) is None and "coverage" not in record.unread:
        raise ProblemError(403, "The coverage is not this patient's", LAUNCH_AGAIN)


def _judged(
    call: Call, order: DraftOrder, record: Record, needs: Needs, asked: Asked, service: Service, moment: Moment
) -> Judged:
    day = day_of(order.resource, moment.today)
    chart = chart_of(record, order.resource, needs, asked, service.vocabulary, day)
    covered = standing(order, chart, "plain", service.plans, day, moment.deadline)
    return judge(_asking(call, service, moment), order, chart, covered)


def _asking(call: Call, service: Service, moment: Moment) -> Asking:
    return Asking(call, order_sign.HOOK, Caller(), service, "plain", choices({}), moment.today, call.fhir_server)


def _form_of(judged: Judged, named: Form | None, forms: Forms, today: date) -> Form:
    policy = judged.said.policy if judged.said is not None else None
    if policy is None:
        raise ProblemError(409, "This order needs no form of ours", LAUNCH_AGAIN)
    if named is not None:
        if (named.policy.source.policy, named.policy.source.drug) != (policy.policy, policy.drug):
            raise ProblemError(409, "The form is for another drug than the order", LAUNCH_AGAIN)
        return named
    compiled = forms.library.version(policy.policy, policy.drug, policy.version)
    form = forms.of(compiled) if compiled is not None else None
    if form is None:
        raise ProblemError(404, "There is no form for this drug", LAUNCH_AGAIN)
    return form


_GOES_ON = frozenset({"in-progress", "completed", "amended"})


def _latest(record: Record, form: Form, session: Session) -> Json | None:
    """The form to go on with: the one that the page began with, else the newest one."""
    found = [
        response
        for response in record.of("QuestionnaireResponse")
        if word(response, "questionnaire").partition("|")[0] == form.url and word(response, "status") in _GOES_ON
    ]
    if session.begun_with is not None:
        return next((response for response in found if own_reference(response) == session.begun_with), None)
    return max(found, key=lambda one: (word(one, "authored"), word(child(one, "meta"), "lastUpdated")), default=None)


def begun(case: Case, session: Session) -> Session:
    """The session of a page that is shown with this case: it goes on with that form and no other."""
    reference = own_reference(case.latest) if case.latest is not None else None
    return replace(session, begun_with=reference or "", begun_version=version_of(case.latest))


def version_of(response: Json | None) -> str:
    """What changes whenever the resource does; empty where the server does not tell."""
    meta = child(response or {}, "meta")
    return word(meta, "versionId") or word(meta, "lastUpdated")


def name_of(record: Record, reference: str) -> str:
    """What the person or patient of this reference is called; empty where the record does not say."""
    person = record.at(reference) or {}
    for name in children(person, "name"):
        given = name.get("given")
        parts = [part for part in given if isinstance(part, str)] if isinstance(given, list) else []
        return plain(word(name, "text") or " ".join([*parts, word(name, "family")]), 80)
    return ""
