"""Who calls: the JWT of a CDS client, checked from the outside in (CDS Hooks 2.0, "Trusting CDS Clients").

What is cheap and needs no key comes first, so that rubbish costs little. Nothing that a token says of itself decides
how it is checked: the algorithm belongs to the key, the key and its URL to the registration, the audience to the
service. The Caller that comes out is all that the rest of the service knows of a client; another way to prove who
calls gives a Caller too.
"""

import binascii
import re
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import Enum
from typing import Any

from msgspec import Struct

from cds_service.auth.clients import TrustedClient, TrustedClients
from cds_service.auth.jwks import KeysUnavailableError, PublishedKeys
from cds_service.auth.keys import Algorithm, Key
from cds_service.auth.plain_json import NotPlainJsonError, parse_json
from cds_service.auth.replay import ReplayStoreError, SeenTokens

LONGEST_TOKEN = 8192
LONGEST_JTI = 256
LONGEST_LIFE_S = 600  # between iat and exp; five minutes are usual
SKEW_S = 60  # by which clocks may differ, a client's or another instance's

_LATEST = 2**40  # epoch seconds; what is later is no date
# Possessive (`++`): what does not fit is not tried again at each length.
_BEARER = re.compile(r"(?i:bearer) ++([A-Za-z0-9_-]++)\.([A-Za-z0-9_-]++)\.([A-Za-z0-9_-]++)", re.ASCII)
_ALGORITHMS = {algorithm.value: algorithm for algorithm in Algorithm}


Admit = Callable[[TrustedClient], None]


class Reason(Enum):
    """Why a call was refused: for metrics and logs alone, never for the caller."""

    NO_TOKEN = "no-token"  # noqa: S105 - a word, no password
    FORM = "form"
    ALGORITHM = "algorithm"
    ISSUER = "issuer"
    KEY_URL = "key-url"
    KEY = "key"  # no such name, or not for this algorithm
    KEYS_UNAVAILABLE = "keys-unavailable"
    SIGNATURE = "signature"
    AUDIENCE = "audience"
    LIFETIME = "lifetime"  # exp or iat is missing or no date, or they are too far apart
    EXPIRED = "expired"
    NOT_YET = "not-yet"
    TOKEN_ID = "token-id"  # noqa: S105 - a word, no password
    USED_BEFORE = "used-before"
    STORE = "store"  # whether it was used before cannot be told


class UnauthorizedError(Exception):
    """A call without a valid token. Its text is the same for every reason."""

    def __init__(self, reason: Reason) -> None:
        super().__init__("a valid client token is needed")
        self.reason = reason

    @property
    def is_ours(self) -> bool:
        """True when the token may be good and the service cannot tell: 503 instead of 401.

        That is said only of tokens whose signature was checked, so that it tells nothing to strangers.
        """
        return self.reason is Reason.STORE


class Caller(Struct, frozen=True):
    """A client that has proved who it is."""

    iss: str
    dialect: str | None  # None: the service's default
    fhir_servers: tuple[str, ...]  # as `base_of` gives them: the ones that may be read for it
    rate: str | None = None  # calls that were agreed on; None: the service's default


