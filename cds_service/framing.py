"""Whether the whole of an HTTP/1.1 request is there yet (RFC 9112 §6, §7.1), and one that is, as the parser reads it.

It refuses nothing: what cannot be right counts as whole, and the server's own parser says what is wrong with it.
"""

import re
from typing import Any

from gunicorn.http.unreader import Unreader

from cds_service.sieve import LEFT_OUT, Sieve, SieveError

_MOST_HEAD = 1024 * 1024  # the parser's own limit is a little lower
_MOST_LINE = 4096  # the size line of a chunk
_MOST_CHUNKS = 65_536  # each is looked at, so that a body of single bytes costs more than the call that it is for
_FRAMING = re.compile(rb"\r\n(content-length|transfer-encoding|expect)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)
_TYPE = re.compile(rb"\r\ncontent-type[ \t]*:([^\r\n]*)", re.IGNORECASE)
_LENGTH = re.compile(rb"(?<=\r\n)content-length[ \t]*:[^\r\n]*", re.IGNORECASE)
_SIZE = re.compile(rb"[0-9a-fA-F]{1,16}")


_MOST_SIFTED = 16  # how many times larger than other bodies a form may be whose files are left out


class Incoming:
    """A request that is coming in. A body that is larger than `most_body` bytes is not waited for.

    Of a larger form, in a request that begins with `sifted`, all is kept but what is in its files.
    """

    def __init__(self, most_body: int, sifted: bytes = b"") -> None:
        self.data = bytearray()
        self.is_whole = False
        self.is_cut = False  # whole as far as it goes: the rest was not waited for
        self.waits_for_word = False  # the body comes only after "100 Continue"
        self._most, self._sifted = most_body, sifted
        self._sieve: Sieve | None = None
        self._left = 0  # bytes of the form that are to come
        self._head = 0  # where the body begins; 0: not known yet
        self._end: int | None = None  # where it ends; None: in chunks
        self._place = 0  # what is before this was looked at
        self._chunks = 0

    def add(self, data: bytes | bytearray | memoryview) -> None:
        """Takes what came in, and looks."""
        if self._sieve is not None:
            self._sift(self._sieve, bytes(data))
            return
        self.data += data
        if not self._head and not self._found_head():
            return
        if self._sieve is not None:
            begun = bytes(self.data[self._head :])
            del self.data[self._head :]
            self._sift(self._sieve, begun)
        elif self._end is None:
            self._follow_chunks()
        else:
            self.is_whole = len(self.data) >= self._end

    def _found_head(self) -> bool:
        end = self.data.find(b"\r\n\r\n", max(0, self._place - 3))
        if end < 0:
            self._place = len(self.data)
            if self._place > _MOST_HEAD:
                self._cut()
            return False
        self._head = self._place = end + 4
        found: dict[bytes, list[bytes]] = {}
        for name, value in _FRAMING.findall(self.data, 0, end + 2):
            found.setdefault(name.lower(), []).append(value.strip().lower())
        self._measure(found.get(b"content-length", []), found.get(b"transfer-encoding", []))
        self.waits_for_word = found.get(b"expect") == [b"100-continue"]
        return True

    def _measure(self, lengths: list[bytes], encodings: list[bytes]) -> None:
        if not lengths and encodings == [b"chunked"]:
            return
        self._end = self._head  # no body, or one whose length cannot be right
        if not encodings and len(lengths) == 1 and lengths[0].isdigit():
            length = int(lengths[0][:20])
            if length <= self._most:
                self._end += length
            elif not self._may_be_sifted(length):
                self.is_cut = True

    def _may_be_sifted(self, length: int) -> bool:
        named = _TYPE.search(self.data, 0, self._head)
        if length > _MOST_SIFTED * self._most or not self._sifted or not self.data.startswith(self._sifted):
            return False
        try:
            self._sieve, self._left = Sieve(named[1].decode("latin-1") if named is not None else ""), length
        except SieveError:
            return False
        return True

    def _sift(self, sieve: Sieve, data: bytes) -> None:
        body, after = data[: self._left], data[self._left :]
        self._left -= len(body)
        try:
            self.data += sieve.let_through(body)
            if self._left:
                return
            self.data += sieve.end()
        except SieveError:
            del self.data[self._head :]
            return self._cut()
        said = b"Content-Length: %d\r\n%b: 1" % (len(self.data) - self._head, LEFT_OUT.encode())
        self.data[: self._head] = _LENGTH.sub(said, self.data[: self._head])
        self.data += after
        self.is_whole = True

    def _follow_chunks(self) -> None:
        while not self.is_whole:
            if len(self.data) - self._head > 2 * self._most + _MOST_HEAD:
                return self._cut()
            line = self.data.find(b"\r\n", self._place, self._place + _MOST_LINE)
            if line < 0:
                return self._cut() if len(self.data) - self._place > _MOST_LINE else None
            size = _SIZE.match(self.data, self._place, line)
            if size is None:
                return self._cut()
            if not int(size[0], 16):  # the last one; trailers may follow, and an empty line
                self.is_whole = self.data.find(b"\r\n\r\n", line) >= 0
                return None
            after = line + 2 + int(size[0], 16) + 2
            if after > len(self.data):
                return None
            self._place = after
            self._chunks += 1
            if self._chunks > _MOST_CHUNKS:
                return self._cut()
        return None

    def _cut(self) -> None:
        self.is_whole = self.is_cut = True


class Received(Unreader):
    """A request that is there. The parser reads from it, and never from the socket."""

    def __init__(self, data: bytes, is_cut: bool) -> None:
        super().__init__()
        self._data, self._at, self.is_cut = data, 0, is_cut

    @property
    def has_more(self) -> bool:
        """True when a next request has begun."""
        return self._at < len(self._data)

    def chunk(self, size_hint: int | None = None) -> bytes:
        """The next piece; nothing at the end."""
        return self.read(size_hint)

    def read(self, size: int | None = None, read_ahead: int | None = None) -> bytes:
        """The next `size` bytes, or as many as a socket would give; fewer at the end."""
        start = self._at
        self._at = min(len(self._data), start + (65_536 if size is None or size < 0 else size))
        return self._data[start : self._at]

    def unread(self, data: Any) -> None:
        """Takes back what was read."""
        back = self._at - len(data)
        if back >= 0 and self._data[back : self._at] == data:
            self._at = back
        else:
            self._data, self._at = bytes(data) + self._data[self._at :], 0

    def take_buffered(self) -> bytes:
        """What is left: the beginning of a next request."""
        return self.read(len(self._data))
