"""Who calls: what a caller may have read, and how it is spoken to."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol, get_args

from cds_service.auth import Authenticator, Reason, UnauthorizedError, build_authenticator
from cds_service.auth.replay import ReplayStoreError
from cds_service.metrics import Metrics
from cds_service.rates import Rates
from cds_service.settings import Settings
from fhir_mappings.servers import Server, base_of, registered_base
from hooks.coverage_information import Dialect
from hooks.refusals import Refusal
from hooks.service import Caller


class Callers(Protocol):
    """Tells who calls."""

    def identify(self, authorization: str | None, path: str) -> Caller:
        """The caller with this Authorization header at this path. Raises Refusal (401 without detail, 503)."""

    def ready(self) -> bool:
        """True when callers can be told."""


class OpenCallers:
    """One caller for all: a service that asks for no tokens."""

    def __init__(self, fhir_servers: Iterable[str]) -> None:
        self._caller = caller("", None, fhir_servers)

    def identify(self, authorization: str | None, path: str) -> Caller:
        """The one caller."""
        return self._caller

    def ready(self) -> bool:
        """True."""
        return True


class RegisteredCallers:
    """Registered CDS clients with their tokens (CDS Hooks 2.0.1 "Trusting CDS Clients")."""

    def __init__(
        self, authenticator: Authenticator, public_url: str, refused: Callable[[Reason], None], rates: Rates
    ) -> None:
        self._authenticator, self._public_url, self._refused, self._rates = authenticator, public_url, refused, rates

    def identify(self, authorization: str | None, path: str) -> Caller:
        """The registered client whose token this is."""
        try:
            # Looked at before the token is used up, and spent after: a token sent twice costs its owner nothing.
            found = self._authenticator.authenticate(
                authorization, self._public_url + path, lambda client: self._rates.check_client(client.iss, client.rate)
            )
        except UnauthorizedError as error:
            self._refused(error.reason)
            if error.is_ours:
                raise Refusal(503, "transient", "the service cannot check tokens just now; try again") from None
            self._rates.spend_address("token")
            raise Refusal(401, "login", "a valid client token is needed") from None
        self._rates.spend_client(found.iss, found.rate)
        dialect = next((known for known in get_args(Dialect) if known == found.dialect), None)
        return caller(found.iss, dialect, found.fhir_servers)

    def ready(self) -> bool:
        """True when used tokens can be told from unused ones."""
        try:
            self._authenticator.check()
        except ReplayStoreError:
            return False
        return True


def caller(name: str, dialect: Dialect | None, fhir_servers: Iterable[str]) -> Caller:
    """A caller that may have these FHIR servers read, and no other."""
    allowed = tuple(base for given in fhir_servers if (base := base_of(given)) is not None)

    def server_for(url: str, token: str) -> Server | None:
        base = base_of(url)
        registered = registered_base(base, allowed) if base is not None else None
        return Server(base, token or None, registered) if base is not None and registered is not None else None

    return Caller(name, dialect, server_for)


def callers_of(settings: Settings, log: Any, metrics: Metrics, rates: Rates) -> Callers:
    """Who may call, by the settings. Raises ClientsFileError and RedisUrlError."""
    if settings.auth == "off":
        return OpenCallers(settings.fhir_servers)
    authenticator = build_authenticator(
        settings.trusted_clients,
        settings.data_dir,
        settings.redis_url,
        note=lambda jku, failure: log.warning("keys not fetched", kind=failure.value),
    )
    return RegisteredCallers(authenticator, settings.public_url, lambda reason: metrics.refused(reason.value), rates)
