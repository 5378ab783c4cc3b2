"""Patient to Person: birth date and death."""

from cds_service.policy.facts import Person
from fhir_mappings.fhir_dates import date_text, parse_date
from fhir_mappings.record import Record


def read_patient(record: Record) -> Person | None:
    """The patient; None when the record does not hold the Patient."""
    resource = record.at(record.patient)
    if resource is None:
        return None
    written = resource.get("birthDate")
    birth = parse_date(written)
    if written is not None and birth is None:
        record.mark_broken("patient", resource)
    died = resource.get("deceasedDateTime")
    deceased = resource.get("deceasedBoolean")
    if (deceased is not None and not isinstance(deceased, bool)) or (died is not None and parse_date(died) is None):
        record.mark_broken("patient", resource)
    return Person(
        record.patient,
        birth,
        deceased is True or parse_date(died) is not None,
        f"Born {date_text(written)}" if birth is not None else "Birth date not given",
    )
