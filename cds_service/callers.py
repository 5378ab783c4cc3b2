"""Who calls: what a caller may have read, and how it is spoken to."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol, get_args

from cds_service.auth import Authenticator, Reason, UnauthorizedError, build_authenticator
from cds_service.auth import Caller as Registered
from cds_service.auth.clients import TrustedClient
from cds_service.auth.replay import ReplayStoreError
from cds_service.metrics import Metrics
from cds_service.rates import Rates
from cds_service.settings import Settings
from fhir_mappings.servers import bases_of, server_at
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
        self.authenticator, self._public_url, self._refused, self._rates = authenticator, public_url, refused, rates

    def identify(self, authorization: str | None, path: str) -> Caller:
        """The registered client whose token this is."""
        try:
            found = self.authenticator.authenticate(authorization, self._public_url + path, self._admit)
        except UnauthorizedError as error:
            self._refused(error.reason)
            if error.is_ours:
                raise Refusal(503, "transient", "the service cannot check tokens just now; try again") from None
            self._rates.spend_address("token")
            raise _unauthorized() from None
        self._rates.spend_client(found.iss, found.rate)
        return _known(found)

    def assertion(self, assertion: str, url: str) -> Registered:
        """The client that asks for an access token with this assertion. Raises UnauthorizedError and Refusal (429)."""
        try:
            found = self.authenticator.assertion(assertion, url, self._admit)
        except UnauthorizedError as error:
            if not error.is_ours:
                self._rates.spend_address("token")
            raise
        self._rates.spend_client(found.iss, found.rate)
        return found

    def of(self, iss: str) -> Caller | None:
        """The client of this issuer, which has proved otherwise who it is; None when none is registered."""
        found = self.authenticator.registered(iss)
        if found is None:
            return None
        self._rates.spend_client(found.iss, found.rate)
        return _known(found)

    def refusal(self) -> Refusal:
        """The refusal of an access token that is not valid (any more), counted."""
        self._refused(Reason.EXPIRED)
        self._rates.spend_address("token")
        return _unauthorized()

    def _admit(self, client: TrustedClient) -> None:
        # Before the token is used up, while its calls are counted after: a token sent twice costs its owner nothing.
        self._rates.check_client(client.iss, client.rate)

    def ready(self) -> bool:
        """True when used tokens can be told from unused ones."""
        try:
            self.authenticator.check()
        except ReplayStoreError:
            return False
        return True


def _unauthorized() -> Refusal:
    return Refusal(401, "login", "a valid client token is needed")


def _known(found: Registered) -> Caller:
    dialect = next((known for known in get_args(Dialect) if known == found.dialect), None)
    return caller(found.iss, dialect, found.fhir_servers)


def caller(name: str, dialect: Dialect | None, fhir_servers: Iterable[str]) -> Caller:
    """A caller that may have these FHIR servers read, and no other."""
    allowed = bases_of(fhir_servers)
    return Caller(name, dialect, lambda url, token: server_at(url, allowed, token))


def callers_of(settings: Settings, log: Any, metrics: Metrics, rates: Rates) -> Callers:
    """Who may call, by the settings. Raises ClientsFileError and RedisUrlError."""
    if settings.auth == "off":
        return OpenCallers(settings.fhir_servers)
    authenticator = build_authenticator(
        settings.trusted_clients,
        settings.data_dir,
        settings.redis_url,
        note=lambda jku, failure: log.warning("keys not fetched", kind=failure.value),
        verify=settings.verify,
    )
    return RegisteredCallers(authenticator, settings.public_url, lambda reason: metrics.refused(reason.value), rates)
