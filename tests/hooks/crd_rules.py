"""The rules of ext-coverage-information, CRD 2.2.1 and 2.0.1, written from the guide's text and not from our code.

`broken_rules` names each rule that an extension breaks. Invariants crd-ci-q1 to q9, cardinalities, value types, codes.
"""

from typing import Any

Json = dict[str, Any]

COMMON = {
    "coverage": (1, 1, "valueReference"),
    "covered": (1, 1, "valueCode"),
    "pa-needed": (0, 1, "valueCode"),
    "doc-purpose": (0, None, "valueCode"),
    "info-needed": (0, None, "valueCode"),
    "billingCode": (0, None, "valueCoding"),
    "reason": (0, None, "valueCodeableConcept"),
    "detail": (0, None, "extension"),
    "dependency": (0, None, "valueReference"),
    "questionnaire": (0, None, "valueCanonical"),
    "date": (1, 1, "valueDate"),
    "coverage-assertion-id": (1, 1, "valueString"),
    "satisfied-pa-id": (0, 1, "valueString"),
}
PARTS = {
    "2.2": {
        **COMMON,
        "doc-needed": (0, None, "valueCode"),
        "contact": (0, None, "valueContactDetail"),
        "expiry-date": (0, 1, "valueDate"),
    },
    "2.0.1": {
        **COMMON,
        "doc-needed": (0, 1, "valueCode"),
        "contact": (0, None, "valueContactPoint"),
        "response": (0, None, "valueReference"),
    },
}
_COVERED = {"covered", "not-covered", "conditional"}
_PA_NEEDED = {"no-auth", "auth-needed", "satisfied", "performpa", "conditional"}
_PURPOSE = {"withpa", "withclaim", "withorder", "retain-doc", "OTH"}
_INFO = {"performer", "location", "timeframe", "contract-window", "OTH"}
CODES = {
    "2.2": {
        "covered": _COVERED | {"indeterminate"},
        "pa-needed": _PA_NEEDED | {"indeterminate"},
        "doc-needed": {"clinical", "admin", "patient", "conditional", "indeterminate"},
        "doc-purpose": _PURPOSE,
        "info-needed": _INFO | {"detail-code"},
    },
    "2.0.1": {
        "covered": _COVERED,
        "pa-needed": _PA_NEEDED,
        "doc-needed": {"clinical", "admin", "both", "conditional"},
        "doc-purpose": _PURPOSE,
        "info-needed": _INFO,
    },
}
REASONS = {
    "2.2": {
        "gold-card",
        "no-member-found",
        "no-active-coverage",
        "coverage-not-found",
        "auth-out-network",
        "technical",
    },
    "2.0.1": {"gold-card", "detail-code"},
}
TEMP = "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp"
_VALUES = ("valueBoolean", "valueString", "valueQuantity", "valuePeriod")
DETAIL_VALUES = {"2.2": (*_VALUES, "valueUrl"), "2.0.1": _VALUES}
_DETAILS = {"allowed-quantity", "allowed-period", "in-network-copay", "out-network-copay", "concurrent-review"}
DETAILS = {
    "2.2": (
        "http://terminology.hl7.org/CodeSystem/crd-coverage-detail",
        _DETAILS | {"appropriate-use-needed", "policy-link", "instructions"},
    ),
    "2.0.1": (TEMP, _DETAILS | {"auth-out-network-only", "appropriate-use-needed"}),
}
CATEGORIES = {"cat-limitation", "cat-decisional", "cat-other"}


def broken_rules(extension: Json, version: str) -> list[str]:
    """The rules that the extension breaks; none for a sound one. `version` is 2.2 or 2.0.1."""
    parts = extension["extension"]
    broken = _broken_shape(parts, version)
    if broken:
        return broken
    found: dict[str, list[Any]] = {}
    for part in parts:
        found.setdefault(part["url"], []).append(next(value for name, value in part.items() if name != "url"))
    for name, codes in CODES[version].items():
        broken += [f"{name}: {code} is no code of {version}" for code in found.get(name, []) if code not in codes]
    for part in found.get("detail", []):
        broken += _broken_detail(part, version)
    rules = _rules_2_2(found) if version == "2.2" else _rules_2_0_1(found)
    return broken + [name for name, holds in rules.items() if not holds]


