"""The goals, one module each: `measure(stage)` gives its rows. A new goal is a new module here."""

import pkgutil
from collections.abc import Iterator
from importlib import import_module

from bench.stage import Stage
from bench.table import Row


def measure_all(stage: Stage) -> Iterator[Row]:
    """The rows of every goal, in the order of the modules' names."""
    for found in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        yield from import_module(f"{__name__}.{found.name}").measure(stage)
