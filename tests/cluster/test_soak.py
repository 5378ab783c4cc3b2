"""Three thousand calls of every kind leave the service as large as it was.

What is held, as measured over nine thousand calls: a worker's connections to a FHIR server, one for each of the pool's
threads that ever met another at work, 27 to 41 of 48 after a thousand calls and 41 in the end; two or three to Redis; a
few of the proxy's; one to PostgreSQL; twelve files and pipes, always the same. Memory grows by 3 to 4.7 MB from the
first thousand to the fourth and by less and less after it. No object of Python's stays (counted in one process over
six hundred calls that read a chart, and over a thousand that send it), and with one thread it comes to rest: it is what
the allocator keeps for eighty threads that take turns.
"""

import itertools
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path

from callers import Ehr
from msgspec import Struct
from parts import Cluster, eventually

from fhir_mappings.client import Limits
from hooks.wire import encode

WARM_UP = 1_000  # fills the tables, pools and caches that stay
CALLS = 3_000
CALLERS = 8
MOST_KB = 8 * 1024  # by which a worker may grow: well under half of what it would be if each call's body stayed
# Descriptors beside the FHIR pool's, and connections to Redis: a worker gets some fifty calls of each kind, so a kind
# of which each left something would be seen.
MOST_MORE = 6
POOL = Limits().threads_per_server
MOST_THREADS = POOL + 32 + 8  # the FHIR pool, the calls, and those that write, read the ledger and keep time
CARD = {"card": str(uuid.uuid4()), "outcome": "accepted", "outcomeTimestamp": "2026-11-24T10:00:00Z"}
FEEDBACK = encode({"feedback": [{**CARD, "acceptedSuggestions": []}]})


class Kind(Struct):
    """One kind of call: what is done, and the status that comes back."""

    status: int
    call: Callable[[Ehr, Cluster, HTTPConnection], int]


def page(path: str) -> Callable[[Ehr, Cluster, HTTPConnection], int]:
    """The page, over that line."""

    def call(ehr: Ehr, cluster: Cluster, line: HTTPConnection) -> int:
        line.request("GET", path)
        response = line.getresponse()
        response.read()
        return response.status

    return call


def post(make: Callable[[Ehr, Cluster], bytes], service: str = "order-sign-crd") -> Callable[..., int]:
    """The call, over that line."""

    def call(ehr: Ehr, cluster: Cluster, line: HTTPConnection) -> int:
        return ehr.post(line, make(ehr, cluster), path=f"/cds-services/{service}").status

    return call


def used_token(ehr: Ehr, cluster: Cluster, line: HTTPConnection) -> int:
    """A call, and the same token again."""
    token = ehr.token()
    ehr.post(line, ehr.call(), token)
    return ehr.post(line, ehr.call(), token).status


def hang_up(ehr: Ehr, cluster: Cluster, line: HTTPConnection) -> int:
    """Hangs up in the midst of a body, at an instance itself."""
    other = ehr.line(cluster.instances[0].port, tls=False)
    other.sock.sendall(b"POST /cds-services/order-sign-crd HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{")
    other.close()
    return 0


def select(ehr: Ehr, _: Cluster) -> bytes:
    """An order as it is chosen."""
    order_id = str(uuid.uuid4())
    return ehr.call(order_id, hook="order-select", selections=[f"MedicationRequest/{order_id}"])


SIGN = Kind(200, post(lambda ehr, _: ehr.call()))
KINDS = [
    SIGN,
    Kind(200, post(lambda ehr, cluster: ehr.call(fhir_server=cluster.fhir.base))),
    Kind(200, post(select, "order-select-crd")),
    SIGN,
    Kind(200, post(lambda ehr, _: ehr.call(hook="encounter-start"), "encounter-start-crd")),
    Kind(200, post(lambda *_: FEEDBACK, "order-sign-crd/feedback")),
    SIGN,
    Kind(200, page("/cds-services")),
    Kind(200, page("/policies/pharmacy-109/hemgenix")),
    Kind(200, page("/health/ready")),
    SIGN,
    Kind(400, post(lambda *_: b"{")),
    Kind(404, post(lambda *_: b"{}", "nothing")),
    Kind(401, used_token),
    Kind(0, hang_up),
]


