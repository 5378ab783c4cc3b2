"""Access tokens of SMART Backend Services: short-lived, good with every worker and instance that shares the key.

A token says who holds it and for which scopes, signed with a key of this installation; nothing of it is kept.
"""

import secrets
import time
from collections.abc import Callable, Iterable

import jwt
from msgspec import Struct

from cds_service.auth.tokens import SKEW_S

LIFE_S = 300  # SMART Backend Services: should not exceed five minutes
_KIND = "at+jwt"  # RFC 9068; a client's own token is a JWT of another kind, signed otherwise
_ALGORITHM = "HS256"


class NoKeyError(Exception):
    """The key is not there yet: tokens can be neither issued nor checked."""


class Held(Struct, frozen=True):
    """Who holds a token, and what for."""

    client: str  # iss of the registered client
    scopes: frozenset[str]


class AccessTokens:
    """Issues and checks tokens for one audience."""

    def __init__(self, audience: str, key: Callable[[], bytes | None], clock: Callable[[], float] = time.time) -> None:
        """`key`: the shared key, or None while it cannot be told; `clock` gives epoch seconds."""
        self._audience, self._key, self._clock = audience, key, clock

    def issue(self, client: str, scopes: Iterable[str]) -> str:
        """A token for that client. Raises NoKeyError."""
        now = int(self._clock())
        claims = {
            "iss": self._audience,
            "aud": self._audience,
            "sub": client,
            "scope": " ".join(sorted(scopes)),
            "iat": now,
            "exp": now + LIFE_S,
            "jti": secrets.token_urlsafe(12),
        }
        return jwt.encode(claims, self._own_key(), algorithm=_ALGORITHM, headers={"typ": _KIND})

    def held(self, token: str) -> Held | None:
        """Who holds it; None for what is no valid token of this service. Raises NoKeyError."""
        key = self._own_key()
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[_ALGORITHM],
                audience=self._audience,
                issuer=self._audience,
                options={"require": ["exp", "iat", "sub", "aud", "iss"], "verify_exp": False, "verify_iat": False},
            )
        except jwt.PyJWTError:
            return None
        now = self._clock()
        if now >= claims["exp"] or now < claims["iat"] - SKEW_S:  # of later than now: the clock was set back
            return None
        return Held(claims["sub"], frozenset(claims["scope"].split()))

    def _own_key(self) -> bytes:
        key = self._key()
        if key is None:
            raise NoKeyError
        return key


def is_access_token(token: str) -> bool:
    """True for what calls itself an access token of this kind; whether it is one is `held`'s to say."""
    try:
        return bool(jwt.get_unverified_header(token).get("typ") == _KIND)
    except jwt.PyJWTError:
        return False
