"""SIGTERM in the midst of calls."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from callers import LATEST_S, Ehr, anew
from load import Load
from parts import Cluster, eventually

CALLS = 12


def test_what_is_under_way_is_completed_and_the_port_is_free_at_once(
    cluster: Cluster, ehr: Ehr, frozen_fhir: str
) -> None:
    """Calls that wait for a FHIR server are answered after SIGTERM; it ends within 15 s, and can be started at once."""
    instance, door = cluster.instances[0], cluster.proxy.doors[0]
    lines = [ehr.line(door) for _ in range(CALLS)]
    sent, base = threading.Barrier(CALLS + 1), anew(frozen_fhir)

    def call(place: int) -> int:
        body, token = ehr.call(fhir_server=base), ehr.token()
        sent.wait(10)
        answer = ehr.post(lines[place], body, token)
        assert answer.seconds < LATEST_S
        return answer.status

    with ThreadPoolExecutor(CALLS) as pool:
        answers = [pool.submit(call, place) for place in range(CALLS)]
        sent.wait(10)
        time.sleep(0.5)
        seconds = instance.stop()
        instance.start()
        assert [answer.result() for answer in answers] == [200] * CALLS
    assert seconds < 15
    for line in lines:
        line.close()
    assert ehr.sign(door).status == 200


def test_a_slow_client_does_not_keep_it_from_stopping(cluster: Cluster, ehr: Ehr) -> None:
    """With half a request under way that never ends, it still ends within 15 s."""
    instance = cluster.instances[0]
    line = ehr.line(instance.port, tls=False)
    line.sock.sendall(b"POST /cds-services/order-sign-crd HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    time.sleep(0.2)
    seconds = instance.stop()
    instance.start()
    line.close()
    assert seconds < 15


def test_restarting_one_instance_after_the_other_costs_no_call(cluster: Cluster, ehr: Ehr) -> None:
    """Through the proxy each call is answered with a number while first one instance, then the other is restarted."""
    with Load(ehr, cluster.proxy.port) as load:
        for instance, door in zip(cluster.instances, cluster.proxy.doors, strict=True):
            load.go_on(40)
            instance.stop()
            load.go_on(40)
            instance.start()
            eventually(lambda port=door: ehr.get(port, "/health/ready") == 200, 10, "ready")  # type: ignore[misc]
        load.go_on(40)
    assert load.failed == []
