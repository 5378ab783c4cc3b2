"""JSON on the wire: decoded with every digit kept, refused when it is not plain JSON.

Measured values keep the digits they were sent with (`0.80` stays `0.80`), which the standard library's module and model
classes do not do.
"""

from decimal import Decimal
from typing import Any

import msgspec

from hooks.refusals import Refusal

_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number")

encode = _ENCODER.encode


def decode(body: bytes) -> Any:
    """The decoded body. Raises Refusal (400) for what is not JSON in UTF-8, or has a member written twice."""
    try:
        found = _DECODER.decode(body)
        repeated = _has_duplicate_members(body, found)
    except UnicodeDecodeError:
        raise Refusal(400, "structure", "the body is not UTF-8") from None
    except RecursionError:
        raise Refusal(400, "structure", "the body is nested too deeply") from None
    except msgspec.ValidationError:
        raise Refusal(400, "value", "the body has a number with more digits than can be kept") from None
    except ArithmeticError:
        raise Refusal(400, "value", "the body has a number too large to be kept") from None
    except (msgspec.DecodeError, ValueError):
        raise Refusal(400, "structure", "the body is not well-formed JSON") from None
    if repeated:
        raise Refusal(400, "structure", "an object has two members of the same name; which one counts is not defined")
    return found


def _has_duplicate_members(body: bytes, found: Any) -> bool:
    # The decoder keeps the last of two equal names and drops the other with its quotation marks. So the decoded value,
    # written again, has fewer of them exactly when something was dropped; a mark written as \u0022 is the one way to
    # have more, and then the slower reader decides.
    if b"\\" in body and b"\\u0022" in body:  # most bodies have no backslash at all
        return _slow_duplicates(body)
    again = encode(found)
    return again != body and again.count(b'"') != body.count(b'"')


def _slow_duplicates(body: bytes) -> bool:
    import json

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in found}) != len(found):
            raise LookupError
        return dict(found)

    try:
        json.loads(body, object_pairs_hook=pairs)
    except LookupError:
        return True
    return False
