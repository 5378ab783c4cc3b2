"""What documents, reports and their inline text say, sentence by sentence, to Note.

Only text that is in the record is read: an attachment's `url` leads elsewhere and is never followed.
"""

import base64
import binascii
import re
from collections.abc import Iterator

from cds_service.policy.dates import Span
from cds_service.policy.facts import Note
from fhir_mappings.codes import CodeIndex
from fhir_mappings.fhir_dates import date_text, parse_date
from fhir_mappings.practitioner import is_current
from fhir_mappings.record import Record
from fhir_mappings.references import Json, child, children, first_text, label, own_reference, plain, word

SOURCE = "notes"
ATTACHMENT_CHARACTERS = 64 * 1024
_ALL_CHARACTERS = 512 * 1024  # of one chart: further text is not read, and the source says so
_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|\s[•·]\s")
_SPACE = re.compile(r"\s++")
_GOES_ON = re.compile(r"[a-z0-9(]")
_REPORT_STANDS = frozenset({"final", "amended", "corrected", "appended"})


def read_notes(record: Record, codes: CodeIndex) -> tuple[Note, ...]:
    """The sentences of this patient's current documents and final reports that belong to any statement set."""
    reader = _Reader(record, codes)
    for document in record.of("DocumentReference"):
        if is_current(document):
            reader.read(document, _document_texts(document, record), document.get("date"), _document_name(document))
        elif not isinstance(document.get("status"), str):
            record.mark_broken(SOURCE, document)
    for report in record.of("DiagnosticReport"):
        if word(report, "status") in _REPORT_STANDS:
            reader.read(report, _report_texts(report, record), _report_date(report), label(child(report, "code")))
    return tuple(reader.notes)


class _Reader:
    """Collects notes until the chart's share of text is used up."""

    def __init__(self, record: Record, codes: CodeIndex) -> None:
        self.notes: list[Note] = []
        self._record, self._codes, self._left = record, codes, _ALL_CHARACTERS

    def read(self, resource: Json, texts: Iterator[str], written: object, name: str) -> None:
        date = parse_date(written)
        seen: set[str] = set()
        for text in texts:
            if len(text) > self._left:
                self._record.unread.add(SOURCE)
                continue
            self._left -= len(text)
            for sentence in sentences(text):
                sets = self._codes.names_of_text(sentence, "statement")
                if sets and sentence not in seen:
                    seen.add(sentence)
                    self.notes.append(_note(resource, sets, date, sentence, name, date_text(written)))


def _note(resource: Json, sets: frozenset[str], date: Span | None, sentence: str, name: str, written: str) -> Note:
    where = " ".join(part for part in (name or "Document", f"of {written}" if written else "") if part)
    reference = own_reference(resource) or word(resource, "resourceType")
    return Note(sets, date, reference, f"{where}: “{plain(sentence)}”")


def sentences(text: str) -> Iterator[str]:
    """The sentences of a text, cleaned, each behind the heading that it stands under.

    A line is a sentence too, since notes are lists as often as prose; one that goes on in lower case was only wrapped.
    Without its heading, a line below "Family history:" would be said of the patient.
    """
    heading = ""
    for line in _SPACE.sub(_break, text).split("\n"):
        if not line.strip():
            heading = ""
            continue
        if line.rstrip().endswith(":"):
            heading = plain(line, 80)
            continue
        for piece in _SENTENCE_END.split(line):
            cleaned = plain(piece, 600)
            if cleaned:
                yield f"{heading} {cleaned}" if heading else cleaned


def _break(found: re.Match[str]) -> str:
    """What stands for a run of space: a space within a line, else the end of a line, of which two leave one empty."""
    space = found[0].replace("\r\n", "\n")
    ends = space.count("\n") + space.count("\r")
    if not ends or _GOES_ON.match(found.string, found.end()):
        return " "
    return "\n" * min(ends, 2) + ("" if found[0][-1] in "\r\n" else " ")


def _document_texts(document: Json, record: Record) -> Iterator[str]:
    yield word(document, "description")
    yield label(child(document, "type"))
    for category in children(document, "category"):
        yield label(category)
    for content in children(document, "content"):
        attachment = child(content, "attachment")
        yield word(attachment, "title")
        yield from _inline(attachment, document, record)


def _report_texts(report: Json, record: Record) -> Iterator[str]:
    yield word(report, "conclusion")
    for concept in children(report, "conclusionCode"):
        yield label(concept)
    for attachment in children(report, "presentedForm"):
        yield word(attachment, "title")
        yield from _inline(attachment, report, record)


def _inline(attachment: Json, owner: Json, record: Record) -> Iterator[str]:
    """The text of an attachment that is plain text and in the record itself."""
    data = attachment.get("data")
    if data is None or word(attachment, "contentType").partition(";")[0].strip().lower() != "text/plain":
        return
    if not isinstance(data, str) or len(data) > ATTACHMENT_CHARACTERS * 4 // 3 + 4:
        record.mark_broken(SOURCE, owner)
        return
    try:
        text = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        record.mark_broken(SOURCE, owner)
        return
    yield text.decode("utf-8", errors="replace")


def _document_name(document: Json) -> str:
    titles = (
        plain(child(content, "attachment").get("title"), 60)
        for content in children(document, "content")
        if word(child(content, "attachment"), "title")
    )
    return first_text(label(child(document, "type")), next(titles, ""))


def _report_date(report: Json) -> object:
    effective = report.get("effectiveDateTime") or child(report, "effectivePeriod").get("end")
    return effective or report.get("issued")
