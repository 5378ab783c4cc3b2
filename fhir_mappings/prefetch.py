"""The resource types that a policy can ask for, the prefetch keys they come under, and what a prefetch says of each.

A key has four states (CDS Hooks, prefetch): absent, so that the server must be asked; `null` or an empty Bundle, which
says that there is nothing; an OperationOutcome, which says that the client failed and is not asked again; or data.
Clients name their keys as they like, so every resource counts whatever key it came under, but only a key of ours says
that a type is complete: its template is ours.
"""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum

from msgspec import Struct

from fhir_mappings.queries import is_error, says_not_offered
from fhir_mappings.references import Json, child, children, own_reference, word

_BY_CODE = re.compile(r"[?&]code(?:(?::|%3A)[a-z-]+)?=")
PATIENT = "{{context.patientId}}"


class Row(Struct, frozen=True):
    """One resource type: the source of facts it feeds, its prefetch key, and how it is read.

    `search` is what is asked of the server beside the patient; None where the type is read by reference alone.
    `template` is what discovery advertises: tokens of CDS Hooks 2.0 only, so nothing that draft orders refer to.
    """

    type: str
    source: str  # of Facts.unread; empty for what feeds no fact
    key: str
    template: str = ""
    search: tuple[tuple[str, str], ...] | None = None
    subject: str = "subject"  # the member that names the patient; empty for what belongs to none
    single: bool = False  # one resource is the whole answer
    optional: bool = False  # many servers do not offer it: one that says so has told all there is


def _row(kind: str, source: str, key: str, *search: tuple[str, str], subject: str = "subject") -> Row:
    return Row(kind, source, key, f"{kind}?patient={PATIENT}", search, subject)


_NEWEST = ("_sort", "-date")
_BILLS = (("_sort", "-created"), ("_count", "200"))
ROWS = (
    Row("Patient", "patient", "patient", f"Patient/{PATIENT}", subject="", single=True),
    # The guide's own string. The server is asked without the status: a cancelled Coverage is an answer too.
    Row(
        "Coverage", "coverage", "coverage", f"Coverage?patient={PATIENT}&status=active", (), "beneficiary", single=True
    ),
    _row("Condition", "diagnoses", "conditions", ("_count", "200")),
    Row("Observation", "", "observations"),  # template and searches depend on the tests: see reads.py
    _row("DiagnosticReport", "notes", "reports", _NEWEST, ("_count", "100")),
    _row("Procedure", "treatments", "procedures", _NEWEST, ("_count", "200")),
    _row("MedicationRequest", "treatments", "medicationRequests", ("_sort", "-authoredon"), ("_count", "200")),
    _row("MedicationAdministration", "treatments", "medicationAdministrations", ("_count", "200")),
    _row("MedicationStatement", "treatments", "medicationStatements", ("_count", "200")),
    _row("MedicationDispense", "treatments", "medicationDispenses", ("_count", "200")),
    # Template and search of charges depend on what the policies ask for: see reads.py.
    Row("ChargeItem", "bills", "chargeItems", search=(("_count", "200"),), optional=True),
    Row("Claim", "bills", "claims", f"Claim?patient={PATIENT}", _BILLS, "patient", optional=True),
    Row("Medication", "treatments", "medications", subject=""),
    Row("Practitioner", "clinicians", "practitioners", "Practitioner?_id={{userPractitionerId}}", subject=""),
    Row(
        "PractitionerRole",
        "clinicians",
        "practitionerRoles",
        "PractitionerRole?practitioner={{userPractitionerId}}",
        subject="",
    ),
    Row("Organization", "clinicians", "organizations", subject=""),
    _row("CareTeam", "clinicians", "careTeams", ("_count", "50")),
    Row("Encounter", "clinicians", "encounter", "Encounter/{{context.encounterId}}", single=True),
    _row("DocumentReference", "notes", "documents", ("status", "current"), _NEWEST, ("_count", "100")),
    # Not by canonical: servers differ in whether a search without version finds a response with one.
    _row("QuestionnaireResponse", "answers", "questionnaireResponses", ("_sort", "-authored"), ("_count", "50")),
    _row("ServiceRequest", "", "serviceRequests", ("status", "active"), ("_sort", "-authored"), ("_count", "100")),
)
ROW_OF: Mapping[str, Row] = {row.type: row for row in ROWS}
ROW_OF_KEY: Mapping[str, Row] = {row.key: row for row in ROWS}


