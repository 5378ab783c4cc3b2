"""The registered CDS clients: who may call, with which keys, for which FHIR servers, in which dialect.

Nothing of a message here repeats what the file holds but names of members: a file may have a private key in it.
"""

import re
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, Struct, UnsetType

from cds_service.auth.keys import KeyRefusedError, KeySet, parse_keys
from cds_service.auth.plain_json import NotPlainJsonError, parse_json
from cds_service.rates import parse_rate
from fhir_mappings.servers import base_of

DIALECTS = ("2.2", "2.0.1", "plain")
_LARGEST_FILE = 4 * 1024 * 1024
_LONGEST_ISSUER = 2000


class ClientsFileError(ValueError):
    """A file of registered clients that cannot be used; the message names the file and the JSON path."""


class TrustedClient(Struct, frozen=True):
    """A CDS client as it is registered."""

    iss: str
    keys: KeySet | str  # its keys, or the one URL (`jku`) where it publishes them
    fhir_servers: tuple[str, ...]  # as `base_of` gives them
    dialect: str | None  # None: the service's default
    rate: str | None = None  # calls that were agreed on, like `600/minute`; None: the service's default


class TrustedClients:
    """Every registered client, by issuer."""

    def __init__(self, clients: Iterable[TrustedClient] = ()) -> None:
        self._by_iss = {client.iss: client for client in clients}

    def of(self, iss: str) -> TrustedClient | None:
        """The client of this issuer, which must be equal to the letter; None when none is registered."""
        return self._by_iss.get(iss)

    @property
    def fhir_servers(self) -> tuple[str, ...]:
        """Every FHIR server that some client is registered with."""
        return tuple(dict.fromkeys(base for client in self._by_iss.values() for base in client.fhir_servers))

    @property
    def key_urls(self) -> frozenset[str]:
        """Every registered `jku`: no other one is ever read."""
        return frozenset(client.keys for client in self._by_iss.values() if isinstance(client.keys, str))


class _Registration(Struct, forbid_unknown_fields=True):
    """One entry of the file as it is written."""

    iss: str
    jku: str | UnsetType = UNSET
    jwks: dict[str, Any] | UnsetType = UNSET
    fhir_servers: list[str] | UnsetType = UNSET
    dialect: str | UnsetType = UNSET
    rate: str | UnsetType = UNSET


def read_trusted_clients(path: Path) -> TrustedClients:
    """The clients that the file registers. Raises ClientsFileError."""
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise ClientsFileError(f"{path}: cannot be read ({error.strerror or type(error).__name__})") from None
    if len(raw) > _LARGEST_FILE:
        raise ClientsFileError(f"{path}: expected at most {_LARGEST_FILE} bytes")
    try:
        return parse_trusted_clients(raw)
    except ClientsFileError as error:
        raise ClientsFileError(f"{path}: {error}") from None


def parse_trusted_clients(raw: bytes) -> TrustedClients:
    """The clients that this JSON registers. Raises ClientsFileError with the JSON path."""
    try:
        given = msgspec.convert(parse_json(raw), list[_Registration])
    except NotPlainJsonError:
        raise ClientsFileError("$: expected JSON in UTF-8, without a member written twice") from None
    except msgspec.ValidationError as error:
        raise ClientsFileError(_in_our_words(str(error))) from None
    clients: dict[str, TrustedClient] = {}
    for index, registration in enumerate(given):
        client = _client(registration, f"$[{index}]")
        if client.iss in clients:
            raise ClientsFileError(f"$[{index}].iss: expected an issuer that is not registered above")
        clients[client.iss] = client
    return TrustedClients(clients.values())


def _client(given: _Registration, path: str) -> TrustedClient:
    if not 0 < len(given.iss) <= _LONGEST_ISSUER or given.iss != given.iss.strip() or not given.iss.isprintable():
        raise ClientsFileError(f"{path}.iss: expected 1 to {_LONGEST_ISSUER} characters, no spaces around them")
    dialect = None if given.dialect is UNSET else given.dialect
    if dialect is not None and dialect not in DIALECTS:
        raise ClientsFileError(f"{path}.dialect: expected one of {', '.join(DIALECTS)}")
    servers = () if given.fhir_servers is UNSET else tuple(given.fhir_servers)
    bases = tuple(_fhir_base(server, f"{path}.fhir_servers[{index}]") for index, server in enumerate(servers))
    return TrustedClient(given.iss, _keys(given, path), bases, dialect, _rate(given, path))


def _rate(given: _Registration, path: str) -> str | None:
    if isinstance(given.rate, UnsetType):
        return None
    try:
        parse_rate(given.rate)
    except ValueError:
        raise ClientsFileError(f"{path}.rate: expected a rate like 600/minute") from None
    return given.rate


def _keys(given: _Registration, path: str) -> KeySet | str:
    if (given.jku is UNSET) == (given.jwks is UNSET):
        raise ClientsFileError(f"{path}: expected either jku or jwks, and not both")
    if given.jwks is not UNSET:
        try:
            return parse_keys(given.jwks, f"{path}.jwks")
        except KeyRefusedError as error:
            raise ClientsFileError(str(error)) from None
    jku = given.jku if isinstance(given.jku, str) else ""
    # A key set may be told by a query (one URL for many tenants), so the base is looked at without it.
    base = base_of(jku.partition("?")[0])
    if base is None or "#" in jku or re.search(r"[^\x21-\x7e]|\\", jku):
        raise ClientsFileError(f"{path}.jku: expected an absolute https URL without user name and fragment")
    _check_scheme(base, f"{path}.jku")
    return jku


def _fhir_base(given: str, path: str) -> str:
    base = base_of(given)
    if base is None:
        raise ClientsFileError(f"{path}: expected an absolute https URL without user name, query and fragment")
    _check_scheme(base, path)
    return base


def _check_scheme(base: str, path: str) -> None:
    parts = urlsplit(base)
    if parts.scheme != "https" and not _is_loopback(parts.hostname or ""):
        raise ClientsFileError(f"{path}: expected https; http is for loopback addresses only")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_MESSAGE = re.compile(r"(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<name>\w+)`")
_TYPE = re.compile(r"Expected `(?P<expected>[\w |]+)`, got `(?P<found>\w+)`")


def _in_our_words(message: str) -> str:
    """The decoder's message with the path first; a name that is too odd to be a member's is not repeated."""
    told = _MESSAGE.fullmatch(message)
    what, path = (told["what"], told["path"] or "$") if told else ("", "$")
    if unknown := _UNKNOWN.fullmatch(what):
        shown = unknown["name"] if re.fullmatch(r"[\w.-]{1,40}", unknown["name"], re.ASCII) else "a member"
        return f"{path}: {shown} is not known; expected iss, jku or jwks, fhir_servers, dialect, rate"
    if missing := _MISSING.fullmatch(what):
        return f"{path}.{missing['name']}: expected, found nothing"
    if kind := _TYPE.fullmatch(what):
        return f"{path}: expected {kind['expected']}, found {kind['found']}"
    return f"{path}: expected an array of objects with iss, jku or jwks, fhir_servers, dialect, rate"
