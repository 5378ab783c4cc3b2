"""JSON that has one reading only: tokens, key sets and the clients' file are all decoded here."""

from typing import Any

from hooks.refusals import Refusal
from hooks.wire import decode


class NotPlainJsonError(ValueError):
    """Bytes that are not JSON in UTF-8, or that two readers could read differently (a member written twice)."""


def parse_json(raw: bytes) -> Any:
    """The decoded value; a number with a fraction or an exponent is a Decimal. Raises NotPlainJsonError."""
    try:
        return decode(raw)
    # A number whose exponent is out of every range is an ArithmeticError of the decimal module.
    except (Refusal, ArithmeticError):
        raise NotPlainJsonError from None