class _Token(Struct, frozen=True):
    """A token, taken apart and not yet believed."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes


class Authenticator:
    """Checks the token of each call."""

    def __init__(
        self,
        clients: TrustedClients,
        published: Mapping[str, PublishedKeys],
        seen: SeenTokens,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`published` has the keys of every registered `jku`; `clock` gives epoch seconds."""
        self._clients, self._published, self._seen, self._clock = clients, published, seen, clock

    def authenticate(self, authorization_header: str | None, url: str, admit: Admit = lambda client: None) -> Caller:
        """The client that calls this URL (public base and path, to the letter). Raises UnauthorizedError.

        `admit` is asked when the token is known to be good, and before its use is noted: what it refuses by raising
        takes no room among the used tokens.
        """
        token = _parse_token(authorization_header)
        client = self._signer(token)
        self._use(token.claims, client, url, admit)
        return _caller(client)

    def assertion(self, assertion: str, url: str, admit: Admit = lambda client: None) -> Caller:
        """The client that asks for an access token at this URL (SMART "Client Authentication: Asymmetric").

        `sub` names it as `iss` does, and `iat` may be left out. Raises UnauthorizedError.
        """
        token = _parse_token(f"Bearer {assertion}")
        client = self._signer(token)
        if token.claims.get("sub") != client.iss:
            raise UnauthorizedError(Reason.ISSUER)
        self._use({"iat": int(self._clock()), **token.claims}, client, url, admit)
        return _caller(client)

    def registered(self, iss: str) -> Caller | None:
        """The client of this issuer, by what else it proved who it is; None when none is registered."""
        client = self._clients.of(iss)
        return _caller(client) if client is not None else None

    def _signer(self, token: _Token) -> TrustedClient:
        algorithm = _algorithm(token.header)
        iss = token.claims.get("iss")
        client = self._clients.of(iss) if isinstance(iss, str) else None
        if client is None:
            raise UnauthorizedError(Reason.ISSUER)
        if not self._key(token.header, client, algorithm).signed(token.signed, token.signature):
            raise UnauthorizedError(Reason.SIGNATURE)
        return client

    def check(self) -> None:
        """Nothing when a used token could be noted now. Raises ReplayStoreError. For readiness."""
        self._seen.check()

    def _key(self, header: Mapping[str, Any], client: TrustedClient, algorithm: Algorithm) -> Key:
        # A `jku` is never read from a token: it must be the registered one, or the call ends here.
        if "jku" in header and header["jku"] != client.keys:
            raise UnauthorizedError(Reason.KEY_URL)
        kid = header.get("kid")
        if not isinstance(kid, str) or not kid:
            raise UnauthorizedError(Reason.KEY)
        keys = self._published[client.keys] if isinstance(client.keys, str) else client.keys
        try:
            key = keys.find(kid, algorithm)
        except KeysUnavailableError:
            raise UnauthorizedError(Reason.KEYS_UNAVAILABLE) from None
        if key is None:
            raise UnauthorizedError(Reason.KEY)
        return key

    def _check_claims(self, claims: Mapping[str, Any], url: str) -> tuple[str, int]:
        """The token's `jti`, and until when it must be remembered."""
        audience = claims.get("aud")
        named = audience if isinstance(audience, list) else [audience]
        if url not in named or not all(isinstance(one, str) for one in named):
            raise UnauthorizedError(Reason.AUDIENCE)
        now = self._clock()
        expires, issued = _date(claims.get("exp")), _date(claims.get("iat"))
        if expires is None or issued is None or not 0 < expires - issued <= LONGEST_LIFE_S:
            raise UnauthorizedError(Reason.LIFETIME)
        if now >= expires + SKEW_S or now > issued + LONGEST_LIFE_S:
            raise UnauthorizedError(Reason.EXPIRED)
        starts = _date(claims["nbf"]) if "nbf" in claims else issued
        if starts is None or max(starts, issued) > now + SKEW_S:
            raise UnauthorizedError(Reason.NOT_YET)
        jti = claims.get("jti")
        if not isinstance(jti, str) or not 0 < len(jti) <= LONGEST_JTI:
            raise UnauthorizedError(Reason.TOKEN_ID)
        return jti, int(expires) + SKEW_S + 1  # a second more than it can be used: `expires` may have a fraction

    def _use(self, claims: Mapping[str, Any], client: TrustedClient, url: str, admit: Admit) -> None:
        jti, until = self._check_claims(claims, url)
        admit(client)
        try:
            first = self._seen.first_use(client.iss, jti, until)
        except ReplayStoreError:
            raise UnauthorizedError(Reason.STORE) from None
        if not first:
            raise UnauthorizedError(Reason.USED_BEFORE)


def _caller(client: TrustedClient) -> Caller:
    return Caller(client.iss, client.dialect, client.fhir_servers, client.rate)


def _parse_token(authorization_header: str | None) -> _Token:
    if not authorization_header:
        raise UnauthorizedError(Reason.NO_TOKEN)
    if len(authorization_header) > LONGEST_TOKEN + len("Bearer "):
        raise UnauthorizedError(Reason.FORM)
    found = _BEARER.fullmatch(authorization_header)
    if found is None:
        raise UnauthorizedError(Reason.FORM)
    header, claims, signature = (_from_base64url(part) for part in found.groups())
    signed = authorization_header[found.start(1) : found.end(2)].encode()
    return _Token(_object(header), _object(claims), signed, signature)


def _from_base64url(text: str) -> bytes:
    standard = text.encode().translate(_TO_STANDARD)
    try:
        found = binascii.a2b_base64(standard + b"=" * (-len(text) % 4), strict_mode=True)
    except binascii.Error:
        raise UnauthorizedError(Reason.FORM) from None
    # Bits beyond the last byte could be set at will: one token would have several spellings.
    if binascii.b2a_base64(found, newline=False).rstrip(b"=") != standard:
        raise UnauthorizedError(Reason.FORM)
    return found


_TO_STANDARD = bytes.maketrans(b"-_", b"+/")


def _object(raw: bytes) -> Mapping[str, Any]:
    try:
        found = parse_json(raw)
    except NotPlainJsonError:
        raise UnauthorizedError(Reason.FORM) from None
    if not isinstance(found, dict):
        raise UnauthorizedError(Reason.FORM)
    return found


def _algorithm(header: Mapping[str, Any]) -> Algorithm:
    given = header.get("alg")
    algorithm = _ALGORITHMS.get(given) if isinstance(given, str) else None
    if algorithm is None:
        raise UnauthorizedError(Reason.ALGORITHM)
    # No extension is understood here (RFC 7515 §4.1.11); `b64` would change what is signed (RFC 7797). Another `typ`
    # is a token for another purpose (RFC 8725 §3.11).
    kind = header.get("typ", "JWT")
    if "crit" in header or "b64" in header or not isinstance(kind, str) or kind.upper() != "JWT":
        raise UnauthorizedError(Reason.FORM)
    return algorithm


def _date(given: object) -> float | None:
    """Epoch seconds; None for what is no NumericDate (RFC 7519 §2)."""
    if isinstance(given, bool) or not isinstance(given, int | Decimal) or not 0 <= given <= _LATEST:
        return None
    return float(given)
