"""JSON on the wire: digits are kept, and what is not plain JSON is refused."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooks.refusals import Refusal
from hooks.wire import decode, encode


def test_digits_are_kept_both_ways() -> None:
    """`0.80` comes back as `0.80`."""
    assert encode(decode(b'{"value":0.80}')) == b'{"value":0.80}'
    assert decode(b'{"value":0.80}') == {"value": Decimal("0.80")}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"a":1,"a":2}', "two members of the same name"),
        (b'{"a":{"b":"x","b":"x"}}', "two members of the same name"),
        (b'{"a":"\\u0022","a":"\\u0022\\u0022"}', "two members of the same name"),
        (b'{"a":NaN}', "not well-formed"),
        (b'{"a":Infinity}', "not well-formed"),
        (b'{"a":"\xff"}', "not UTF-8"),
        (b'{"a":"\\ud800"}', "not well-formed"),
        (b"", "not well-formed"),
        (b"{", "not well-formed"),
        (b'{"a":' + b"9" * 5000 + b"}", "more digits than can be kept"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_not_plain_json_is_refused(body: bytes, said: str) -> None:
    """Each malformed body gets a 400 that says what is wrong with it."""
    with pytest.raises(Refusal, match=said) as refused:
        decode(body)
    assert refused.value.status == 400


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(_JSON)
def test_a_body_without_duplicates_is_never_refused_for_them(value: object) -> None:
    """Whatever its strings contain, a body whose names are unique is read."""
    assert decode(encode(value)) == value


@given(_JSON, st.booleans())
def test_nor_is_one_that_is_written_otherwise_than_this_service_writes(value: object, ascii_only: bool) -> None:
    """Spaces between the members and letters as escapes make no duplicate of anything."""
    assert decode(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.text(), _JSON, _JSON)
def test_a_name_written_twice_is_always_found(name: str, first: object, second: object) -> None:
    """A repeated name is refused whatever stands beside it."""
    pair = encode(name) + b":"
    with pytest.raises(Refusal, match="same name"):
        decode(b"[{" + pair + encode(first) + b"," + pair + encode(second) + b"}]")
