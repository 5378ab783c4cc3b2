"""What is kept of a posted form that is larger than the service reads: all that was typed, and which files were chosen.

A browser sends fields and files in the page's order, and keeps nothing of a page that is refused. So the whole form is
let through here piece by piece, and what is in the files is left out.
"""

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Field, File, MultipartDecoder, NeedData

LEFT_OUT = "Cds-Files-Left-Out"  # a header that says so; whoever sends it by himself is shown his form again
_MOST_KEPT = 1_000_000  # bytes of what was typed
_MOST_PARTS = 400


class SieveError(ValueError):
    """No form, or one in which too much was typed."""


class Sieve:
    """One form that is coming in."""

    def __init__(self, content_type: str) -> None:
        """Raises SieveError for anything but a form with files."""
        kind, options = parse_options_header(content_type)
        if kind.lower() != "multipart/form-data" or not options.get("boundary"):
            raise SieveError
        self._boundary = options["boundary"].encode()
        self._parts = MultipartDecoder(self._boundary, max_parts=_MOST_PARTS)
        self._of_file: int | None = None  # bytes of the file that is coming
        self._kept = 0
        self._last = b""

    def let_through(self, data: bytes) -> bytes:
        """What is kept of the next piece. Raises SieveError."""
        # The last boundary comes in one piece: cut in its last hyphens, the parser counts its line break to the field.
        whole = self._last + data
        place = max(0, len(whole) - len(self._boundary) - len(b"\r\n----\r\n"))
        self._last = whole[place:]
        return self._sifted(whole[:place])

    def end(self) -> bytes:
        """The rest of it. Raises SieveError when the form is not whole."""
        kept = self._sifted(self._last)
        self._parts.receive_data(None)
        try:
            self._parts.next_event()
        except ValueError:
            raise SieveError from None
        return kept + b"--%b--\r\n" % self._boundary

    def _sifted(self, data: bytes) -> bytes:
        kept = bytearray()
        try:
            self._parts.receive_data(data)
            while not isinstance(event := self._parts.next_event(), NeedData):
                if isinstance(event, Field | File):
                    kept += self._head(event)
                elif isinstance(event, Data):
                    kept += self._content(event)
        except (ValueError, RequestEntityTooLarge):
            raise SieveError from None
        self._kept += len(kept)
        if self._kept + len(self._parts.buffer) > _MOST_KEPT:
            raise SieveError
        return bytes(kept)

    def _head(self, part: Field | File) -> bytes:
        self._of_file = 0 if isinstance(part, File) else None
        said = "".join(f"{name}: {value}\r\n" for name, value in part.headers if name.lower() != "content-length")
        return b"--%b\r\n%b%b" % (self._boundary, said.encode(), b"" if self._of_file == 0 else b"\r\n")

    def _content(self, piece: Data) -> bytes:
        """What was typed; of a file only how long it is, in its part's Content-Length."""
        if self._of_file is None:
            return piece.data if piece.more_data else piece.data + b"\r\n"
        self._of_file += len(piece.data)
        return b"" if piece.more_data else b"Content-Length: %d\r\n\r\n\r\n" % self._of_file