def run(cluster: Cluster, ehr: Ehr, calls: int) -> None:
    """So many calls through the proxy, of every kind in turn, each answered as it should be."""
    numbers, strange, taking = itertools.count(), Counter[tuple[int, int]](), threading.Lock()

    def caller() -> None:
        line = ehr.line(cluster.proxy.port)
        while True:
            with taking:
                number = next(numbers)
            if number >= calls:
                break
            kind = KINDS[number % len(KINDS)]
            status = kind.call(ehr, cluster, line)
            if status != kind.status:
                strange[number % len(KINDS), status] += 1
        line.close()

    with ThreadPoolExecutor(CALLERS) as pool:
        for done in [pool.submit(caller) for _ in range(CALLERS)]:
            done.result()
    assert strange == {}


class Size(Struct):
    """What the workers hold at one moment."""

    memory_kb: list[int]  # of each
    descriptors: list[int]  # but connections to the FHIR server
    fhir: list[int]  # those
    threads: list[int]
    database: int  # connections of all
    redis: int


def size(cluster: Cluster) -> Size:
    """Now."""
    workers = [Path(f"/proc/{pid}") for instance in cluster.instances for pid in instance.workers()]
    with cluster.postgres.connect() as connection:
        asked = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'cds-service'"
        (database,) = connection.execute(asked).fetchone() or (0,)
    fhir = [_connections(worker, cluster.fhir.port) for worker in workers]
    return Size(
        [_resident_kb(worker) for worker in workers],
        [len(list((worker / "fd").iterdir())) - count for worker, count in zip(workers, fhir, strict=True)],
        fhir,
        [len(list((worker / "task").iterdir())) for worker in workers],
        database,
        cluster.redis.connections(),
    )


def _connections(worker: Path, port: int) -> int:
    """How many of the process's sockets lead to that port."""
    rows = [row.split() for row in (worker / "net" / "tcp").read_text().splitlines()[1:]]
    inodes = {row[9] for row in rows if int(row[2].rpartition(":")[2], 16) == port}
    held = 0
    for descriptor in (worker / "fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            held += str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]") in inodes
    return held


def _resident_kb(worker: Path) -> int:
    rows = (worker / "status").read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("VmRSS:"))


def quiet(cluster: Cluster) -> bool:
    """True when every worker has answered and let go of what was under way."""
    before = size(cluster)
    threading.Event().wait(1)
    return before.descriptors == size(cluster).descriptors


def test_three_thousand_calls_leave_it_as_large_as_it_was(cluster: Cluster, ehr: Ehr) -> None:
    """Memory, descriptors and connections are those of before, and the pools no larger than they may be."""
    for instance in cluster.instances:  # what other tests left in them is not asked here
        instance.stop()
        instance.start()
    run(cluster, ehr, WARM_UP)
    eventually(lambda: quiet(cluster), 20, "nothing under way")
    before = size(cluster)
    run(cluster, ehr, CALLS)
    eventually(lambda: quiet(cluster), 20, "nothing under way")
    after = size(cluster)
    assert (after.database, before.database) == (len(after.memory_kb),) * 2  # one for each worker
    for name, most in (("memory_kb", MOST_KB), ("descriptors", MOST_MORE)):
        grown = [late - early for late, early in zip(getattr(after, name), getattr(before, name), strict=True)]
        assert max(grown) <= most, (name, before, after)
    assert max(after.fhir) <= POOL, after
    assert max(after.threads) <= MOST_THREADS, after
    assert after.redis - before.redis <= MOST_MORE
