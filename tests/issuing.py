"""CDS clients that sign tokens, and the clock that they and the service go by."""

import base64
import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, EllipticCurve, generate_private_key
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from cds_service.auth.clients import TrustedClients, parse_trusted_clients
from cds_service.auth.jwks import PublishedKeys
from cds_service.auth.replay import SeenTokens
from cds_service.auth.tokens import Authenticator, Caller, Reason, UnauthorizedError

NOW = 1_795_521_600  # 2026-11-24 12:00 UTC
ISS = "https://ehr.example.org"
JKU = "https://ehr.example.org/jwks.json"
FHIR = "https://ehr.example.org/fhir"
URL = "https://payer.example.org/cds-services/order-sign-crd"
Json = dict[str, Any]


class Clock:
    """A clock that stands until it is set."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time it is set to."""
        return self.now


@cache
def elliptic(name: str = "one", curve: type[EllipticCurve] = SECP384R1) -> Any:
    """A private key, the same for the same name."""
    return generate_private_key(curve())


@cache
def rsa(name: str = "one", bits: int = 2048) -> Any:
    """A private key, the same for the same name."""
    return generate_rsa(65537, bits)


P256 = SECP256R1


def jwk(private_key: Any, kid: str, **members: Any) -> Json:
    """The public half as a JSON Web Key, with these members."""
    kind = RSAAlgorithm if hasattr(private_key.public_key().public_numbers(), "n") else ECAlgorithm
    found: Json = kind.to_jwk(private_key.public_key(), as_dict=True)
    found.pop("key_ops", None)
    return {**found, "kid": kid, **members}


def key_set(**keys: Any) -> Json:
    """A key set: private keys by `kid`, of which it has the public halves."""
    return {"keys": [jwk(key, kid) for kid, key in keys.items()]}


def registration(**members: Any) -> Json:
    """An entry of the clients' file with inline keys `ec` and `rsa`; None takes a member away."""
    whole = {"iss": ISS, "jwks": key_set(ec=elliptic(), rsa=rsa()), "fhir_servers": [FHIR], "dialect": "2.2", **members}
    return {name: value for name, value in whole.items() if value is not None}


def registered(*entries: Json) -> TrustedClients:
    """The registered clients, the usual one by default."""
    return parse_trusted_clients(json.dumps(entries or (registration(),)).encode())


def claims(**members: Any) -> Json:
    """Good claims with these members; None takes one away."""
    whole = {"iss": ISS, "aud": URL, "iat": NOW, "exp": NOW + 300, "jti": "token-1", **members}
    return {name: value for name, value in whole.items() if value is not None}


def signed(key: Any = None, algorithm: str = "ES384", header: Mapping[str, Any] | None = None, **members: Any) -> str:
    """The Authorization header of a token with these claims; its `kid` is that of the usual key of the algorithm."""
    usual = rsa() if algorithm.startswith("RS") else elliptic()
    head = {"kid": "rsa" if algorithm.startswith("RS") else "ec", **(header or {})}
    return "Bearer " + jwt.encode(claims(**members), key or usual, algorithm=algorithm, headers=head)


def part(value: Json | bytes) -> str:
    """A part of a token: the JSON in base64url."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed_by_hand(header: Json | bytes, payload: Json | bytes) -> str:
    """The Authorization header of a token with these very bytes, well signed by ES384."""
    message = f"{part(header)}.{part(payload)}"
    signature = ECAlgorithm(ECAlgorithm.SHA384).sign(message.encode(), elliptic())
    return f"Bearer {message}.{part(signature)}"


class SeenInMemory:
    """Used tokens of one test."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, str], int] = {}

    def first_use(self, iss: str, jti: str, expires_at: int) -> bool:
        """True the first time."""
        if (iss, jti) in self.seen:
            return False
        self.seen[iss, jti] = expires_at
        return True

    def check(self) -> None:
        """Nothing."""


def authenticator(
    clients: TrustedClients | None = None,
    seen: SeenTokens | None = None,
    published: Mapping[str, PublishedKeys] | None = None,
    clock: Callable[[], float] | None = None,
) -> Authenticator:
    """The service's check, at NOW."""
    return Authenticator(clients or registered(), published or {}, seen or SeenInMemory(), clock or Clock())


def caller(header: str | None, url: str = URL, by: Authenticator | None = None) -> Caller:
    """Who the service says calls."""
    return (by or authenticator()).authenticate(header, url)


def refused(header: str | None, url: str = URL, by: Authenticator | None = None) -> Reason | None:
    """Why the service refuses the call; None when it does not."""
    try:
        caller(header, url, by)
    except UnauthorizedError as error:
        return error.reason
    return None
