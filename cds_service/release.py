"""Which version of the service this is."""

from functools import cache
from importlib.metadata import version


@cache
def release() -> str:
    """The version of the installed package; reading it takes some milliseconds, and it is asked for at several places."""
    return version("drug-coverage-cds")
