"""Who prescribes and who was consulted, with specialties and organisations, to Clinician.

A prescriber is the order's requester, recorder or performer, or the user who signs. A consultant is whoever else the
record ties to the care of this patient: a member of a care team, a participant of the encounter, the performer of a
service, the author of a current document. Whether that is enough is the policy's business.
"""

from collections.abc import Iterator
from typing import NamedTuple

from msgspec import Struct

from cds_service.policy.dates import Span
from cds_service.policy.facts import NO_NAMES, Clinician, Names
from fhir_mappings.codes import CodeIndex
from fhir_mappings.fhir_dates import parse_date
from fhir_mappings.record import Record
from fhir_mappings.references import Json, child, children, first_text, label, own_reference, plain, readable, word

Users = tuple[str, ...]  # references of who acts in the call: the signing user, the performer of a dispatch
PEOPLE = ("Practitioner", "PractitionerRole", "Organization")
_OF_PEOPLE = tuple(f"{kind}/" for kind in PEOPLE)


class Mention(NamedTuple):
    """One place where the record names somebody."""

    role: str
    owner: Json  # the resource that holds the reference, for contained ones
    reference: Json
    sets: Names = NO_NAMES  # what the place itself says of the specialty
    sites: Names = NO_NAMES


class _Person(Struct):
    """What is known of one person so far, from every mention."""

    role: str
    sets: Names
    sites: Names
    name: str
    specialty: str


def read_clinicians(record: Record, order: Json, users: Users, codes: CodeIndex, day: Span) -> list[Clinician]:
    """Every prescriber, and every consultant of whom a specialty or an organisation is known."""
    people: dict[str, _Person] = {}
    for mention in mentions(record, order, users, codes):
        for reference, person in _people(mention, record, codes, day):
            known = people.get(reference)
            if known is None:
                people[reference] = person
                continue
            known.sets |= person.sets
            known.sites |= person.sites
            known.name, known.specialty = known.name or person.name, known.specialty or person.specialty
    return [
        Clinician(person.role, person.sets, person.sites, reference, _display(person))
        for reference, person in people.items()
        if person.role == "prescriber" or person.sets or person.sites
    ]


def mentions(record: Record, order: Json, users: Users, codes: CodeIndex) -> Iterator[Mention]:
    """Every place that names a clinician of this patient or order, prescribers first."""
    for member in ("requester", "recorder", "performer"):
        named = order.get(member)
        for reference in named if isinstance(named, list) else [named]:
            if isinstance(reference, dict):
                yield Mention("prescriber", order, reference)
    for user in users:
        yield Mention("prescriber", order, {"reference": user})
    for team in record.of("CareTeam"):
        if word(team, "status") in ("", "active"):
            for participant in children(team, "participant"):
                sets = _specialties(children(participant, "role"), codes)
                sites = _site(team, child(participant, "onBehalfOf"), record, codes)
                yield Mention("consultant", team, child(participant, "member"), sets, sites)
    for encounter in record.of("Encounter"):
        if word(encounter, "status") not in ("planned", "cancelled", "entered-in-error"):
            sites = _site(encounter, child(encounter, "serviceProvider"), record, codes)
            for participant in children(encounter, "participant"):
                sets = _specialties(children(participant, "type"), codes)
                yield Mention("consultant", encounter, child(participant, "individual"), sets, sites)
    for request in record.of("ServiceRequest"):
        if word(request, "status") in ("active", "completed"):
            sets = codes.names(child(request, "performerType"), "specialty")
            for performer in children(request, "performer"):
                yield Mention("consultant", request, performer, sets)
    for document in record.of("DocumentReference"):
        if is_current(document):
            places = [child(document, "type"), child(child(document, "context"), "practiceSetting")]
            sets = _specialties(places, codes)
            sites = _site(document, child(document, "custodian"), record, codes)
            for author in children(document, "author"):
                yield Mention("consultant", document, author, sets, sites)


def is_current(document: Json) -> bool:
    """True for a document that stands: current, and not marked as a draft or as an error.

    DocumentReference.status current; docStatus (composition-status) preliminary is a note that nobody has signed.
    """
    return document.get("status") == "current" and word(document, "docStatus") not in (
        "entered-in-error",
        "preliminary",
    )


def unresolved_people(record: Record, order: Json, users: Users, codes: CodeIndex) -> Iterator[str]:
    """`Type/id` of every clinician or organisation that is named and not here, in the order of mention."""
    for mention in mentions(record, order, users, codes):
        target = record.target(mention.owner, mention.reference)
        name = record.name(mention.reference.get("reference"))
        if target is None:
            if name is not None and name.startswith(_OF_PEOPLE):
                yield name
            roles = roles_of(name, record) if name is not None else []
        elif target.get("resourceType") == "PractitionerRole":
            roles = [target]
        else:
            roles = roles_of(name, record) if name is not None else []
        for role in roles:
            for member in ("practitioner", "organization"):
                reference = child(role, member)
                if reference and record.target(role, reference) is None:
                    further = record.name(reference.get("reference"))
                    if further is not None:
                        yield further


