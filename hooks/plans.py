"""What the plan itself knows: its roster of members, and the payers that this endpoint serves.

The files and tables behind them are `cds_service.members` and `cds_service.payers`.
"""

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Any, Protocol

from msgspec import Struct

from fhir_mappings.membership import MemberNumbers


class Enrolment(StrEnum):
    """What the roster says of a member on a day."""

    ACTIVE = "active"
    INACTIVE = "inactive"  # on the roster, not active on the day
    NOT_A_MEMBER = "not-a-member"
    OTHER_COVERAGE = "other-coverage"  # on the roster, without this coverage
    UNKNOWN = "unknown"  # the roster could not be asked


class Member(Struct, frozen=True):
    """A member as the roster has it."""

    enrolment: Enrolment
    member_id: str = ""
    lines: tuple[str, ...] = ()  # lines of business


class Roster(Protocol):
    """The plan's roster."""

    def member(self, numbers: MemberNumbers, day: date, deadline: float) -> Member:
        """What it says on that day, by the deadline (monotonic seconds); never raises."""


class ServedPayer(Struct, frozen=True):
    """A payer that this endpoint serves."""

    label: str  # as printed on the insurance card
    contact: Mapping[str, Any] | None = None  # FHIR ContactDetail


class Payers(Protocol):
    """The payers that this endpoint serves."""

    def served(self, identifiers: tuple[tuple[str, str], ...]) -> ServedPayer | None:
        """The payer with one of these identifiers (system, value); None when it is not served here."""
