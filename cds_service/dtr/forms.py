"""Every form of a library, found by id, canonical and version, and made when it is asked for."""

from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from functools import cache, cached_property, lru_cache, partial
from typing import Any

from msgspec import Struct
from msgspec.json import Decoder, Encoder

from cds_service.dtr.conditions import Conditions, conditions_of
from cds_service.dtr.names import DtrVersion, code_system_id, form_url, prefill_id, value_set_id
from cds_service.dtr.prefill import Filling
from cds_service.dtr.prefill_library import Prefill, prefill, signature
from cds_service.dtr.questionnaire import questionnaire
from cds_service.dtr.reports import largest_report_mb
from cds_service.dtr.search import Candidate
from cds_service.dtr.value_sets import code_system, value_set
from cds_service.policy.compiled import CompiledPolicy
from cds_service.policy.kept import KeptPolicy
from cds_service.policy.library import Library
from fhir_mappings.labs import LabTable

Json = dict[str, Any]

_MADE = 16  # forms that stay made; at about a megabyte each
_FIRST = 4  # of them made before the first is asked for: each costs the start some milliseconds
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
    """The forms, and the value sets of their choices. `largest_body` is what the service reads, in bytes.

    A form is made when it is asked for; those that were asked for last stay made.
    """

    def __init__(self, library: Library, labs: LabTable, public_url: str, largest_body: int) -> None:
        self.library, self.labs, self.public_url, self._largest_body = library, labs, public_url, largest_body
        self._by_url: dict[str, list[KeptPolicy]] = {}
        for kept in sorted(library.versions, key=lambda found: found.version):
            if kept.asks:
                self._by_url.setdefault(form_url(kept, public_url), []).append(kept)
        self._versions = tuple(kept for versions in self._by_url.values() for kept in versions)
        self._prefill_files = {kept: signature(library.folder, kept) for kept in self._versions}
        self._form: Callable[[KeptPolicy], Form] = lru_cache(_MADE)(self._made)
        self._code_system: Callable[[str], Json] = cache(self._made_code_system)

    def make_first(self) -> None:
        """Makes a few forms before they are asked for, in memory that worker processes then share."""
        for kept in self._versions[:_FIRST]:
            self._form(kept)

    def _made(self, kept: KeptPolicy) -> Form:
        policy, url = self.library.ready(kept), form_url(kept, self.public_url)
        later = next((other for other in self._by_url[url] if other.version > kept.version), None)
        until = later.version - timedelta(days=1) if later is not None else None
        as_at_start = signature(self.library.folder, kept) == self._prefill_files[kept]
        own = prefill(policy, self.library, self.labs, self.public_url) if as_at_start else None
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
        return Form(policy, url, form, own, filling, largest, packed)

    def _made_code_system(self, policy: str) -> Json:
        sources = [kept.source() for kept in self.library.versions if kept.policy == policy]
        return code_system(sources, self.public_url)

    def code_system(self, system_id: str) -> Json | None:
        """The code system of an id: the choices on every form of a policy."""
        names = {kept.policy for kept in self.library.versions}
        return next((self._code_system(name) for name in names if code_system_id(name) == system_id), None)

    def value_set(self, canonical: str) -> Json | None:
        """The value set of a canonical: that version, or the latest."""
        url, _, version = canonical.partition("|")
        found = [
            (kept, link_id)
            for kept in self._versions
            if url.startswith(self._value_set_url(kept, ""))
            for link_id in kept.choices
            if self._value_set_url(kept, link_id) == url and version in ("", kept.version.isoformat())
        ]
        return self._value_set(*found[-1]) if found else None

    def _value_set_url(self, kept: KeptPolicy, link_id: str) -> str:
        return f"{self.public_url}/fhir/ValueSet/{value_set_id(kept, link_id)}"

    def _value_set(self, kept: KeptPolicy, link_id: str) -> Json:
        policy = self.library.ready(kept)
        return value_set(policy.source, policy.questions[link_id], self.public_url)

    def find(self, canonical: str, today: date) -> Form | None:
        """The form of a canonical with or without a version; without one, the form in force today."""
        url, _, version = canonical.partition("|")
        versions = self._by_url.get(url, [])
        if version:
            return next((self._form(kept) for kept in versions if kept.version.isoformat() == version), None)
        begun = [kept for kept in versions if kept.version <= today]
        return self._form(begun[-1]) if begun else None

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
            yield from self._value_sets()
        elif kind == "CodeSystem":
            for name in sorted({kept.policy for kept in self.library.versions}):
                system = self._code_system(name)
                yield Candidate(system["id"], system["url"], system["version"], True, partial(self._code_system, name))
        else:
            yield from (self._candidate(kind, kept, version, today) for kept in self._versions)

    def _value_sets(self) -> Iterator[Candidate]:
        last = {value_set_id(kept, link_id): kept for kept in self._versions for link_id in kept.choices}
        for kept in self._versions:
            for link_id in kept.choices:
                name, url = value_set_id(kept, link_id), self._value_set_url(kept, link_id)
                made = partial(self._value_set, kept, link_id)
                yield Candidate(name, url, kept.version.isoformat(), last[name] is kept, made)

    def _candidate(self, kind: str, kept: KeptPolicy, version: DtrVersion, today: date) -> Candidate:
        def resource() -> Json | None:
            form = self._form(kept)
            if kind == "Questionnaire":
                return form.spoken(version)
            return form.filled_in_by.resource if form.filled_in_by is not None else None

        name = kept.questionnaire if kind == "Questionnaire" else prefill_id(kept)
        begun = [other for other in self._by_url[form_url(kept, self.public_url)] if other.version <= today]
        url = f"{self.public_url}/fhir/{kind}/{name}"
        return Candidate(name, url, kept.version.isoformat(), begun[-1:] == [kept], resource)

    def every(self) -> tuple[Form, ...]:
        """Every version of every form, oldest first, made anew where it is not made: for tools that go through all."""
        return tuple(self._form(kept) for kept in self._versions)

    def of(self, policy: CompiledPolicy) -> Form | None:
        """The form of that policy version."""
        versions = self._by_url.get(form_url(policy.source, self.public_url), [])
        return next((self._form(kept) for kept in versions if kept.version == policy.source.version), None)
