"""kill -9 in the midst of load."""

import signal
from collections import Counter

from callers import Ehr
from load import Load
from parts import Cluster, eventually


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
