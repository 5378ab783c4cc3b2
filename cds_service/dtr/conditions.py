"""When an item is shown: `enableWhen` of FHIR R4, with the operators that our forms use."""

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any

from msgspec import Struct

from fhir_mappings.references import Json, children


class Condition(Struct, frozen=True):
    """One `enableWhen`."""

    question: str
    operator: str  # = != > >=
    wanted: Any  # a Coding by its code; a Decimal for > and >=

    def holds(self, answers: Mapping[str, Json]) -> bool:
        """True where the answer to the question is as wanted; one that is not there is only unequal."""
        answer = answers.get(self.question)
        if answer is None:
            return self.operator == "!="
        given = next(iter(answer.values()))
        match self.operator:
            case "!=":
                return not self._same(given)
            case "=":
                return self._same(given)
            case ">":
                return bool(_number(given) > self.wanted)
            case _:
                return bool(_number(given) >= self.wanted)

    def _same(self, given: Any) -> bool:
        return bool((given.get("code") if isinstance(given, dict) else given) == self.wanted)


class Conditions(Struct, frozen=True):
    """The conditions of one item."""

    each: tuple[Condition, ...]
    one_is_enough: bool

    def hold(self, answers: Mapping[str, Json]) -> bool:
        """True when the item is shown beside these answers (linkId → value[x])."""
        for condition in self.each:
            if condition.holds(answers) is self.one_is_enough:
                return self.one_is_enough
        return not self.one_is_enough

    def ask(self, link_ids: Collection[str]) -> bool:
        """True when one of them is about one of these items."""
        return any(condition.question in link_ids for condition in self.each)


def conditions_of(item: Json) -> Conditions | None:
    """The item's conditions; None for one that is always shown."""
    each = tuple(
        Condition(given["question"], given["operator"], _wanted(given)) for given in children(item, "enableWhen")
    )
    return Conditions(each, item.get("enableBehavior") == "any") if each else None


def _wanted(given: Json) -> Any:
    value = next(value for name, value in given.items() if name.startswith("answer"))
    if given["operator"] in (">", ">="):
        return _number(value)
    return value["code"] if isinstance(value, dict) and "value" not in value else value


def _number(value: Any) -> Decimal:
    return Decimal(value["value"] if isinstance(value, dict) else value)
