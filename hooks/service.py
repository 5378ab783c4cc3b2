"""What calls are answered with, built once; and what is new with each call: the moment and the caller."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import date
from typing import Any

from msgspec import Struct

from cds_service.policy.compiled import CompiledPolicy
from cds_service.policy.determination import Determination, determine
from cds_service.policy.facts import Facts
from cds_service.policy.library import Library
from fhir_mappings.asked import Reader
from fhir_mappings.chart import Vocabulary
from fhir_mappings.servers import Server
from hooks.book import Book, KeptForms
from hooks.coverage_information import Dialect, Links
from hooks.coverages import Plans
from hooks.suggestions import Orderable


class Moment(Struct, frozen=True):
    """When a call is answered: the day, and by when everything is read (monotonic seconds)."""

    today: date
    deadline: float
    keeping_s: float = 0.0  # that the book may still take after the deadline


class Caller(Struct, frozen=True):
    """Who calls, and what that client may have read."""

    name: str = ""  # iss of the client; empty where none is asked
    dialect: Dialect | None = None  # as registered
    server_for: Callable[[str, str], Server | None] = lambda url, token: None  # fhirServer and token → what may be read


class Service(Struct, frozen=True):
    """What every call is answered with, built once."""

    library: Library
    vocabulary: Vocabulary
    reader: Reader
    links: Links
    label: str  # the payer's name on cards
    hcpcs: str  # URI of the code system that drugs are billed under
    orderables: Mapping[str, Orderable]
    templates: Mapping[str, str]
    default_dialect: Dialect
    secret: Callable[[], bytes]  # what assertion ids are derived with
    plans: Plans
    book: Book | None  # where decisions are kept
    issues_numbers: bool
    log: Any
    determine: Callable[[CompiledPolicy, Facts], Determination] = determine
    # server and deadline (monotonic seconds) → what a call is answered within: see Circuits.turn
    turn: Callable[[Server | None, float], AbstractContextManager[None]] = lambda server, until: nullcontext()
    form_app: bool = False  # the documentation form can be launched as a SMART app
    # FHIR base, patient id and deadline (monotonic seconds) → completed forms that this EHR did not take
    kept_forms: Callable[[str, str, float], KeptForms] = lambda base, patient, deadline: KeptForms()
