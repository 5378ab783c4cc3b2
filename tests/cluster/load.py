"""Callers that sign one order after the other."""

import threading
import time
import uuid

from callers import Ehr
from parts import eventually

CALLERS = 6


class Load:
    """Callers that sign new orders through the proxy until it ends, and what they were told."""

    def __init__(self, ehr: Ehr, port: int) -> None:
        self._ehr, self._port = ehr, port
        self.numbers: dict[str, str] = {}
        self.failed: list[int] = []  # their statuses; 200 is one without a number
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(CALLERS)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    def go_on(self, count: int) -> None:
        """Waits for so many more answers."""
        wanted = len(self.numbers) + count
        eventually(lambda: len(self.numbers) >= wanted, 20, f"{count} more answers")

    def _run(self) -> None:
        while not self._over.is_set():
            order = str(uuid.uuid4())
            answer = self._ehr.sign(self._port, order)
            if answer.status == 200 and answer.number:
                self.numbers[order] = answer.number
            else:
                self.failed.append(answer.status)
                time.sleep(0.05)