def templates(types: Iterable[str], tokens: Iterable[str], billed: Iterable[str] = ()) -> dict[str, str]:
    """The prefetch templates of those types by key.

    `tokens` are the `system|code` of every test that is asked for, `billed` the codes of every drug that is looked for
    among the charges.
    """
    wanted = frozenset(types)
    found = {row.key: row.template for row in ROWS if row.type in wanted and row.template}
    for kind, codes in (("Observation", tokens), ("ChargeItem", billed)):
        if kind in wanted and (listed := ",".join(dict.fromkeys(codes))):
            found[ROW_OF[kind].key] = f"{kind}?patient={PATIENT}&code={listed}"
    return found


class State(StrEnum):
    """What a prefetch says of one resource type."""

    ABSENT = "absent"  # no key of ours: ask the server
    NOTHING = "nothing"  # null or an empty Bundle: looked, none
    SUPPLIED = "supplied"
    FIRST_PAGE = "first-page"  # there is more than was sent
    FAILED = "failed"  # the client could not: it is not asked again


class Prefetched(Struct, frozen=True):
    """All resources of a prefetch, and what it says of each type."""

    resources: list[Json]
    states: Mapping[str, State]  # by resource type; ABSENT where there is none
    next_links: Mapping[str, str]  # by resource type, of first pages
    filtered: frozenset[str]  # types whose Bundle says that it was searched by code
    aliases: Mapping[str, str]  # fullUrl `urn:uuid:…` → Type/id
    broken: Mapping[str, int]  # entries without a readable resource, by resource type
    base: str | None = None  # the one FHIR server that the entries' full URLs name

    def state(self, kind: str) -> State:
        """What the prefetch says of the type."""
        return self.states.get(kind, State.ABSENT)


def read_prefetch(prefetch: object) -> Prefetched:
    """What the prefetch holds, whatever its shape: a member that cannot be read is as good as absent."""
    resources: list[Json] = []
    states: dict[str, State] = {}
    links: dict[str, str] = {}
    filtered: set[str] = set()
    aliases: dict[str, str] = {}
    broken: dict[str, int] = {}
    bases: set[str] = set()
    for key, value in prefetch.items() if isinstance(prefetch, dict) else ():
        row = ROW_OF_KEY.get(key)
        if value is None:
            state: State | None = State.NOTHING
        elif not isinstance(value, dict):
            state = None
        elif value.get("resourceType") == "Bundle":
            state = _read_bundle(value, row, resources, aliases, broken, bases)
            if row is not None and "link" in value:
                following = _link(value, "next")
                if following is not None and state is State.SUPPLIED:
                    state, links[row.type] = State.FIRST_PAGE, following
                if _BY_CODE.search(_link(value, "self") or ""):
                    filtered.add(row.type)
        elif value.get("resourceType") == "OperationOutcome":
            none_offered = row is not None and row.optional and says_not_offered(value)
            state = State.NOTHING if none_offered else State.FAILED
        else:
            resources.append(value)
            state = State.SUPPLIED if row and row.single and value.get("resourceType") == row.type else None
        if row is not None and state is not None:
            states[row.type] = state
    base = next(iter(bases)) if len(bases) == 1 else None
    return Prefetched(resources, states, links, frozenset(filtered), aliases, broken, base)


def _link(bundle: Json, relation: str) -> str | None:
    return next((word(link, "url") for link in children(bundle, "link") if link.get("relation") == relation), None)


def _read_bundle(
    bundle: Json,
    row: Row | None,
    resources: list[Json],
    aliases: dict[str, str],
    broken: dict[str, int],
    bases: set[str],
) -> State | None:
    """Adds the Bundle's resources. Gives what it says of the row's type; None when it says nothing of it."""
    entries = bundle.get("entry", [])
    if not isinstance(entries, list):
        return None
    failed, others, own = False, 0, 0
    for entry in entries:
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if not isinstance(resource, dict):
            outcome = child(child(entry, "response"), "outcome") if isinstance(entry, dict) else {}
            failed = failed or is_error(outcome)
            if row is not None and not outcome:
                broken[row.type] = broken.get(row.type, 0) + 1
            continue
        kind = resource.get("resourceType")
        if kind == "OperationOutcome":
            failed = failed or is_error(resource)
            continue
        full_url = entry.get("fullUrl")
        if isinstance(full_url, str) and (own_name := own_reference(resource)):
            if full_url.startswith("urn:"):
                aliases[full_url] = own_name
            elif full_url.endswith(f"/{own_name}"):
                bases.add(full_url[: -len(own_name) - 1])
        resources.append(resource)
        if row is not None and kind == row.type:
            own += 1
        elif child(entry, "search").get("mode") != "include":
            others += 1
    if failed:
        return State.FAILED
    total = bundle.get("total")
    if isinstance(total, int) and total > own + others:
        return State.FIRST_PAGE
    if own or (row is not None and broken.get(row.type)):
        return State.SUPPLIED
    return None if others else State.NOTHING
