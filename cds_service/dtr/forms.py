"""Every form of a library, built once, and found by id, canonical and version."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

from msgspec import Struct
from msgspec.json import Decoder, Encoder

from cds_service.dtr.conditions import Conditions, conditions_of
from cds_service.dtr.names import DtrVersion, form_url
from cds_service.dtr.prefill import Filling
from cds_service.dtr.prefill_library import Prefill, prefill
from cds_service.dtr.questionnaire import questionnaire
from cds_service.dtr.reports import largest_report_mb
from cds_service.dtr.search import Candidate
from cds_service.dtr.value_sets import code_system, value_set
from cds_service.policy.compiled import CompiledPolicy
from cds_service.policy.library import Library
from fhir_mappings.labs import LabTable

Json = dict[str, Any]


_VERSIONS: tuple[DtrVersion, DtrVersion] = ("2.2", "2.0.1")
write = Encoder(decimal_format="number").encode
_read = Decoder(float_hook=Decimal).decode


class Form(Struct, frozen=True, dict=True):
    """One version of one policy's form."""

    policy: CompiledPolicy
    url: str
    questionnaire: Json  # of DTR 2.2; never changed
    filled_in_by: Prefill | None  # what DTR clients fill it in by
    filling: Filling  # what it is filled in by here
    largest_report_mb: Decimal
    packed: Mapping[DtrVersion, tuple[bytes, bytes]]  # a package's entries before and after the draft, written once

    @property
    def version(self) -> str:
        """The version, the policy's own."""
        return self.policy.source.version.isoformat()

    @cached_property
    def outline(self) -> tuple[tuple[Json, tuple[tuple[str, str], ...]], ...]:
        """Each group's linkId and text, with those of its items that can be answered."""
        return tuple(
            (
                {"linkId": group["linkId"], "text": group["text"]},
                tuple((item["linkId"], item["text"]) for item in group["item"] if item["type"] != "display"),
            )
            for group in self.questionnaire["item"]
        )

    @cached_property
    def items(self) -> Mapping[str, Json]:
        """The items that can be answered, by linkId, in the form's order."""
        items = (item for group in self.questionnaire["item"] for item in group["item"])
        return {item["linkId"]: item for item in items if item["type"] != "display"}

    @cached_property
    def conditions(self) -> Mapping[str, Conditions]:
        """The conditions of those that are not always shown."""
        found = ((link_id, conditions_of(item)) for link_id, item in self.items.items())
        return {link_id: conditions for link_id, conditions in found if conditions is not None}

    def spoken(self, version: DtrVersion) -> Json:
        """The Questionnaire for a client that speaks that version of DTR."""
        if version == "2.2":
            return self.questionnaire
        entry: Json = _read(self.packed[version][0].removesuffix(b","))  # asked for too seldom to be kept in memory
        resource: Json = entry["resource"]
        return resource

    @property
    def canonical(self) -> str:
        """The canonical of this version."""
        return f"{self.url}|{self.version}"


def _entry(resource: Json) -> bytes:
    return write({"fullUrl": resource["url"], "resource": resource})


class Forms:
    """The forms, and the value sets of their choices. `largest_body` is what the service reads, in bytes."""

    def __init__(self, library: Library, labs: LabTable, public_url: str, largest_body: int) -> None:
        self.library, self.labs, self.public_url, self._largest_body = library, labs, public_url, largest_body
        by_url: dict[str, list[CompiledPolicy]] = {}
        for policy in sorted(library.policies, key=lambda found: found.source.version):
            if policy.source.questions:
                by_url.setdefault(form_url(policy.source, public_url), []).append(policy)
        self._by_url = {url: tuple(self._built(url, versions)) for url, versions in by_url.items()}
        self._of = {form.policy: form for form in self.every()}
        self._value_sets = [
            value_set(form.policy.source, question, public_url)
            for form in self.every()
            for question in form.policy.source.questions
            if question.options
        ]
        self.code_systems = {found["id"]: found for found in self._code_systems()}

    def _built(self, url: str, versions: list[CompiledPolicy]) -> Iterator[Form]:
        ends: list[date | None] = [policy.source.version - timedelta(days=1) for policy in versions[1:]]
        for policy, until in zip(versions, [*ends, None], strict=True):
            own = prefill(policy, self.library, self.labs, self.public_url)
            form, older = (
                questionnaire(policy, self.labs, self.public_url, self._largest_body, until, own, version)
                for version in _VERSIONS
            )
            libraries = b"," + _entry(own.resource) if own is not None else b""
            packed = {
                version: (_entry(one) + b",", libraries) for version, one in zip(_VERSIONS, (form, older), strict=True)
            }
            filling = Filling(policy, self.labs, self.public_url)
            largest = largest_report_mb(policy.source, self._largest_body)
            yield Form(policy, url, form, own, filling, largest, packed)

    def _code_systems(self) -> list[Json]:
        names = sorted({policy.source.policy for policy in self.library.policies})
        sources = [policy.source for policy in self.library.policies]
        return [code_system([one for one in sources if one.policy == name], self.public_url) for name in names]

    def value_set(self, canonical: str) -> Json | None:
        """The value set of a canonical: that version, or the latest."""
        url, _, version = canonical.partition("|")
        found = [one for one in self._value_sets if one["url"] == url and version in ("", one["version"])]
        return found[-1] if found else None

    def find(self, canonical: str, today: date) -> Form | None:
        """The form of a canonical with or without a version; without one, the form in force today."""
        url, _, version = canonical.partition("|")
        versions = self._by_url.get(url, ())
        if version:
            return next((form for form in versions if form.version == version), None)
        begun = [form for form in versions if form.policy.source.version <= today]
        return begun[-1] if begun else None

    def at(self, form_id: str, today: date) -> Form | None:
        """The form of an id, or of an id with `|version`."""
        return self.find(f"{self.public_url}/fhir/Questionnaire/{form_id}", today)

    def prefill_library(self, name: str, today: date) -> Json | None:
        """The Library of an id, or of an id with `|version`."""
        form_id, _, version = name.partition("|")
        form = self.at(form_id.removesuffix("-prefill") + (f"|{version}" if version else ""), today)
        return form.filled_in_by.resource if form is not None and form.filled_in_by is not None else None

    def candidates(self, kind: str, version: DtrVersion, today: date) -> Iterator[Candidate]:
        """Every version of all that is served of a type, for a client that speaks that version of DTR."""
        if kind == "ValueSet":
            yield from (Candidate(one, self.value_set(one["url"]) is one) for one in self._value_sets)
        elif kind == "CodeSystem":
            yield from (Candidate(one, True) for one in self.code_systems.values())
        for form in self.every():
            is_current = self.find(form.url, today) is form
            if kind == "Questionnaire":
                yield Candidate(form.spoken(version), is_current)
            elif kind == "Library" and form.filled_in_by is not None:
                yield Candidate(form.filled_in_by.resource, is_current)

    def every(self) -> tuple[Form, ...]:
        """Every version of every form, oldest first."""
        return tuple(form for versions in self._by_url.values() for form in versions)

    def of(self, policy: CompiledPolicy) -> Form | None:
        """The form of that policy version."""
        return self._of.get(policy)
