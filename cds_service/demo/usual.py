"""The usual chart of a sample patient, which meets every criterion of the drug: its results and its answers."""

from msgspec import Struct

Answer = bool | int | str


class Result(Struct, frozen=True):
    """One result: a test of the catalog, its value (a number as text, or a word), and how long ago."""

    test: str
    value: str
    days: int = 0
    months: int = 0
    comparator: str = ""
    text: str = ""  # the laboratory's own name for it, where that says more
    note: str = ""


UNTREATED = "Untreated baseline: drawn before any factor replacement."

_SCREENS: dict[str, Result] = {
    "aav5": Result("aav5", "Not detected", months=4),
    "hbsag": Result("hbsag", "Negative", days=18),
    "anti-hbc": Result("anti-hbc", "Negative", days=18),
    "anti-hcv": Result("anti-hcv", "Negative", days=18),
    "hiv": Result("hiv", "Negative", days=18),
    "platelets": Result("platelets", "212", days=18),
    "liver": Result("liver", "5.1", days=32),
}

USUAL_RESULTS: dict[str, dict[str, Result]] = {
    "hemgenix": {
        "baseline": Result(
            "factor-ix", "1", months=131, comparator="<", text="Factor IX activity, untreated baseline", note=UNTREATED
        ),
        "trough": Result("factor-ix", "8.4", months=5, note="Trough on weekly factor IX."),
        "inhibitor": Result("inhibitor-ix", "0.4", days=40, comparator="<"),
        **_SCREENS,
    },
    "roctavian": {
        "baseline": Result(
            "factor-viii",
            "1",
            months=118,
            comparator="<",
            text="Factor VIII activity, untreated baseline",
            note=UNTREATED,
        ),
        "inhibitor": Result("inhibitor-viii", "0.4", days=40, comparator="<"),
        **_SCREENS,
    },
}

_USUAL_ANSWERS: dict[str, Answer] = {
    "q.hematologist": True,
    "q.hematologist.name": "Hazel Example, MD",
    "q.htc": True,
    "q.htc.name": "Example Hemophilia Treatment Center",
    "q.lth": True,
    "q.lth.detail": "Intracranial hemorrhage four years ago, treated in hospital.",
    "q.bleeds": 3,
    "q.bleeds.detail": "Three spontaneous joint bleeds in the last 12 months while on prophylaxis.",
    "q.prophylaxis": True,
    "q.convenience": False,
    "q.reason": "Breakthrough joint bleeds in spite of regular prophylaxis.",
    "q.inhibitor_history": False,
    "q.prior_gene_therapy": False,
    "q.other_coag": False,
}

USUAL_ANSWERS: dict[str, dict[str, Answer]] = {
    "hemgenix": {
        **_USUAL_ANSWERS,
        "q.dx": "congenital-b",
        "q.prophylaxis.detail": "Alprolix once a week for six years.",
        "q.exposure_days": 412,
    },
    "roctavian": {
        **_USUAL_ANSWERS,
        "q.dx": "congenital-a",
        "q.prophylaxis.detail": "Advate three times a week for nine years.",
    },
}
