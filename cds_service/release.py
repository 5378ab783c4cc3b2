"""Which version of the service this is."""

from functools import cache
from importlib.metadata import version


@cache
def release() -> str:
    """The version of the installed package. Reading it takes some milliseconds, and several ask."""
    return version("drug-coverage-cds")
