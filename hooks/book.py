"""What is kept of an answer, as the line hands it over: the ledger's side is `cds_service.ledger`.

The line decides what is said; whoever keeps the book decides whether it could be kept. A number that was not kept is
not said.
"""

from datetime import date
from typing import Any, Protocol

from msgspec import Struct

from cds_service.policy.determination import Determination
from cds_service.policy.facts import Facts


class Entry(Struct, frozen=True):
    """One decision of one order under one coverage."""

    hook: str
    hook_instance: str
    caller: str  # iss of the client, or "" where none is asked
    dialect: str
    member: str  # key of the member: see `member_key`; two coverages of one person are two
    order: str  # the order's reference with the FHIR server it lives on
    coverage: str  # reference, or ""
    assertion_id: str
    said: Determination
    facts: Facts  # what it was decided from
    covered: str  # what was written, e.g. "covered", "not-covered"
    cards: tuple[tuple[str, str], ...]  # (card uuid, kind)
    suggestions: tuple[tuple[str, str, str], ...]  # (suggestion uuid, card uuid, label)
    wants_number: bool  # every criterion is met, numbers are issued here, and this call may get one
    carried: str = ""  # a number that the order says it has; it may have been given to it under another id
    user: str = ""  # who is signed in at the EHR, with the FHIR server; "" where the hook names nobody
    policy_digest: str = ""  # of the file that the policy version was read from
    vocabulary_digest: str = ""  # of the value sets and lab tables that the chart was read by


class Receipt(Struct, frozen=True):
    """What became of an entry."""

    recorded: bool
    number: str = ""  # the authorization number that stands for this member, drug, order and coverage
    issued_on: date | None = None


class KeptForms(Struct, frozen=True):
    """Completed forms of one patient that the EHR did not take."""

    forms: tuple[dict[str, Any], ...] = ()  # QuestionnaireResponses, oldest first
    is_whole: bool = True  # False: there may be more, which could not be read


class Book(Protocol):
    """Keeps decisions."""

    def record(self, entries: tuple[Entry, ...], deadline: float) -> tuple[Receipt, ...]:
        """One receipt for each entry, by the deadline (monotonic seconds); never raises."""
