"""What is asked of a record for a call, and what may read the rest of it."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Protocol

from msgspec import Struct

from cds_service.policy.facts import NO_NAMES, Names
from fhir_mappings.queries import Query, Reply
from fhir_mappings.references import Json
from fhir_mappings.servers import Server


class Wanted(Struct, frozen=True):
    """How much of a test a policy needs: never more than its newest `count` results are read.

    With `since`, the newest results decide and only those from that day on: more than `count` of them lose nothing.
    Without it any result of the whole history can decide, so where there are more than `count`, the rest is unread.
    """

    count: int
    since: date | None = None


class Needs(Struct, frozen=True):
    """What a policy asks of the record."""

    tests: Mapping[str, Wanted]  # by name of a row in labs.yaml
    types: frozenset[str]  # FHIR resource types; rows of prefetch.py
    questionnaires: tuple[str, ...] = ()  # `Questionnaire/<name>` on the plan's own FHIR endpoint
    billed: Names = NO_NAMES  # product sets that are looked for among the charges
    together: Mapping[str, str] = {}  # linkId → linkId whose date and report it shares, where its name does not show it


class Asked(Struct, frozen=True):
    """The parts of a hook call that the record is gathered for."""

    patient_id: str
    orders: tuple[Json, ...]  # those to be answered
    day: date  # evaluation day
    drafts: tuple[object, ...] = ()  # every resource of the draft bundle, the orders among them
    prefetch: object = None
    user: str | None = None  # context.userId, `Practitioner/x` or `PractitionerRole/x`
    performer: str | None = None  # order-dispatch: whom the order goes to
    encounter_id: str | None = None
    fhir_server: str | None = None  # as the call names it, whether or not it may be called
    beside: Mapping[str, Json] = {}  # full URL → what the orders of the draft bundle may refer to by it


class Reader(Protocol):
    """What reads a FHIR server: FhirClient, or a stand-in."""

    def read_all(self, server: Server, queries: Sequence[Query], deadline: float) -> Sequence[Reply]:
        """One reply for each query, in order, by the deadline."""


def users(asked: Asked) -> tuple[str, ...]:
    """Who acts in the call beside the people that the order names."""
    return tuple(name for name in (asked.user, asked.performer) if name)
