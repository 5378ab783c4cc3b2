"""Three thousand calls of every kind leave the service as large as it was."""

import itertools
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

from callers import Ehr
from msgspec import Struct
from parts import Cluster, eventually

from hooks.wire import encode

WARM_UP = 1_000  # fills the tables, pools and caches that stay
CALLS = 3_000
CALLERS = 8
MOST_KB = 10 * 1024  # by which a worker may grow: half of what it would be if each call's body stayed
# Descriptors, threads and connections to Redis: the pools, of up to 48, grow as calls meet. A worker gets some fifty
# calls of each kind, so one of which each left something would be seen.
MOST_MORE = 32
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
    descriptors: list[int]
    threads: list[int]
    database: int  # connections of all
    redis: int


def size(cluster: Cluster) -> Size:
    """Now."""
    workers = [Path(f"/proc/{pid}") for instance in cluster.instances for pid in instance.workers()]
    with cluster.postgres.connect() as connection:
        asked = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'cds-service'"
        (database,) = connection.execute(asked).fetchone() or (0,)
    return Size(
        [_resident_kb(worker) for worker in workers],
        [len(list((worker / "fd").iterdir())) for worker in workers],
        [len(list((worker / "task").iterdir())) for worker in workers],
        database,
        cluster.redis.connections(),
    )


def _resident_kb(worker: Path) -> int:
    rows = (worker / "status").read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("VmRSS:"))


def quiet(cluster: Cluster) -> bool:
    """True when every worker has answered and let go of what was under way."""
    before = size(cluster)
    threading.Event().wait(1)
    return before.descriptors == size(cluster).descriptors


def test_three_thousand_calls_leave_it_as_large_as_it_was(cluster: Cluster, ehr: Ehr) -> None:
    """Memory, descriptors, threads and connections are, within what pools have more or less, those of before."""
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
    for name, most in (("memory_kb", MOST_KB), ("descriptors", MOST_MORE), ("threads", MOST_MORE)):
        grown = [late - early for late, early in zip(getattr(after, name), getattr(before, name), strict=True)]
        assert max(grown) <= most, (name, before, after)
    assert after.redis - before.redis <= MOST_MORE
