"""METAVIR fibrosis stages in text: `F3` is 3, `F3-F4` is an interval, and `A3` is the grade of activity."""

import re
from decimal import Decimal

from cds_service.policy.facts import Interval
from fhir_mappings.lab_file import WordTable

_STAGE = re.compile(
    r"(?P<comparator>>=|≥|<=|≤|<|>|\bat least |\bat most )?\s*"
    r"(?<![A-Za-z])(?:F|(?:fibrosis|metavir)[\s:,(]*(?:\bstage)?[\s:]*F?|(?P<bare>stage:?))\s?(?P<low>[0-4])(?!\d|\.\d)"
    r"(?:\s?(?:-|–|/|to|or)\s?F?(?P<high>[0-4])(?!\d|\.\d))?(?P<more>\s*or (?:greater|higher|more|above))?"
    r"(?(bare)(?=\s+(?:of\s+)?(?:liver |hepatic )?fibrosis))",  # stage 3 alone may be of a kidney, a tumour, anything
    re.I,
)
_OTHER_SCALE = re.compile(r"\b(?:ishak|knodell)\b", re.I)  # 0 to 6: the same figures mean less
_WHOLE = re.compile(r"stage:? ?[0-4]\.?", re.I)  # the whole value of a result that is a fibrosis stage
_SCALE = re.compile(r"\(?\b(?:scale|range)?\s*:?\s*F?0\s?(?:-|–|to)\s?F?4\b\)?", re.I)
_DENIED = re.compile(
    r"\b(?:no|not|without|exclud\w*|rule[sd]? out|below|less than|history of|prior|previous\w*)\b(?:\W+\w+){0,3}\W*$",
    re.I,
)
_BEFORE = 200  # characters in which a denial stands before its stage


def fibrosis_stage(text: str, words: WordTable) -> Interval | None:
    """The stages 0 to 4 that the text can mean; None when it names none, denies one or names several apart."""
    text = " ".join(text[:2000].split())
    if _OTHER_SCALE.search(text):
        return None
    if _WHOLE.fullmatch(text):
        text = "F" + text.rstrip(".")[-1]
    if (whole := words.stage_text.get(text.casefold().rstrip("."))) is not None:
        text = whole
    found = _all(text)
    if len(found) > 1:
        found = _all(_SCALE.sub(" ", text)) or found
    return found.pop() if len(found) == 1 else None


def _all(text: str) -> set[Interval]:
    found: set[Interval] = set()
    for match in _STAGE.finditer(text):
        if _DENIED.search(text[max(0, match.start() - _BEFORE) : match.start()]):
            continue
        low = Decimal(match["low"])
        high = Decimal(match["high"]) if match["high"] else low
        comparator = (match["comparator"] or "").strip()
        if comparator in (">=", "≥", "at least") or match["more"]:
            found.add(Interval(low, Decimal(4)))
        elif comparator in ("<=", "≤", "at most"):
            found.add(Interval(Decimal(0), high))
        elif comparator == "<":
            found.add(Interval(Decimal(0), low, high_open=True))
        elif comparator == ">":
            found.add(Interval(low, Decimal(4), low_open=True))
        elif low <= high:
            found.add(Interval(low, high))
    return found
