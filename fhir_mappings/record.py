"""What one call knows of one patient: every resource that was sent or read, filtered again and found by reference.

Here, and only here, it is decided that a resource is this patient's. Another patient's resource is not kept at all; one
that does not say whose it is, or whose meaning something unknown may change, counts as broken, since it may hide a
fact: of a result it is known that there is one.
"""

from collections.abc import Iterable, Mapping

from fhir_mappings.prefetch import ROW_OF, Prefetched, Row
from fhir_mappings.queries import Failure
from fhir_mappings.references import NOTHING, Json, contained, has_modifiers, own_reference, relative, word

# What a draft bundle asks for. These are wishes: neither they nor the copies of them in a prefetch are history.
REQUESTS = frozenset(
    {
        "Appointment",
        "CommunicationRequest",
        "DeviceRequest",
        "MedicationRequest",
        "NutritionOrder",
        "ServiceRequest",
        "Task",
        "VisionPrescription",
    }
)

_ELSEWHERE = ("http://", "https://")  # a patient of another server is another; one that cannot be told is nobody's


class Record:
    """The resources of one call, while they are being collected and afterwards."""

    def __init__(
        self,
        patient_id: str,
        base: str | None,
        drafts: Iterable[object],
        prefetched: Prefetched,
        beside: Mapping[str, Json] = NOTHING,
    ) -> None:
        self.patient = f"Patient/{patient_id}"
        self.base = base
        self.resources: dict[str, list[Json]] = {}
        self.unread: set[str] = set()  # sources, as in Facts.unread
        self.broken: dict[str, list[str]] = {}  # by source: references of what could not be read
        self.doubtful: list[tuple[Json, str]] = []  # not to be used, as they came, and why
        self.failures: dict[str, Failure] = {}  # what was asked → why it is not there
        self._aliases = dict(prefetched.aliases)
        self._by_reference: dict[str, Json] = dict(beside)  # by full URL: what the orders of a Bundle refer to
        self._drafts: set[str] = set()
        self._patients = {self.patient}
        if base is not None:
            self._patients.add(f"{base}/{self.patient}")
        self._patients.update(full_url for full_url, name in self._aliases.items() if name == self.patient)
        sent = [draft for draft in drafts if isinstance(draft, dict)]
        for draft in sent:
            if word(draft, "resourceType") in REQUESTS and (name := own_reference(draft)) is not None:
                self._drafts.add(name)
        self.add_all(draft for draft in sent if word(draft, "resourceType") not in REQUESTS)
        self.add_all(prefetched.resources)
        for kind, count in prefetched.broken.items():
            self.broken.setdefault(_source(ROW_OF[kind]), []).extend([kind] * count)

    def add_all(self, resources: Iterable[object]) -> None:
        """Keeps those of this patient, and those that belong to none, once each."""
        for resource in resources:
            if isinstance(resource, dict):
                self._add(resource)

    def of(self, kind: str) -> list[Json]:
        """This patient's resources of that type, in the order in which they came."""
        return self.resources.get(kind, [])

    def name(self, reference: object) -> str | None:
        """`Type/id` of a literal reference; None for one that leads elsewhere or says nothing."""
        if not isinstance(reference, str):
            return None
        if reference in self._by_reference:
            return reference
        if reference.startswith("urn:"):
            return self._aliases.get(reference)
        return relative(reference, self.base)

    def target(self, owner: Json, reference: Json) -> Json | None:
        """The resource that a Reference in `owner` names: contained, sent or read; None when it is not here."""
        literal = reference.get("reference")
        if not isinstance(literal, str):
            return None
        found = self._by_reference.get(literal)
        if found is not None:
            return found
        if literal.startswith("#"):
            return contained(owner, literal)
        name = self.name(literal)
        return self._by_reference.get(name) if name is not None else None

    def at(self, name: str) -> Json | None:
        """The resource of that `Type/id`; None when it is not here."""
        return self._by_reference.get(name)

    def mark_broken(self, source: str, resource: Json) -> None:
        """Notes that this resource could not be read, so that what it says may be missing."""
        name = own_reference(resource) or word(resource, "resourceType") or "?"
        self.broken.setdefault(source, []).append(name)

    def _add(self, resource: Json) -> None:
        kind = resource.get("resourceType")
        row = ROW_OF.get(kind) if isinstance(kind, str) else None
        if row is None:
            return
        name = own_reference(resource)
        if name is not None and (name in self._by_reference or name in self._drafts):
            return
        if row.subject:
            subject = resource.get(row.subject)
            literal = word(subject, "reference") if isinstance(subject, dict) else ""
            if literal not in self._patients:
                owner = self.name(literal)
                if owner is None and not literal.startswith(_ELSEWHERE):
                    self._doubt(row, resource, "does not say whose it is")
                    return
                if owner != self.patient:
                    return
        elif row.type == "Patient" and name != self.patient:
            return
        if has_modifiers(resource):
            self._doubt(row, resource, "is marked in a way that the plan cannot read")
            return
        if name is not None:
            self._by_reference[name] = resource
        self.resources.setdefault(row.type, []).append(resource)

    def _doubt(self, row: Row, resource: Json, why: str) -> None:
        self.mark_broken(_source(row), resource)
        self.doubtful.append((resource, why))


def _source(row: Row) -> str:
    return row.source or row.key
