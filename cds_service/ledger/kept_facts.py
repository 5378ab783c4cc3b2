"""Facts as they are kept for replay: JSON that gives back the same facts, with every digit, date and word.

It is compressed, to a quarter; what an earlier version kept is JSON as it is.
"""

import zlib
from collections.abc import Mapping
from datetime import date
from typing import Any

import msgspec
from msgspec import Struct

from cds_service.policy.dates import Span
from cds_service.policy.facts import (
    Answer,
    Clinician,
    Diagnosis,
    Facts,
    Interval,
    Names,
    Note,
    Order,
    Person,
    Plan,
    Result,
    Treatment,
)


class KeptFactsError(ValueError):
    """Kept facts that this version cannot read; says what it would take."""


class KeptAnswer(Struct, frozen=True, omit_defaults=True):
    """An answer whose value says of what kind it is."""

    link_id: str
    reference: str
    display: str
    authored: Span | None = None
    shown: str = ""
    plain: bool | int | str | None = None
    interval: Interval | None = None
    span: Span | None = None


class KeptFacts(Struct, frozen=True):
    """`Facts`, field by field; a test insists on that."""

    day: date
    order: Order
    person: Person | None
    plan: Plan | None
    results: Mapping[str, tuple[Result, ...]]
    diagnoses: tuple[Diagnosis, ...]
    treatments: tuple[Treatment, ...]
    clinicians: tuple[Clinician, ...]
    notes: tuple[Note, ...]
    answers: Mapping[str, KeptAnswer]
    unread: Names


_OTHER_FORM = "a version of this service that reads the form in which they are kept"
_QUICKLY = 1  # a stronger compression gains next to nothing
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(KeptFacts)


def encode_facts(facts: Facts) -> bytes:
    """The facts as compressed JSON."""
    given = {name: getattr(facts, name) for name in Facts.__struct_fields__}
    given["answers"] = {link_id: _kept(answer) for link_id, answer in facts.answers.items()}
    return zlib.compress(_encoder.encode(given), _QUICKLY)


def _json_of(kept: bytes) -> bytes:
    return kept if kept.startswith(b"{") else zlib.decompress(kept)


def plain_facts(kept: bytes) -> Any:
    """The same as plain JSON values, for people. Raises KeptFactsError."""
    try:
        return msgspec.json.decode(_json_of(kept))
    except (msgspec.DecodeError, zlib.error):
        raise KeptFactsError(_OTHER_FORM) from None


def decode_facts(kept: bytes) -> Facts:
    """The facts that were kept. Raises KeptFactsError."""
    try:
        found = _decoder.decode(_json_of(kept))
    except (msgspec.DecodeError, zlib.error):
        raise KeptFactsError(_OTHER_FORM) from None
    given = {name: getattr(found, name) for name in KeptFacts.__struct_fields__}
    given["answers"] = {link_id: _answer(answer) for link_id, answer in found.answers.items()}
    return Facts(**given)


def _kept(answer: Answer) -> KeptAnswer:
    value = answer.value
    return KeptAnswer(
        link_id=answer.link_id,
        reference=answer.reference,
        display=answer.display,
        authored=answer.authored,
        shown=answer.shown,
        plain=None if isinstance(value, Interval | Span) else value,
        interval=value if isinstance(value, Interval) else None,
        span=value if isinstance(value, Span) else None,
    )


def _answer(kept: KeptAnswer) -> Answer:
    value = kept.plain if kept.plain is not None else kept.interval or kept.span
    if value is None:
        raise KeptFactsError(_OTHER_FORM)
    return Answer(kept.link_id, value, kept.reference, kept.display, kept.authored, kept.shown)
