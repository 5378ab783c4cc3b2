"""What was measured, as a table for people."""

from collections.abc import Iterable
from pathlib import Path
from statistics import median

from msgspec import Struct

_BEGIN, _END = "<!-- bench: begin -->", "<!-- bench: end -->"
DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "performance.md"


class Point(Struct, frozen=True):
    """Where a row stands in a picture (pictures.py)."""

    picture: str
    line: str
    x: float


class Row(Struct, frozen=True):
    """One number with the aim that it is held against."""

    goal: str
    what: str
    unit: str  # "×", "µs", "ms", "s" or "MB"
    values: tuple[float, ...]  # one for each round; shown as least, median, greatest
    aim: float | None = None  # None where the row is shown beside a goal and is none itself
    bound: float | None = None  # above it a quick run fails: a good deal worse than noise makes it
    remark: str = ""
    point: Point | None = None

    @property
    def middle(self) -> float:
        """The median."""
        return median(self.values)

    @property
    def reached(self) -> str:
        """Whether the median keeps to the aim."""
        return "" if self.aim is None else "yes" if self.middle <= self.aim else "no"


def table(rows: Iterable[Row]) -> str:
    """The rows in Markdown."""
    lines = [
        "| goal | what | aim | least – **median** – greatest | reached | remarks |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        least, middle, greatest = (_shown(n, row.unit) for n in (min(row.values), row.middle, max(row.values)))
        measured = (
            f"**{middle}** {row.unit}" if len(row.values) == 1 else f"{least} – **{middle}** – {greatest} {row.unit}"
        )
        aim = f"≤ {_shown(row.aim, row.unit)} {row.unit}" if row.aim is not None else ""
        lines.append(f"| {row.goal} | {row.what} | {aim} | {measured} | {row.reached} | {row.remark} |")
    return "\n".join(lines)


def _shown(value: float, unit: str) -> str:
    if unit == "×" and value < 0.1:
        return f"{value:.2g}"
    return f"{value:.2f}" if unit in ("×", "s") else f"{value:.0f}" if value >= 20 else f"{value:.1f}"


def write(text: str, path: Path = DOCUMENT) -> None:
    """Puts the text between the marks of the document. Raises ValueError where it has none."""
    whole = path.read_text(encoding="utf-8")
    head, begun, rest = whole.partition(_BEGIN)
    _, ended, tail = rest.partition(_END)
    if not begun or not ended:
        raise ValueError(f"{path.name} has no {_BEGIN} … {_END}")
    path.write_text(f"{head}{_BEGIN}\n\n{text}\n\n{_END}{tail}", encoding="utf-8")


def too_slow(rows: Iterable[Row]) -> list[str]:
    """What lies above its bound, in words."""
    return [
        f"{row.goal}: {row.what}: {_shown(row.middle, row.unit)} {row.unit} is above {_shown(row.bound, row.unit)}"
        for row in rows
        if row.bound is not None and row.middle > row.bound
    ]
