"""Two instances are one service: one number for an order, one use for a token."""

import uuid
from functools import partial

from callers import Ehr, at_once
from parts import Cluster


def test_both_instances_give_an_order_the_same_number(cluster: Cluster, ehr: Ehr) -> None:
    """Asked by six callers at once, three at each instance, an order has one number, and no other order has it."""
    numbers = set()
    for _ in range(6):
        order = str(uuid.uuid4())
        answers = at_once([partial(ehr.sign, door, order) for door in cluster.proxy.doors * 3])
        (number,) = {answer.number for answer in answers if answer.status == 200}
        assert [answer.status for answer in answers] == [200] * 6
        assert number
        numbers.add(number)
    assert len(numbers) == 6


def test_a_token_counts_once_for_both_instances(cluster: Cluster, ehr: Ehr) -> None:
    """Of eight calls with the same token at once, four at each instance, one is answered and the others are refused."""
    token = ehr.token()
    answers = at_once([partial(ehr.sign, door, "", token) for door in cluster.proxy.doors * 4])
    assert sorted(answer.status for answer in answers) == [200] + [401] * 7


def test_a_token_used_at_one_instance_is_refused_at_the_other(cluster: Cluster, ehr: Ehr) -> None:
    """What one has seen, the other knows."""
    token, (one, other) = ehr.token(), cluster.proxy.doors
    assert [ehr.sign(port, "", token).status for port in (one, other)] == [200, 401]
