"""The pictures of docs/performance.md, drawn from the rows that have a place in one."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.table import Row

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "pictures"

# picture → title, what x is, what y is
_PICTURES = {
    "chart": ("An answer's time against the length of the chart", "results in the chart", "p50, ms"),
    "clients": ("An answer's time against callers at once", "clients, each calling again at once", "p50, ms"),
}


def draw(rows: Iterable[Row], folder: Path = FOLDER) -> list[Path]:
    """Writes each picture that has rows as SVG; gives the files."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "performance"  # the same numbers give the same file
    mpl.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot as plt
    from matplotlib.ticker import LogLocator

    placed = [row for row in rows if row.point is not None]
    written = []
    for name, (title, across, up) in _PICTURES.items():
        lines = _lines(row for row in placed if row.point is not None and row.point.picture == name)
        if not lines:
            continue
        figure, axes = plt.subplots(figsize=(7.2, 4.0), layout="constrained")
        for (line, points), marker in zip(lines.items(), "os^Dv", strict=False):
            axes.plot(*zip(*points, strict=True), marker=marker, label=line)
        axes.set(title=title, xlabel=across, ylabel=up, xscale="log", yscale="log")
        _plain_numbers(axes, sorted({x for points in lines.values() for x, _ in points}))
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.grid(which="major", alpha=0.3)
        axes.legend(frameon=False)
        path = folder / f"performance-{name}.svg"
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)
        written.append(path)
    return written


def _lines(rows: Iterable[Row]) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if row.point is not None:
            found.setdefault(row.point.line, []).append((row.point.x, row.middle))
    return found


def _plain_numbers(axes: Any, across: list[float]) -> None:
    """1,000 rather than 10³, and a mark where something was measured."""
    axes.set_xticks(across, [f"{x:,.0f}" for x in across])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:g}")
