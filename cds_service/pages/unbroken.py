"""What a line is never broken in: a day, and a number with its percent sign."""

import re

from markupsafe import Markup

_WHOLE = re.compile(r"(\d{4}-\d{2}-\d{2}|(?:[≤≥<>] )?\d+ %)")


def unbroken(text: str) -> Markup:
    """The text as HTML, with each of them kept on one line."""
    parts = _WHOLE.split(text)  # every second one is such a piece
    return Markup("").join(
        Markup('<span class="unbroken">{}</span>').format(one) if at % 2 else one for at, one in enumerate(parts)
    )
