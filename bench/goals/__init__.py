"""The goals, one module each: `measure(stage)` gives its rows. A new goal is a new module here."""

import pkgutil
from collections.abc import Iterator
from importlib import import_module

from bench.stage import Stage
from bench.table import Row

_GUARDED = ("g01", "g06", "g09", "g12")  # what a quick run looks at


def measure_all(stage: Stage) -> Iterator[Row]:
    """The rows of every goal, in the order of the modules' names; of a quick run, those that it guards."""
    for found in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        if stage.quick and not found.name.startswith(_GUARDED):
            continue
        yield from import_module(f"{__name__}.{found.name}").measure(stage)
