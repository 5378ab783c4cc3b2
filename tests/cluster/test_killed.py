"""kill -9 in the midst of load."""

import signal
import threading
import time
import uuid
from collections import Counter

from callers import Ehr
from parts import Cluster, eventually

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


def test_no_number_that_was_answered_is_lost(cluster: Cluster, ehr: Ehr) -> None:
    """A worker, then a whole instance are killed under load; each number that anyone was told comes again from both."""
    first, second = cluster.instances
    with Load(ehr, cluster.proxy.port) as load:
        load.go_on(40)
        killed = first.workers()[0]
        first.send(signal.SIGKILL, [killed])
        load.go_on(40)
        second.kill()
        load.go_on(40)
        second.start()
        load.go_on(40)
    eventually(lambda: len(first.workers()) == 2 and killed not in first.workers(), 10, "another worker")
    assert len(load.failed) < 40, f"only what was under way at that moment may fail: {Counter(load.failed)}"
    assert len(set(load.numbers.values())) == len(load.numbers)
    for place, (order, number) in enumerate(load.numbers.items()):
        assert ehr.sign(cluster.proxy.doors[place % 2], order).number == number
