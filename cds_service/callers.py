"""Who calls: what a caller may have read, and how it is spoken to."""

from collections.abc import Iterable

from cds_service.settings import Settings
from fhir_mappings.servers import Server, base_of, may_be_called
from hooks.coverage_information import Dialect
from hooks.service import Caller


def caller(name: str, dialect: Dialect | None, fhir_servers: Iterable[str]) -> Caller:
    """A caller that may have these FHIR servers read, and no other."""
    allowed = tuple(base for given in fhir_servers if (base := base_of(given)) is not None)

    def server_for(url: str, token: str) -> Server | None:
        base = base_of(url)
        if base is None or not may_be_called(base, allowed):
            return None
        return Server(base, token or None)

    return Caller(name, dialect, server_for)


def open_caller(settings: Settings) -> Caller:
    """The one caller of a service that asks for no tokens."""
    return caller("", None, settings.fhir_servers)
