"""The update action: the order as it came in, byte for byte, with what is said of it added."""

from typing import Any

import msgspec
from msgspec import Raw

from fhir_mappings.references import child, children
from hooks.bundles import DraftOrder
from hooks.coverage_information import URL, Assertion, Dialect, to_extension
from hooks.wire import encode


def update(draft: DraftOrder, assertion: Assertion | None, label: str, dialect: Dialect) -> dict[str, Any] | None:
    """The action that puts this assertion in place of an earlier one about the same Coverage.

    None where there is nothing to point at, or the order already carries this assertion (CRD resp-35).
    """
    if assertion is None:
        return None
    found_there = draft.resource.get("extension")
    extensions = found_there if isinstance(found_there, list) else []
    kept = [found for found in extensions if not _is_about(found, assertion.coverage)]
    if len(kept) < len(extensions) and any(_carries(found, assertion.assertion_id) for found in extensions):
        return None
    members = msgspec.json.decode(draft.raw, type=dict[str, Raw])
    raws = msgspec.json.decode(members["extension"], type=list[Raw]) if extensions else []
    others = [raw for raw, found in zip(raws, extensions, strict=True) if found in kept]
    own = Raw(encode(to_extension(assertion, dialect)))
    members["extension"] = Raw(encode([*others, own]))
    return {"type": "update", "description": f"{label}: {assertion.reasons[0].text}", "resource": members}


def _is_about(extension: Any, coverage: str) -> bool:
    """True for a coverage-information of ours or another's about this very Coverage, which the new one replaces."""
    return (
        isinstance(extension, dict)
        and extension.get("url") == URL
        and any(
            part.get("url") == "coverage" and child(part, "valueReference").get("reference") == coverage
            for part in children(extension, "extension")
        )
    )


def _carries(extension: Any, assertion_id: str) -> bool:
    parts = children(extension, "extension") if isinstance(extension, dict) else []
    return any(part.get("valueString") == assertion_id for part in parts)
