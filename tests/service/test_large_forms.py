"""A form with files that are larger than the service reads: what was typed comes back, and no file is held."""

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from served import Served, served
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.formparser import FormDataParser

from cds_service.framing import Incoming
from cds_service.sieve import LEFT_OUT

PATH = b"/smart/form/s1"
MOST = 50_000
BOUNDARY = b"----WebKitFormBoundaryAbC"
SCAN = b"\r\n--".join([b"%PDF-1.7 " + BOUNDARY[:-1]] * 3_000)
FORM = "pharmacy-109-hemgenix|2025-11-20"


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    """One part, as browsers write it."""
    named = f'; filename="{filename}"\r\nContent-Type: application/pdf' if filename is not None else ""
    return (
        b"--%b\r\nContent-Disposition: form-data; name=" % BOUNDARY
        + f'"{name}"{named}\r\n\r\n'.encode()
        + content
        + b"\r\n"
    )


def form_of(*parts: bytes) -> bytes:
    """The whole form."""
    return b"".join(parts) + b"--%b--\r\n" % BOUNDARY


TYPED = form_of(
    part("q.htc.name", "Zentrum für Hämophilie".encode()),
    part("q.aav5.report", SCAN, "scan “1”.pdf"),
    part("q.liver.report", b"", ""),
    part("q.reason", b"as typed\r\nin two lines"),
)


def request_of(body: bytes, path: bytes = PATH, kind: bytes = b"multipart/form-data; boundary=" + BOUNDARY) -> bytes:
    """The request with this body."""
    head = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Type: %b\r\nContent-Length: %d\r\nCookie: a=b\r\n\r\n"
    return head % (path, kind, len(body)) + body


def arrived(data: bytes, size: int, most: int = MOST) -> Incoming:
    """The request, come in pieces of that size."""
    request = Incoming(most, b"POST /smart/form/")
    for start in range(0, len(data), size):
        if request.is_whole:
            request.data += data[start:]
            break
        request.add(data[start : start + size])
    return request


def read(data: bytes) -> tuple[str, MultiDict[str, str], MultiDict[str, FileStorage]]:
    """The head, and what an application reads from the body."""
    head, _, body = data.partition(b"\r\n\r\n")
    (length,) = re.findall(rb"(?i)content-length: (\d+)", head)
    assert len(body) == int(length)
    parser = FormDataParser(stream_factory=lambda *_, **__: BytesIO(), silent=False)
    options = {"boundary": BOUNDARY.decode()}
    _, texts, files = parser.parse(BytesIO(body), "multipart/form-data", len(body), options)
    return head.decode(), texts, files


@pytest.mark.parametrize("size", [1, 7, 1000, 65_536, 10_000_000])
def test_all_is_kept_but_what_is_in_the_files(size: int) -> None:
    """However the form comes in: texts to the last byte, files by name and length."""
    request = arrived(request_of(TYPED), size)
    assert (request.is_whole, request.is_cut) == (True, False)
    head, texts, files = read(bytes(request.data))
    assert texts.to_dict() == {"q.htc.name": "Zentrum für Hämophilie", "q.reason": "as typed\r\nin two lines"}
    scan = files["q.aav5.report"]
    assert (scan.filename, scan.content_length, scan.read()) == ("scan “1”.pdf", len(SCAN), b"")
    assert files["q.liver.report"].filename == ""
    assert f"\r\n{LEFT_OUT}: 1" in head
    assert "Cookie: a=b" in head


def test_no_more_than_what_was_typed_is_held() -> None:
    """While it comes in, too."""
    request, held = Incoming(MOST, b"POST /smart/form/"), 0
    data = request_of(TYPED)
    for start in range(0, len(data), 1000):
        request.add(data[start : start + 1000])
        held = max(held, len(request.data))
    assert request.is_whole
    assert held < 2_000


def test_a_request_behind_it_is_still_there() -> None:
    """On the same connection."""
    request = arrived(request_of(TYPED) + b"GET / HTTP/1.1\r\n\r\n", 100_000_000)
    assert request.data.endswith(b"--\r\nGET / HTTP/1.1\r\n\r\n")


@pytest.mark.parametrize(
    "request_",
    [
        request_of(TYPED, b"/fhir/Questionnaire/$questionnaire-package"),
        request_of(TYPED, kind=b"application/json"),
        request_of(TYPED, kind=b"multipart/form-data"),
        request_of(form_of(part("q.reason", b"x" * 1_500_000)), b"/smart/form/s1"),
        request_of(part("q.aav5.report", SCAN, "scan.pdf")),
        request_of(b"x" * len(TYPED)),
        request_of(form_of(*(part(f"q.{number}", b"x" * 200) for number in range(500)))),
        request_of(form_of(part("q.aav5.report", SCAN * 20, "scan.pdf"))),
    ],
    ids=["elsewhere", "no form", "no boundary", "too much typed", "cut short", "no parts", "many parts", "too long"],
)
def test_what_is_none_of_this_is_refused_as_before(request_: bytes) -> None:
    """It is not waited for, and the length that it announced is left for the application to refuse."""
    request = arrived(request_, 65_536)
    assert (request.is_whole, request.is_cut) == (True, True)
    assert LEFT_OUT.encode() not in request.data
    assert b"Content-Length: %d" % len(request_.partition(b"\r\n\r\n")[2]) in request.data


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service that asks for no tokens, and reads half a megabyte."""
    folder: Path = tmp_path_factory.mktemp("served")
    with served(folder, CDS_AUTH="off", CDS_MAX_BODY_BYTES="524288", CDS_PUBLIC_URL="http://127.0.0.1") as found:
        yield found


def test_on_the_running_service_what_was_typed_comes_back(service: Served) -> None:
    """And which file was too large, though nobody is signed in there."""
    canonical = b"http://127.0.0.1/fhir/Questionnaire/" + FORM.encode()
    body = form_of(
        part("form", canonical),
        part("q.aav5.report", b"%PDF-1.7" + b"\0" * 2_000_000, "scan.pdf"),
        part("q.reason", b"typed & kept"),
    )
    answer = service.send(request_of(body)).decode()
    assert "typed &amp; kept" in answer
    assert "The file is larger than" in answer
    assert "typed & kept" not in service.written()
