"""What changed from one version of a policy to the next, in plain words. What did not change is not mentioned.

Value sets and the lab table have no versions of their own: a code that is added there counts for every version.
"""

import re
from collections.abc import Iterable, Iterator

from msgspec import Struct

from cds_service.pages.words import Wording
from cds_service.policy.policy import Criterion, Policy, Row

_NUMBER = re.compile(r"\d{4}-\d{2}-\d{2}|\d+(?:\.\d+)?")
_BLOCKING = {"yes": "it decides", "no": "it only informs", "when-not-met": "it decides only when it is not met"}


class Change(Struct, frozen=True):
    """One change; `criterion` is the paragraph it is about, empty for the policy as a whole."""

    criterion: str
    text: str


def changes(old: Policy, old_words: Wording, new: Policy, new_words: Wording) -> tuple[Change, ...]:
    """Every change from `old` to `new`, the policy's own first, then by criterion."""
    before, after = ({criterion.id: criterion for criterion in policy.criteria} for policy in (old, new))
    found = [Change("", text) for text in _whole(old, new)]
    for criterion_id, criterion in after.items():
        if criterion_id not in before:
            found.append(Change(criterion_id, f"New: {criterion.label}."))
            continue
        texts = _criterion(before[criterion_id], old_words, criterion, new_words)
        found += [Change(criterion_id, text) for text in texts]
    gone = [criterion for criterion_id, criterion in before.items() if criterion_id not in after]
    found += [Change("", f"Criterion {one.id} is no longer asked: {one.label}.") for one in gone]
    return tuple(found)


def _whole(old: Policy, new: Policy) -> Iterator[str]:
    if old.title != new.title:
        yield f"The policy is now called “{new.title}” (before: “{old.title}”)."
    if old.billing != new.billing:
        yield f"The drug is now billed as {new.billing.code} (before: {old.billing.code})."
    if old.authorization != new.authorization:
        yield (
            f"An approval now covers {new.authorization.quantity} {new.authorization.unit} within "
            f"{new.authorization.months} months (before: {old.authorization.quantity} {old.authorization.unit} within "
            f"{old.authorization.months} months)."
        )
    applied = {line.name: line.applies for line in old.scope.lines}
    for line in new.scope.lines:
        if applied.get(line.name) != line.applies:
            yield f"{line.name}: the policy now {'applies' if line.applies == 'yes' else 'does not apply'}."
    kept = {line.name for line in new.scope.lines}
    yield from (f"{name} is no longer named among the lines of business." for name in applied if name not in kept)
    yield from _listed(old.guidelines, new.guidelines, "New guideline", "Guideline left out")
    yield from _listed(
        (question.text for question in old.questions),
        (question.text for question in new.questions),
        "The form now asks",
        "The form no longer asks",
    )


def _criterion(old: Criterion, old_words: Wording, new: Criterion, new_words: Wording) -> Iterator[str]:
    if old.label != new.label:
        yield f"Now called “{new.label}” (before: “{old.label}”)."
    if old.paragraph != new.paragraph:
        yield f"The policy's words are now “{new.paragraph}” (before: “{old.paragraph}”)."
    if old.kind != new.kind:
        yield f"It is now an {new.kind} criterion (before: {old.kind})."
    if old.blocking != new.blocking:
        yield f"From now on {_BLOCKING[new.blocking]} (before: {_BLOCKING[old.blocking]})."
    before, after = old_words.of(old.met), new_words.of(new.met)
    yield from _listed(before.lines(), after.lines(), "Now proves it", "No longer proves it")
    if before != after and sorted(before.lines()) == sorted(after.lines()):
        yield "What proves it is combined in another way."
    for name, now, gone in (
        ("not_met", "Now speaks against it", "No longer speaks against it"),
        ("review", "The plan now looks at it when", "The plan no longer looks at it when"),
    ):
        was, is_ = (
            [_row(row, words) for row in getattr(criterion, name)]
            for criterion, words in ((old, old_words), (new, new_words))
        )
        yield from _listed(was, is_, now, gone)
    yield from _asked_of(old, old_words, new, new_words)
    if old.sense != new.sense:
        yield f"It is now read so: {new.sense}"


def _asked_of(old: Criterion, old_words: Wording, new: Criterion, new_words: Wording) -> Iterator[str]:
    before = old_words.of(old.applies_when).lines() if old.applies_when is not None else ()
    after = new_words.of(new.applies_when).lines() if new.applies_when is not None else ()
    yield from _listed(before, after, "It is now asked only where", "It is no longer asked only where")


def _row(row: Row, words: Wording) -> str:
    when = "; ".join(words.of(row.when).lines())
    unless = f"; unless: {'; '.join(words.of(row.unless).lines())}" if row.unless is not None else ""
    return f"{row.says} ({when}{unless})"


def _listed(before: Iterable[str], after: Iterable[str], now: str, gone: str) -> Iterator[str]:
    was, is_ = dict.fromkeys(before), dict.fromkeys(after)
    left = [text for text in was if text not in is_]
    for text in is_:
        if text in was:
            continue
        alike = next((one for one in left if _NUMBER.sub("", one) == _NUMBER.sub("", text)), None)
        if alike is None:
            yield _sentence(now, text)
        else:  # the same but for a number: one change, and not two
            left.remove(alike)
            yield f"{_sentence(now, text)} Before: {_numbers_before(alike, text)}."
    yield from (_sentence(gone, text) for text in left)


def _numbers_before(old: str, new: str) -> str:
    pairs = zip(_NUMBER.findall(old), _NUMBER.findall(new), strict=True)
    return ", ".join(dict.fromkeys(before for before, after in pairs if before != after))


def _sentence(said: str, text: str) -> str:
    return f"{said}: {text}" if text.endswith((".", "?", ".)")) else f"{said}: {text}."
