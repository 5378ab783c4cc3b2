"""kill -9 in the midst of writing."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from entries import opened
from looks import rows

from cds_service.ledger.schema import authorization, decision

_WRITER = """
import sys, threading
sys.path.insert(0, sys.argv[2])
from entries import entry, opened, soon

lock = threading.Lock()

def write(ledger, thread):
    for n in range(100_000):
        order = f"{thread}-{n}"
        (receipt,) = ledger.record((entry(order, wants_number=True),), soon())
        if receipt.recorded:
            with lock:
                print(f"ca-{order} {receipt.number}", flush=True)

with opened(sys.argv[1]) as ledger:
    threads = [threading.Thread(target=write, args=(ledger, n)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def test_nothing_that_was_receipted_is_lost(url: str) -> None:
    """Every decision and number that a killed process had a receipt for is there afterwards."""
    writing = subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", _WRITER, url, str(Path(__file__).parent)], stdout=subprocess.PIPE, text=True
    )
    assert writing.stdout is not None
    told = [writing.stdout.readline()]
    time.sleep(0.5)
    writing.send_signal(signal.SIGKILL)
    told += writing.stdout.readlines()
    writing.stdout.close()
    writing.wait()
    receipted = dict(line.split() for line in told if line.endswith("\n"))
    with opened(url) as ledger:
        kept = {row.assertion_id: row.number for row in rows(ledger, decision)}
        numbers = {row.number for row in rows(ledger, authorization)}
    assert len(receipted) > 10
    assert {order: kept.get(order) for order in receipted} == receipted
    assert numbers >= set(receipted.values())
    assert len(kept) == len(numbers)
