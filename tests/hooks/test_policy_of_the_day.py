"""An order is read for, and judged by, the policy that was in force on the day it was written."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date, timedelta

import pytest
from msgspec.structs import replace
from signing import BASE, BY_ID, TODAY, Ehr, FhirServer, call_of, context_of

from cds_service.demo.store import Store
from cds_service.policy.compiled import CompiledPolicy
from cds_service.policy.facts import Names
from cds_service.policy.library import Library
from cds_service.policy.reasons import Outcome
from fhir_mappings.servers import Server
from hooks import order_sign
from hooks.answer import answered
from hooks.call import parse_call
from hooks.coverage_information import Dialect
from hooks.service import Caller, Moment, Service
from hooks.wire import encode

MET = BY_ID["demo-hemgenix-met"]


class EndedYesterday(Library):
    """The shipped policies, none of which is in force any more."""

    def governing(self, products: Names, day: date) -> tuple[CompiledPolicy, ...]:
        return super().governing(products, day) if day < TODAY else ()


def test_what_the_policy_of_the_orders_day_asks_for_is_read(
    service: Service, ehr: Ehr, serving: Callable[[Store], AbstractContextManager[FhirServer]]
) -> None:
    """The order of last week is judged by last week's policy, from all that this policy asks for."""
    known = service.library
    library = EndedYesterday(known.versions, known.value_sets, known.systems, known.folder)
    order = {**MET.order, "authoredOn": (TODAY - timedelta(days=7)).isoformat()}
    call = parse_call(encode(call_of(context_of(order), fhirServer=BASE)), order_sign.HOOK)
    caller = Caller(server_for=lambda url, token: Server(BASE))
    with serving(ehr.store(MET)):
        found = answered(
            call, order_sign.HOOK, replace(service, library=library), caller, Moment(TODAY, time.monotonic() + 5)
        )
    assert [said.outcome for said in found.said] == [Outcome.CRITERIA_MET]


@pytest.mark.parametrize("dialect", ["2.2", "2.0.1", "plain"])
def test_an_order_older_than_the_first_policy_is_not_said_to_be_covered_by_none(
    dialect: Dialect, service: Service, ehr: Ehr
) -> None:
    """It is signed today: its card says why there is no answer, and what to do."""
    order = {**MET.order, "authoredOn": "2025-11-19"}
    call = parse_call(encode(ehr.call(MET, order)), order_sign.HOOK)
    found = answered(call, order_sign.HOOK, service, Caller(dialect=dialect), Moment(TODAY, time.monotonic() + 5))
    (card,) = found.response["cards"]
    assert card["summary"] == "The order is older than the plan's policy, so the plan has not judged it"
    assert "in force from 2025-11-20, and the order was written on 2025-11-19; order it anew" in card["detail"]
    assert found.said == ()
