"""PostgreSQL or Redis stopped, frozen or of no use: what is still answered, what readiness says, how it mends."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from callers import LATEST_S, Ehr, at_once, outcome
from parts import Cluster, eventually

Do = Callable[[Any], None]
WAYS: dict[str, tuple[Do, Do]] = {
    "stopped": (lambda part: part.halt(), lambda part: part.start()),
    "frozen": (lambda part: part.freeze(), lambda part: part.thaw()),
    "locked": (lambda part: part.lock(), lambda part: part.unlock()),
    "full": (lambda part: part.fill(), lambda part: part.empty()),
}


def health(cluster: Cluster, ehr: Ehr, what: str) -> set[int]:
    """What both instances say."""
    return {ehr.get(door, f"/health/{what}") for door in cluster.proxy.doors}


def processes(cluster: Cluster) -> list[list[int]]:
    """Those of both instances."""
    return [instance.tree() for instance in cluster.instances]


@pytest.mark.parametrize("way", ["stopped", "frozen", "locked"])
def test_without_the_ledger_guidance_goes_out_and_no_number(cluster: Cluster, ehr: Ehr, way: str) -> None:
    """Each call is a 200 within the deadline that gives no number; once PostgreSQL is back, numbers are given again."""
    (leave, come_back), before = WAYS[way], processes(cluster)
    leave(cluster.postgres)
    try:
        for _ in range(2):
            answers = at_once([partial(ehr.sign, door) for door in cluster.proxy.doors * 4])
            assert {outcome(answer) for answer in answers} == {("criteria-met", "")}
            assert max(answer.seconds for answer in answers) < LATEST_S
        eventually(lambda: health(cluster, ehr, "ready") == {503}, 5, "not ready")
        assert health(cluster, ehr, "live") == {200}
    finally:
        come_back(cluster.postgres)
    eventually(lambda: health(cluster, ehr, "ready") == {200}, 10, "ready")
    for door in cluster.proxy.doors * 4:  # each worker finds its own way back
        eventually(lambda port=door: bool(ehr.sign(port).number), 10, "a number")  # type: ignore[misc]
    assert processes(cluster) == before


@pytest.mark.parametrize("way", ["stopped", "frozen", "full"])
def test_without_redis_no_call_is_let_through(cluster: Cluster, ehr: Ehr, way: str) -> None:
    """Each call is refused within the deadline; once Redis is back, calls are answered again."""
    (leave, come_back), before = WAYS[way], processes(cluster)
    leave(cluster.redis)
    try:
        answers = at_once([partial(ehr.sign, door) for door in cluster.proxy.doors * 4])
        assert {answer.status for answer in answers} <= {401, 503}
        assert max(answer.seconds for answer in answers) < LATEST_S
        eventually(lambda: health(cluster, ehr, "ready") == {503}, 5, "not ready")
        assert health(cluster, ehr, "live") == {200}
    finally:
        come_back(cluster.redis)
    eventually(lambda: health(cluster, ehr, "ready") == {200}, 10, "ready")
    assert {ehr.sign(door).status for door in cluster.proxy.doors * 4} == {200}
    assert processes(cluster) == before