def _broken_shape(parts: list[Json], version: str) -> list[str]:
    allowed = PARTS[version]
    names = [part["url"] for part in parts]
    broken = [f"{name}: not in {version}" for name in names if name not in allowed]
    for name, (least, most, _) in allowed.items():
        count = names.count(name)
        if count < least or (most is not None and count > most):
            broken.append(f"{name}: {count} of them")
    for part in parts:
        kind = allowed.get(part["url"], (0, 0, ""))[2]
        if set(part) != {"url", kind} or part.get(kind) in ("", None, [], {}):
            broken.append(f"{part['url']}: expected {kind} alone")
    return broken


def _broken_detail(parts: list[Json], version: str) -> list[str]:
    by_name = {part["url"]: part for part in parts}
    broken = []
    if len(by_name) != len(parts) or not {"code", "value"} <= by_name.keys():
        broken.append("detail: one code and one value")
    if version == "2.2" and by_name.get("category", {}).get("valueCode") not in CATEGORIES:
        broken.append("detail: a category")
    if version == "2.0.1" and "category" in by_name:
        broken.append("detail: no category in 2.0.1")
    if not any(name in by_name.get("value", {}) for name in DETAIL_VALUES[version]):
        broken.append("detail: value of another type")
    system, codes = DETAILS[version]
    codings = by_name.get("code", {}).get("valueCodeableConcept", {}).get("coding", [])
    if not any(coding.get("system") == system and coding.get("code") in codes for coding in codings):
        broken.append(f"detail: a code of {version}")
    return broken


def _rules_2_2(found: dict[str, list[Any]]) -> dict[str, bool]:
    has = {name: bool(found.get(name)) for name in PARTS["2.2"]}
    covered, pa_needed = found["covered"][0], (found.get("pa-needed") or [""])[0]
    judged = [covered, pa_needed, *found.get("doc-needed", [])]
    return {
        "crd-ci-q1": has["doc-needed"] or not has["questionnaire"],
        "crd-ci-q2": not (covered == "not-covered" and has["pa-needed"]),
        "crd-ci-q3": ("conditional" in judged) == has["info-needed"],
        "crd-ci-q4": not (pa_needed in ("satisfied", "no-auth", "noauth") and "withpa" in found.get("doc-purpose", [])),
        "crd-ci-q5": has["satisfied-pa-id"] == (pa_needed == "satisfied"),
        "crd-ci-q6": has["reason"] or "OTH" not in found.get("info-needed", []),
        "crd-ci-q7": all(reason.get("text") or _is_listed(reason, "2.2") for reason in found.get("reason", [])),
        "crd-ci-q8": has["reason"] or not has["doc-purpose"],
        "crd-ci-q9": has["reason"] or "indeterminate" not in judged,
        "only listed codes of the guide's own system": all(
            _is_listed(reason, "2.2") for reason in found.get("reason", []) if reason.get("coding")
        ),
    }


def _rules_2_0_1(found: dict[str, list[Any]]) -> dict[str, bool]:
    covered, pa_needed = found["covered"][0], (found.get("pa-needed") or [""])[0]
    doc_needed = found.get("doc-needed", [])
    judged = [covered, pa_needed, *doc_needed]
    asks = bool(found.get("questionnaire") or found.get("response"))
    return {
        "crd-ci-q1": not asks or (bool(doc_needed) and doc_needed != ["no-doc"]),
        "crd-ci-q2": bool(pa_needed),
        "crd-ci-q3": not found.get("info-needed") or "conditional" in judged,
        "crd-ci-q4": not (pa_needed == "satisfied" and "withpa" in found.get("doc-purpose", [])),
        "crd-ci-q5": bool(found.get("satisfied-pa-id")) == (pa_needed == "satisfied"),
        "only listed codes of the guide's own system": all(
            _is_listed(reason, "2.0.1") for reason in found.get("reason", []) if reason.get("coding")
        ),
    }


def _is_listed(reason: Json, version: str) -> bool:
    codings = reason.get("coding", [])
    return bool(codings) and all(
        coding.get("system") == TEMP and coding.get("code") in REASONS[version] for coding in codings
    )
