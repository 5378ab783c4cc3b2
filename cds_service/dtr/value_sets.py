"""The choices of the forms as a CodeSystem and as ValueSets that can be expanded."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from cds_service.dtr.names import answers_system, code_system_id, value_set_id
from cds_service.policy.policy import Policy, Question

Json = dict[str, Any]


def code_system(policies: Sequence[Policy], public_url: str) -> Json:
    """Every choice on the forms of one policy. What a code is called on another item is a designation."""
    displays: dict[str, list[str]] = {}
    for policy in policies:
        for question in policy.questions:
            for code, display in question.options.items():
                said = displays.setdefault(code, [])
                if display not in said:
                    said.append(display)
    first = policies[0]
    return {
        "resourceType": "CodeSystem",
        "id": code_system_id(first.policy),
        "url": answers_system(first, public_url),
        "version": max(policy.version for policy in policies).isoformat(),
        "name": "".join(part.capitalize() for part in first.policy.split("-")) + "Answers",
        "title": f"Answers on the forms of {first.policy}",
        "status": "active",
        "experimental": False,
        "caseSensitive": True,
        "content": "complete",
        "concept": [
            {
                "code": code,
                "display": said[0],
                **({"designation": [{"value": other} for other in said[1:]]} if said[1:] else {}),
            }
            for code, said in displays.items()
        ],
    }


def value_set(policy: Policy, question: Question, public_url: str) -> Json:
    """The choices of one question."""
    name = value_set_id(policy, question.id)
    concepts = [{"code": code, "display": display} for code, display in question.options.items()]
    return {
        "resourceType": "ValueSet",
        "id": name,
        "url": f"{public_url}/fhir/ValueSet/{name}",
        "version": policy.version.isoformat(),
        "name": "".join(part.capitalize() for part in name.replace(".", "-").split("-")),
        "title": f"{policy.name}: {question.text}",
        "status": "active",
        "experimental": False,
        "compose": {"include": [{"system": answers_system(policy, public_url), "concept": concepts}]},
    }


def expanded(found: Json, moment: datetime, wanted: str = "", offset: int = 0, count: int | None = None) -> Json:
    """The ValueSet with its expansion: the codes whose code or display contains `wanted`, from `offset` on."""
    include = found["compose"]["include"][0]
    words = wanted.casefold()
    codes = [
        {"system": include["system"], **concept}
        for concept in include["concept"]
        if words in concept["display"].casefold() or words in concept["code"].casefold()
    ]
    shown = codes[offset:] if count is None else codes[offset : offset + count]
    expansion: Json = {
        "identifier": f"{found['url']}|{found['version']}",
        "timestamp": moment.isoformat(timespec="seconds"),
        "total": len(codes),
        "offset": offset,
    }
    return {**found, "expansion": {**expansion, **({"contains": shown} if shown else {})}}
