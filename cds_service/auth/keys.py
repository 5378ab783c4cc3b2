"""Public keys of CDS clients: JSON Web Keys (RFC 7517) in, keys that check a signature out.

Two kinds are taken, as CDS Hooks 2.0 recommends: EC P-384 for ES384 and RSA of 2048 bits and more for RS384. A key is
bound to its algorithm here, from its own type, so that a token cannot choose how it is checked (RFC 8725 §2.1, §3.1).
"""

import re
from collections.abc import Iterator, Mapping
from enum import Enum

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from jwt.exceptions import InvalidKeyError
from msgspec import Struct


class Algorithm(Enum):
    """How a token may be signed."""

    ES384 = "ES384"
    RS384 = "RS384"


_TYPE_OF = {"EC": Algorithm.ES384, "RSA": Algorithm.RS384}
_EC = ECAlgorithm(ECAlgorithm.SHA384, SECP384R1)
_RSA = RSAAlgorithm(RSAAlgorithm.SHA384)
# RFC 7518 §6.2.2, §6.3.2 and §6.4: what only the owner of a key may have.
_PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
_NUMBERS = {"EC": ("x", "y"), "RSA": ("n", "e")}
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")
# Above these a check costs many times what it should: a registered client could hold the service up with them.
_LARGEST_RSA_BITS = 8192
_LARGEST_EXPONENT_BITS = 64
_LONGEST_KID = 256


class KeyRefusedError(ValueError):
    """A key that cannot be used: the member at fault and what was expected there, never what was found."""

    def __init__(self, path: str, expected: str) -> None:
        super().__init__(f"{path}: expected {expected}")
        self.path = path
        self.expected = expected


class Key(Struct, frozen=True):
    """A public key, parsed once, with the one algorithm it may be used for."""

    kid: str
    algorithm: Algorithm
    public: EllipticCurvePublicKey | RSAPublicKey

    def signed(self, message: bytes, signature: bytes) -> bool:
        """True when the owner of this key signed the message."""
        if isinstance(self.public, RSAPublicKey):
            return _RSA.verify(message, self.public, signature)
        return _EC.verify(message, self.public, signature)


class KeySet:
    """The keys of one client by `kid`; one `kid` may name a key of each type (RFC 7517 §4.5)."""

    def __init__(self, keys: Iterator[Key] | tuple[Key, ...]) -> None:
        self._by_kid: dict[str, dict[Algorithm, Key | None]] = {}
        for key in keys:
            named = self._by_kid.setdefault(key.kid, {})
            # Two keys of one name and type: neither is sure to be the one that was meant.
            named[key.algorithm] = None if key.algorithm in named else key

    def __contains__(self, kid: str) -> bool:
        """True when a key has that name, of whichever type."""
        return kid in self._by_kid

    def find(self, kid: str, algorithm: Algorithm) -> Key | None:
        """The key of that name for that algorithm."""
        return self._by_kid.get(kid, {}).get(algorithm)


def parse_keys(document: object, path: str) -> KeySet:
    """The keys of a set that a person wrote down. Raises KeyRefusedError for the first one that cannot be used."""
    found: list[Key] = []
    for index, given in enumerate(_members(document, path)):
        key = parse_key(given, f"{path}.keys[{index}]")
        if any((key.kid, key.algorithm) == (one.kid, one.algorithm) for one in found):
            raise KeyRefusedError(f"{path}.keys[{index}].kid", "a name that no other key of this type has")
        found.append(key)
    if not found:
        raise KeyRefusedError(f"{path}.keys", "at least one key")
    return KeySet(tuple(found))


def usable_keys(document: object) -> KeySet:
    """The keys of a fetched set that can be used; others are passed over, as RFC 7517 §5 asks.

    Raises KeyRefusedError for what is no key set at all.
    """

    def usable() -> Iterator[Key]:
        for given in _members(document, "$"):
            try:
                yield parse_key(given, "$")
            except KeyRefusedError:
                continue

    return KeySet(usable())


def _members(document: object, path: str) -> list[object]:
    if not isinstance(document, Mapping) or not isinstance(document.get("keys"), list):
        raise KeyRefusedError(path, "a JSON Web Key Set: an object with an array `keys`")
    keys: list[object] = document["keys"]
    return keys


def parse_key(given: object, path: str) -> Key:
    """The key of one JSON Web Key. Raises KeyRefusedError."""
    if not isinstance(given, Mapping):
        raise KeyRefusedError(path, "a JSON Web Key: an object")
    for name in _PRIVATE:
        if name in given:
            raise KeyRefusedError(f"{path}.{name}", "a public key, which has no such member; this one is private")
    kid, kind = given.get("kid"), given.get("kty")
    if not isinstance(kid, str) or not 0 < len(kid) <= _LONGEST_KID:
        raise KeyRefusedError(f"{path}.kid", f"a string of 1 to {_LONGEST_KID} characters")
    if not isinstance(kind, str) or kind not in _TYPE_OF:
        raise KeyRefusedError(f"{path}.kty", "EC or RSA")
    algorithm = _TYPE_OF[kind]
    if given.get("alg", algorithm.value) != algorithm.value:
        raise KeyRefusedError(f"{path}.alg", f"{algorithm.value}, or no such member")
    if given.get("use", "sig") != "sig":
        raise KeyRefusedError(f"{path}.use", "sig, or no such member")
    uses = given.get("key_ops", ["verify"])
    if not isinstance(uses, list) or "verify" not in uses:
        raise KeyRefusedError(f"{path}.key_ops", "an array with verify, or no such member")
    for name in _NUMBERS[kind]:
        number = given.get(name)
        if not isinstance(number, str) or not _BASE64URL.fullmatch(number):
            raise KeyRefusedError(f"{path}.{name}", "a number in base64url")
    public = _elliptic(given, path) if kind == "EC" else _rsa(given, path)
    return Key(kid, algorithm, public)


def _elliptic(given: Mapping[str, object], path: str) -> EllipticCurvePublicKey:
    if given.get("crv") != "P-384":
        raise KeyRefusedError(f"{path}.crv", "P-384")
    try:
        found = ECAlgorithm.from_jwk(dict(given))
    except (InvalidKeyError, ValueError, UnsupportedAlgorithm):
        found = None
    if not isinstance(found, EllipticCurvePublicKey) or not isinstance(found.curve, SECP384R1):
        raise KeyRefusedError(path, "a point of the curve P-384, 48 bytes each for x and y")
    return found


def _rsa(given: Mapping[str, object], path: str) -> RSAPublicKey:
    try:
        found = RSAAlgorithm.from_jwk(dict(given))
    except (InvalidKeyError, ValueError, UnsupportedAlgorithm):
        found = None
    # The library's own lower bound (NIST SP 800-131A), which it only warns of where it is not made to refuse.
    if not isinstance(found, RSAPublicKey) or _RSA.check_key_length(found) is not None:
        raise KeyRefusedError(f"{path}.n", "an RSA key of 2048 bits or more")
    if found.key_size > _LARGEST_RSA_BITS:
        raise KeyRefusedError(f"{path}.n", f"an RSA key of at most {_LARGEST_RSA_BITS} bits")
    if found.public_numbers().e.bit_length() > _LARGEST_EXPONENT_BITS:
        raise KeyRefusedError(f"{path}.e", f"an exponent of at most {_LARGEST_EXPONENT_BITS} bits")
    return found