def without_role(record: Record, order: Json, users: Users, codes: CodeIndex) -> Iterator[str]:
    """`Practitioner/x` for everybody named of whom no PractitionerRole is here."""
    for mention in mentions(record, order, users, codes):
        name = record.name(mention.reference.get("reference"))
        if name is not None and name.startswith("Practitioner/") and not roles_of(name, record):
            yield name


def roles_of(practitioner: str, record: Record) -> list[Json]:
    """The roles of that `Practitioner/x` that are here."""
    return [
        role
        for role in record.of("PractitionerRole")
        if record.name(child(role, "practitioner").get("reference")) == practitioner
    ]


def _people(mention: Mention, record: Record, codes: CodeIndex, day: Span) -> Iterator[tuple[str, _Person]]:
    """The person or organisation of a mention, under the reference of the Practitioner where that is known."""
    reference = mention.reference
    target = record.target(mention.owner, reference)
    name = record.name(reference.get("reference"))
    if target is None and name is None and not word(reference, "display"):
        return
    if name is not None and not name.startswith(_OF_PEOPLE):
        return  # a patient or a relative in a care team
    roles = [target] if target is not None and target.get("resourceType") == "PractitionerRole" else []
    practitioner = target if target is not None and target.get("resourceType") == "Practitioner" else None
    key = name or own_reference(mention.owner) or "Practitioner"
    if roles:
        link = child(roles[0], "practitioner")
        practitioner = record.target(roles[0], link)
        key = record.name(link.get("reference")) or key
    elif name is not None:
        roles = roles_of(name, record)
    person = _Person(mention.role, mention.sets, mention.sites, plain(reference.get("display")), "")
    if target is not None and target.get("resourceType") == "Organization":
        person.name = first_text(plain(target.get("name")), person.name)
        person.sites |= _organization(target, codes)
    if practitioner is not None:
        person.name = first_text(_human_name(practitioner), person.name)
        qualifications = [child(held, "code") for held in children(practitioner, "qualification")]
        person.sets |= _specialties(qualifications, codes)
        _check(record, practitioner, [held.get("code") for held in children(practitioner, "qualification")])
    for role in roles:
        if role.get("active") is False or not _covers(child(role, "period"), day):
            continue
        specialties = children(role, "specialty")
        person.sets |= _specialties(specialties, codes)
        person.specialty = first_text(person.specialty, *(label(specialty) for specialty in specialties))
        person.sites |= _site(role, child(role, "organization"), record, codes)
        person.name = first_text(person.name, plain(child(role, "practitioner").get("display")))
        _check(record, role, role.get("specialty"))
    yield key, person


def _check(record: Record, resource: Json, concepts: object) -> None:
    """Notes a specialty or qualification that cannot be read; absent is no fault."""
    if concepts is not None and not (isinstance(concepts, list) and all(readable(concept) for concept in concepts)):
        record.mark_broken("clinicians", resource)


def _covers(period: Json, day: Span) -> bool:
    start, end = parse_date(period.get("start")), parse_date(period.get("end"))
    return (start is None or start.first <= day.last) and (end is None or end.last >= day.first)


def _specialties(concepts: list[Json], codes: CodeIndex) -> Names:
    found = NO_NAMES
    for concept in concepts:
        found |= codes.names(concept, "specialty")
    return found


def _site(owner: Json, reference: Json, record: Record, codes: CodeIndex) -> Names:
    if not reference:
        return NO_NAMES
    organization = record.target(owner, reference)
    found = codes.names_of_text(word(reference, "display"), "site")
    return found if organization is None else found | _organization(organization, codes)


def _organization(organization: Json, codes: CodeIndex) -> Names:
    """The site sets of an Organization, by name, alias and identifier."""
    found = codes.names_of_text(word(organization, "name"), "site")
    alias = organization.get("alias")
    for other in alias if isinstance(alias, list) else ():
        if isinstance(other, str):
            found |= codes.names_of_text(other, "site")
    for identifier in children(organization, "identifier"):
        coding = {"system": identifier.get("system"), "code": identifier.get("value")}
        found |= codes.names_of_coding(coding, "site")
    return found


def _human_name(practitioner: Json) -> str:
    for name in children(practitioner, "name"):
        if text := plain(name.get("text")):
            return text
        given = name.get("given")
        parts = [part for part in (given if isinstance(given, list) else ()) if isinstance(part, str)]
        if whole := plain(" ".join([*parts, word(name, "family")])):
            return whole
    return ""


def _display(person: _Person) -> str:
    name = person.name or "Clinician"
    return f"{name} ({person.specialty})" if person.specialty else name
