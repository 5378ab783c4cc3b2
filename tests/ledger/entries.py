"""Entries as the line hands them over, of invented orders."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from cryptography.fernet import Fernet

from cds_service.ledger.ledger import Ledger, Limits
from cds_service.policy.dates import day_span
from cds_service.policy.determination import determine
from cds_service.policy.facts import Answer, Facts, Interval, Order, Person, Plan, Result, Word
from cds_service.policy.library import Library, load_library
from cds_service.policy.value_sets import read_systems
from fhir_mappings.labs import read_labs
from hooks.book import Entry, Receipt

KEY = Fernet.generate_key().decode()  # of sealed inputs
POLICIES = Path(__file__).parents[2] / "policies"
DAY = date(2026, 11, 24)
QUICK = Limits(
    patience_s=0.6, lock_s=0.3, stall_s=0.5, connect_s=2, idle_s=0.2, probe_s=0.05, probe_most_s=0.1, steady_s=0.0
)
PATIENT = Limits(patience_s=5, lock_s=4, stall_s=4.5)  # for what is no matter of time, on a busy machine
MARK = "MARKEDPATIENT"  # in everything that a chart says


@cache
def library() -> Library:
    """The shipped policies."""
    labs = read_labs(read_systems(POLICIES / "value_sets"))
    return load_library(POLICIES, labs.tests)


def facts(**given: Any) -> Facts:
    """Facts of a patient whose every word is marked."""
    result = Result(
        test="platelets",
        reference=f"Observation/{MARK}-o",
        display=f"Platelets {MARK} 212.50 × 10⁹/L",
        date=day_span(DAY),
        value=Interval(Decimal("212.50"), None, low_open=True),
    )
    aav5 = Result("aav5", f"Observation/{MARK}-a", f"AAV5 {MARK}", None, word=Word.NEGATIVE)
    answers: dict[str, bool | int | str | Interval | Any] = {
        "q.lth": False,
        "q.bleeds": 0,
        "q.reason": f"{MARK} says so",
        "q.baseline": Interval(Decimal("0"), Decimal("1.20"), high_open=True),
        "q.baseline.date": day_span(DAY),
    }
    made: dict[str, Any] = {
        "day": DAY,
        "order": Order(f"MedicationRequest/{MARK}", frozenset({"order.hemgenix"}), f"Hemgenix {MARK}", None, ()),
        "person": Person(f"Patient/{MARK}", day_span(date(1999, 12, 31)), False, f"{MARK}, born 1999-12-31"),
        "plan": Plan(f"Coverage/{MARK}", frozenset(), f"{MARK} plan", ("Commercial",)),
        "results": {"platelets": (result,), "aav5": (aav5,)},
        "diagnoses": (),
        "treatments": (),
        "clinicians": (),
        "notes": (),
        "answers": {
            name: Answer(name, value, f"QuestionnaireResponse/{MARK}#{name}", f"{MARK} {name}", None)
            for name, value in answers.items()
        },
        "unread": frozenset(),
    }
    return Facts(**{**made, **given})


def entry(order: str = "1", *, wants_number: bool = False, about: Facts | None = None, **given: Any) -> Entry:
    """An entry of this order."""
    chart = about or facts()
    policy = library().version("PHARMACY-109", "hemgenix", date(2025, 11, 20))
    assert policy is not None
    card = str(uuid4())
    made: dict[str, Any] = {
        "hook": "order-sign",
        "hook_instance": str(uuid4()),
        "caller": "https://ehr.example",
        "dialect": "2.2",
        "member": f"payer|{MARK}-member",
        "order": f"https://ehr.example/fhir/MedicationRequest/{MARK}-{order}",
        "coverage": f"Coverage/{MARK}",
        "assertion_id": f"ca-{order}",
        "said": determine(policy, chart),
        "facts": chart,
        "covered": "covered",
        "cards": ((card, "guidance"), (str(uuid4()), "tests")),
        "suggestions": ((str(uuid4()), card, "Order: Platelet count"),),
        "wants_number": wants_number,
    }
    return Entry(**{**made, **given})


def soon(seconds: float = 5.0) -> float:
    """A deadline that far ahead."""
    return time.monotonic() + seconds


def keep(ledger: Ledger, *entries: Entry) -> tuple[Receipt, ...]:
    """The receipts of entries that must be kept."""
    receipts = ledger.record(entries, soon())
    assert all(receipt.recorded for receipt in receipts)
    return receipts


@contextmanager
def opened(url: str, **given: Any) -> Iterator[Ledger]:
    """A ledger that is reached, closed at the end."""
    library()  # read once, before there are threads
    ledger = Ledger(url, **{"service_version": "0.0", "limits": QUICK, **given})
    ledger.prepare()
    assert ledger.start(5.0) or until(ledger.ready, 20)  # on a busy machine it may count as away for a moment
    try:
        yield ledger
    finally:
        ledger.close()


def until(said: Any, seconds: float = 5.0) -> bool:
    """True as soon as `said()` is; False when it is not within this time."""
    end = soon(seconds)
    while time.monotonic() < end:
        if said():
            return True
        time.sleep(0.02)
    return bool(said())
