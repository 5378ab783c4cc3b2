"""The FHIR Library with a form's CQL and its ELM (DTR spec-87, spec-95, spec-99), from the files beside the policy.

ELM is made where the policies are made (`make elm`), not here. Files that do not fit the policy, or are not there, give
no library: then a client fills in nothing by itself, and the draft of the package is what there is.
"""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import DecodeError, Struct
from msgspec.json import decode, encode

from cds_service.dtr.cql import ANSWERS, Population, population
from cds_service.dtr.names import SDC, Named, answers_system, prefill_id
from cds_service.policy.compiled import CompiledPolicy
from cds_service.policy.library import Library
from fhir_mappings.labs import LabTable

Json = dict[str, Any]

_COMPILED_FOR = "https://plan.example"  # stands for the address of the service, which is known when it runs

_LOGIC = {
    "system": "http://terminology.hl7.org/CodeSystem/library-type",
    "code": "logic-library",
    "display": "Logic Library",  # fixed by the SDC profile, display and all
}


class Prefill(Struct, frozen=True):
    """What a form's items are filled in by."""

    resource: Json  # Library
    statements: Mapping[str, str]  # linkId → statement

    @property
    def canonical(self) -> str:
        """The canonical of this version."""
        return f"{self.resource['url']}|{self.resource['version']}"


def to_compile(policy: CompiledPolicy, library: Library, labs: LabTable) -> Population | None:
    """What the files hold; None for a form of which nothing can be found by code."""
    return population(policy, library, labs, answers_system(policy.source, _COMPILED_FOR))


def compiled_files(folder: Path, policy: Named) -> tuple[Path, Path]:
    """Where the CQL and the ELM of a policy version lie: beside its file."""
    beside = folder / policy.policy.lower() / policy.drug / policy.version.isoformat()
    return beside.with_suffix(".cql"), beside.with_suffix(".elm.json")


def signature(folder: Path | None, policy: Named) -> tuple[tuple[int, int], ...]:
    """By which a change of the files is seen: of each that is there, when it was last written, in ns, and its bytes."""
    found = [path.stat() for path in compiled_files(folder, policy) if path.is_file()] if folder is not None else []
    return tuple((file.st_mtime_ns, file.st_size) for file in found)


def prefill(policy: CompiledPolicy, library: Library, labs: LabTable, public_url: str) -> Prefill | None:
    """The Library of a form; None where there is none, or its files are not of this policy."""
    source = policy.source
    if library.folder is None:
        return None
    cql_file, elm_file = compiled_files(library.folder, source)
    if not cql_file.is_file() or not elm_file.is_file():
        return None
    wanted = to_compile(policy, library, labs)
    if wanted is None or cql_file.read_bytes() != wanted.text.encode():
        return None
    system = answers_system(source, public_url)
    elm = _with_system(elm_file.read_bytes(), system)
    if elm is None:
        return None
    here = population(policy, library, labs, system)
    name = prefill_id(source)
    reads = [
        {
            "type": read.kind,
            "codeFilter": [
                {"path": "code", "code": [{"system": labs.systems.uri(c.system), "code": c.code} for c in read.codes]}
            ],
        }
        for read in wanted.reads
    ]
    resource = {
        "resourceType": "Library",
        "id": name,
        "meta": {"profile": [f"{SDC}/sdc-library"]},
        "url": f"{public_url}/fhir/Library/{name}",
        "version": source.version.isoformat(),
        "name": wanted.name,
        "title": f"{source.name}: what is filled in from the chart",
        "status": "active",
        "experimental": False,
        "type": {"coding": [_LOGIC]},
        "date": source.version.isoformat(),
        "description": f"Population of the form of {source.policy} for {source.name}, item by item.",
        "jurisdiction": [{"coding": [{"system": "urn:iso:std:iso:3166", "code": "US"}]}],
        "dataRequirement": reads,
        "content": [
            _content("text/cql", (here.text if here is not None else "").encode()),
            _content("application/elm+json", encode(elm)),
        ],
    }
    return Prefill(resource, wanted.statements)


def _content(kind: str, data: bytes) -> Json:
    return {"contentType": kind, "data": base64.b64encode(data).decode()}


def _with_system(written: bytes, system: str) -> Json | None:
    """The ELM with this code system for the form's answers; None for what is no ELM."""
    try:
        elm: Json = decode(written)
        for defined in elm["library"]["codeSystems"]["def"]:
            if defined["name"] == ANSWERS:
                defined["id"] = system
    except (DecodeError, LookupError, TypeError):
        return None
    return elm
