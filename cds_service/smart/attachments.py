"""Reports that a person attaches: PDF, PNG or JPEG by what is in them, never by what they are called."""

import re
from base64 import b64encode
from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from cds_service.dtr.reports import MEGABYTE
from fhir_mappings.references import Json, plain

ACCEPTED = ".pdf,.png,.jpg,.jpeg"
_KINDS = (
    (b"%PDF-", "application/pdf", "pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png", "png"),
    (b"\xff\xd8\xff", "image/jpeg", "jpg"),
)
_ENDINGS = {"pdf": ("pdf",), "png": ("png",), "jpg": ("jpg", "jpeg")}
_CATEGORY = {
    "system": "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category",
    "code": "clinical-note",
}
_LABORATORY = {"system": "http://loinc.org", "code": "11502-2", "display": "Laboratory report"}


class AttachmentError(ValueError):
    """A file that is not taken; the message is for who chose it."""


class Report(Struct, frozen=True):
    """A file that is taken."""

    title: str
    content_type: str
    data: bytes


def too_large(largest_mb: Decimal) -> str:
    """What is said of a file with more megabytes."""
    return f"The file is larger than {largest_mb} MB. Scan it again with fewer dots per inch."


def read_report(name: str, data: bytes, largest_mb: Decimal) -> Report:
    """The report in a file. Raises AttachmentError."""
    if len(data) > largest_mb * MEGABYTE:
        raise AttachmentError(too_large(largest_mb))
    if not data:
        raise AttachmentError("The file is empty. Choose another one.")
    kind = next(((content_type, ending) for start, content_type, ending in _KINDS if data.startswith(start)), None)
    if kind is None:
        raise AttachmentError("The file is not a PDF, PNG or JPEG, whatever it is called. Choose one that is.")
    content_type, ending = kind
    whole, _, given = re.split(r"[\\/]", name)[-1].rpartition(".")
    stem = plain(whole, 75)
    if not stem or given.lower() not in _ENDINGS[ending]:
        raise AttachmentError(f"The file's name does not end in .{ending}, and its content is of that kind. Rename it.")
    return Report(f"{stem}.{given}", content_type, data)


def attachment(report: Report, moment: datetime, url: str = "") -> Json:
    """The Attachment of the answer: where the report is kept, or the report itself."""
    found: Json = {"contentType": report.content_type}
    if url:
        found["url"] = url
    else:
        found["data"] = b64encode(report.data).decode()
    return {**found, "title": report.title, "creation": moment.isoformat(timespec="seconds")}


def document(report: Report, patient: str, author: Json | None, moment: datetime) -> Json:
    """The DocumentReference that keeps the report in the chart."""
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "type": {"coding": [_LABORATORY], "text": "Laboratory report"},
        "category": [{"coding": [_CATEGORY]}],
        "subject": {"reference": f"Patient/{patient}"},
        "date": moment.isoformat(timespec="seconds"),
        **({"author": [author]} if author is not None else {}),
        "content": [{"attachment": attachment(report, moment)}],
    }
