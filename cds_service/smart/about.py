"""Whose form it is, for which order: what a person checks before answering, and what a printed form is filed by."""

from cds_service.smart.case import Case, name_of
from cds_service.smart.session import Session
from cds_service.smart.writing import own_coverage
from fhir_mappings.membership import member_numbers
from fhir_mappings.references import child, plain, relative, word

Rows = list[tuple[str, str]]


def about_view(case: Case, session: Session) -> Rows:
    """Patient and order, each where the chart says it."""
    person = case.record.at(case.record.patient) or {}
    birth = plain(word(person, "birthDate"), 10)
    named = [name_of(case.record, case.record.patient), f"born {birth}" if birth else ""]
    ordered = case.chart_alone.chart.facts.order.display if case.is_order_read else ""
    by = relative(child(case.order.resource, "requester").get("reference"), session.iss) or ""
    rows = [
        ("Patient", ", ".join(part for part in named if part)),
        ("Order", ordered),
        ("Ordered by", name_of(case.record, by) if by else ""),
    ]
    return [(term, text) for term, text in rows if text]


def filing_view(case: Case, session: Session) -> Rows:
    """The same, with the member's number and the plan's own reference: for a form that goes there on paper."""
    coverage = case.record.at(session.coverage or own_coverage(case)) or {}
    numbers = member_numbers(coverage, case.record.at(case.record.patient), None)
    number = next(iter((*numbers.of_coverage, *numbers.of_patient)), "")
    rows = [("Member number", plain(number, 40)), ("The plan’s reference", session.assertion)]
    return [*about_view(case, session), *((term, text) for term, text in rows if text)]
