"""G5: what a call's token costs over the bare check of its signature, in one process."""

import secrets
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from bench.bodies import PUBLIC_URL
from bench.stage import HOOK, Stage
from bench.table import Row
from cds_service.auth import Authenticator, build_authenticator
from hooks.wire import encode

_ISS = "https://ehr.example"
_DECODING_US = 150.0  # what a JWT library's own decoding is given
_AUDIENCE = f"{PUBLIC_URL}{HOOK}"


def measure(stage: Stage) -> Iterator[Row]:
    """Both algorithms, with the replay store that the service has by default."""
    for name, key in (
        ("ES384", ec.generate_private_key(ec.SECP384R1())),
        ("RS384", rsa.generate_private_key(public_exponent=65537, key_size=2048)),
    ):
        authenticator = _authenticator(stage.folder / f"tokens-{name}", name, key)
        whole, bare = [], []
        for _ in range(stage.rounds(7)):
            tokens = [_token(name, key) for _ in range(stage.calls(60))]
            whole.append(_each(partial(_authenticated, authenticator), tokens))
            bare.append(_each(_signature_check(name, key), tokens))
        values = tuple(above / (below + _DECODING_US) for above, below in zip(whole, bare, strict=True))
        remark = f"{sorted(whole)[len(whole) // 2]:.0f} over {sorted(bare)[len(bare) // 2]:.0f} µs"
        yield Row("G5", f"{name} token over the bare check and 150 µs", "×", values, 1.15, 3.0, remark)


def _authenticated(authenticator: Authenticator, token: str) -> object:
    return authenticator.authenticate(f"Bearer {token}", _AUDIENCE)


def _authenticator(folder: Path, name: str, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> Authenticator:
    folder.mkdir(parents=True)
    public = key.public_key()
    jwk = (ECAlgorithm if name == "ES384" else RSAAlgorithm).to_jwk(public, as_dict=True)  # type: ignore[arg-type]
    clients = folder / "clients.json"
    keys = {"keys": [{**jwk, "kid": "k1", "alg": name, "use": "sig"}]}
    clients.write_bytes(encode([{"iss": _ISS, "jwks": keys, "fhir_servers": [], "dialect": "2.2"}]))
    return build_authenticator(clients, folder, "")


def _token(name: str, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    now = int(datetime.now(UTC).timestamp())
    claims = {"iss": _ISS, "aud": _AUDIENCE, "iat": now, "exp": now + 300, "jti": secrets.token_hex(16)}
    return jwt.encode(claims, key, algorithm=name, headers={"kid": "k1", "typ": "JWT"})


def _signature_check(name: str, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> Callable[[str], object]:
    algorithm = jwt.get_algorithm_by_name(name)
    public = key.public_key()

    def check(token: str) -> bool:
        signed, _, signature = token.rpartition(".")
        return algorithm.verify(signed.encode(), public, jwt.utils.base64url_decode(signature))

    return check


def _each(step: Callable[[str], object], tokens: list[str]) -> float:
    """Microseconds of one, the middle of all."""
    found = []
    for token in tokens:
        started = time.perf_counter()
        if not step(token):
            raise RuntimeError("a good token was refused")
        found.append(1e6 * (time.perf_counter() - started))
    return sorted(found)[len(found) // 2]
