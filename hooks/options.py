"""The configuration options of a call (CRD 2.2.1 "Deviations", dev-4 to dev-17): what they are, and what was chosen.

Unknown codes and values of another type are ignored, odd combinations cope: everything off gets an empty answer.
"""

from typing import Any, Literal

from msgspec import Struct


class Option(Struct, frozen=True):
    """One option as discovery lists it."""

    code: str
    type: Literal["boolean", "integer"]
    name: str
    description: str
    default: bool | int


OPTIONS = (
    Option("coverage-info", "boolean", "Coverage information", "What the plan says, written on each order.", True),
    Option("unsolicited-determ", "boolean", "Unsolicited determinations", "A number when all criteria are met.", True),
    Option("guideline", "boolean", "Policy answer", "A card with each criterion and what decided it.", True),
    Option("clinical-reminder", "boolean", "Missing tests", "A card that orders missing tests with one click.", True),
    Option("claim", "boolean", "Documentation form", "A card that opens the form for what the chart lacks.", True),
    Option("max-cards", "integer", "Maximum cards", "The most important cards are kept.", 10),
)
CARD_CODES = ("guideline", "clinical-reminder", "claim")  # most important first


class Choices(Struct, frozen=True):
    """What this call wants."""

    coverage_information: bool
    unsolicited_determination: bool
    cards: tuple[str, ...]  # codes of the cards that are wanted, most important first
    max_cards: int


def choices(configuration: dict[str, Any]) -> Choices:
    """The choices of a call's `davinci-crd.configuration`."""
    wanted = {option.code: _value(option, configuration.get(option.code)) for option in OPTIONS}
    return Choices(
        coverage_information=bool(wanted["coverage-info"]),
        unsolicited_determination=bool(wanted["unsolicited-determ"]),
        cards=tuple(code for code in CARD_CODES if wanted[code]),
        max_cards=int(wanted["max-cards"]),
    )


def _value(option: Option, given: Any) -> bool | int:
    if option.type == "boolean":
        return given if isinstance(given, bool) else option.default
    return given if isinstance(given, int) and not isinstance(given, bool) and given >= 0 else option.default
