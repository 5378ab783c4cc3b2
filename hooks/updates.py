"""The update action: the order as it came in, byte for byte, with what is said of it added."""

from datetime import date
from typing import Any

import msgspec
from msgspec import Raw

from cds_service.policy.dates import months_after
from fhir_mappings.fhir_dates import parse_date
from fhir_mappings.references import child, children, relative, word
from hooks.bundles import DraftOrder
from hooks.coverage_information import URL, Assertion, Dialect, to_extension
from hooks.wire import encode

_NOT_IN_2_0_1 = frozenset({"Appointment", "VisionPrescription"})  # contexts that the extension got with 2.1


def update(
    draft: DraftOrder, assertion: Assertion | None, label: str, dialect: Dialect, base: str
) -> dict[str, Any] | None:
    """The action that puts this assertion in place of an earlier one about the same Coverage.

    None where there is nothing to point at, where the dialect has no place for it, and where the order already carries
    this assertion with all of its parts (CRD resp-35): a later hook adds the form or the number to what an earlier one
    said by the same id, and an earlier one asked again takes nothing away. `base` is the FHIR server's: a client may
    have written our relative reference out.
    """
    if assertion is None or (dialect == "2.0.1" and word(draft.resource, "resourceType") in _NOT_IN_2_0_1):
        return None
    said = to_extension(assertion, dialect)
    found_there = draft.resource.get("extension")
    extensions = found_there if isinstance(found_there, list) else []
    kept = [found for found in extensions if not _is_about(found, assertion.coverage, base)]
    earlier = [found for found in extensions if _is_about(found, assertion.coverage, base)]
    if any(_carries(found, assertion.assertion_id) and _parts(found) >= _parts(said) for found in earlier):
        return None
    members = msgspec.json.decode(draft.raw, type=dict[str, Raw])
    raws = msgspec.json.decode(members["extension"], type=list[Raw]) if extensions else []
    others = [raw for raw, found in zip(raws, extensions, strict=True) if found in kept]
    own = Raw(encode(said))
    members["extension"] = Raw(encode([*others, own]))
    return {"type": "update", "description": f"{label}: {assertion.reasons[0].text}", "resource": members}


def _is_about(extension: Any, coverage: str, base: str) -> bool:
    """True for a coverage-information of ours or another's about this very Coverage, which the new one replaces."""
    return (
        isinstance(extension, dict)
        and extension.get("url") == URL
        and any(
            part.get("url") == "coverage"
            and relative(child(part, "valueReference").get("reference"), base or None) == coverage
            for part in children(extension, "extension")
        )
    )


def carries_number(order: dict[str, Any], assertion_id: str, today: date, months: int) -> bool:
    """True when the order has an authorization number that was given with this assertion and is still good.

    2.0.1 writes no last day: there it is `months` after the day of the assertion.
    """
    return any(
        found.get("url") == URL and _carries(found, assertion_id) and _good_number(found, today, months)
        for found in children(order, "extension")
    )


def carried_number(order: dict[str, Any], coverage: str, base: str, today: date, months: int) -> str:
    """The number, still good, that the order carries for this Coverage, by whatever name it had then; else empty.

    A draft may get another id when it is signed: what it was told goes with it. Only the ledger knows if it is ours.
    """
    numbers = (
        _good_number(found, today, months) for found in children(order, "extension") if _is_about(found, coverage, base)
    )
    return next(filter(None, numbers), "")


def _good_number(extension: dict[str, Any], today: date, months: int) -> str:
    parts = {word(part, "url"): part for part in children(extension, "extension")}
    last, since = (parse_date(parts.get(name, {}).get("valueDate")) for name in ("expiry-date", "date"))
    until = last.first if last is not None else months_after(since.first, months) if since is not None else today
    return word(parts.get("satisfied-pa-id", {}), "valueString") if today < until else ""


def _carries(extension: dict[str, Any], assertion_id: str) -> bool:
    return any(part.get("valueString") == assertion_id for part in children(extension, "extension"))


def _parts(extension: dict[str, Any]) -> frozenset[tuple[str, str]]:
    """What kinds of things it says, and of which other orders."""
    return frozenset(
        (word(part, "url"), word(child(part, "valueReference"), "reference") if part.get("url") == "dependency" else "")
        for part in children(extension, "extension")
    )
