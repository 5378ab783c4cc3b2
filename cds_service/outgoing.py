"""The connection to a client, as the threads that answer see it: writing to it never waits for the client."""

import socket
from contextlib import suppress


class Outgoing(socket.socket):
    """A connection that keeps what its client does not take at once; who made it sends that on."""

    def __init__(self, taken_over: socket.socket) -> None:
        super().__init__(taken_over.family, taken_over.type, taken_over.proto, taken_over.detach())
        self.left = bytearray()  # of what was written, in order

    def sendall(self, data: bytes | bytearray | memoryview, flags: int = 0) -> None:  # type: ignore[override]
        """Sends what the client takes now, and keeps the rest. Raises OSError when the client has gone."""
        sent = 0
        if not self.left:
            with suppress(BlockingIOError, InterruptedError):
                sent = super().send(data, flags | socket.MSG_DONTWAIT)
        self.left += memoryview(data)[sent:]

    def send(self, data: bytes | bytearray | memoryview, flags: int = 0) -> int:  # type: ignore[override]
        """The same; all of it counts as sent."""
        self.sendall(data, flags)
        return len(data)

    def send_left(self) -> int:
        """How many bytes of the rest the client took now. Raises OSError when it has gone."""
        sent = 0
        with suppress(BlockingIOError, InterruptedError):
            sent = super().send(self.left, socket.MSG_DONTWAIT)
        del self.left[:sent]
        return sent
