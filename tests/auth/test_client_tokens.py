"""The token of a call: what is let in, and what is refused for which reason."""

import json
import traceback

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from issuing import (
    FHIR,
    ISS,
    NOW,
    P256,
    URL,
    Clock,
    SeenInMemory,
    authenticator,
    caller,
    claims,
    elliptic,
    jwk,
    key_set,
    part,
    refused,
    registered,
    registration,
    rsa,
    signed,
    signed_by_hand,
)

from cds_service.auth.clients import TrustedClients
from cds_service.auth.replay import ReplayStoreError
from cds_service.auth.tokens import Reason, UnauthorizedError


@pytest.mark.parametrize("algorithm", ["ES384", "RS384"])
def test_a_good_token_names_the_caller(algorithm: str) -> None:
    """A registered client's token gives its issuer, dialect and FHIR servers."""
    found = caller(signed(algorithm=algorithm))
    assert (found.iss, found.dialect, found.fhir_servers) == (ISS, "2.2", (FHIR,))


def test_the_scheme_may_be_written_in_any_case() -> None:
    """`bearer` is `Bearer` (RFC 9110 §11.1)."""
    assert refused(signed().replace("Bearer", "bearer")) is None


@pytest.mark.parametrize("header", [None, ""])
def test_no_header(header: str | None) -> None:
    """A call without a token is refused."""
    assert refused(header) is Reason.NO_TOKEN


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header.removeprefix("Bearer "),
        lambda header: header.replace("Bearer", "Basic"),
        lambda header: header.replace("Bearer ", "Bearer"),
        lambda header: header + " ",
        lambda header: header + "\n",
        lambda header: f"{header},{header}",
        lambda header: header + "=",
        lambda header: header + ".",
        lambda header: header.rpartition(".")[0],
        lambda header: header.rpartition(".")[0] + ".",
        lambda header: header.replace(".", "..", 1),
        lambda header: header.replace("Bearer ", "Bearer é"),
        lambda header: "Bearer x",
        lambda header: "Bearer " + ".".join(["A" * 5] * 3),
        lambda header: "Bearer " + ".".join([part(b"[]")] * 3),
        lambda header: "Bearer " + ".".join([part(b"\xff")] * 3),
        lambda header: "Bearer " + ".".join([part(b"{}" + b" " * 2700)] * 3),
    ],
)
def test_another_form_than_bearer_and_a_token(change: object) -> None:
    """Whatever is not `Bearer` and three parts in base64url is refused."""
    assert refused(change(signed())) is Reason.FORM  # type: ignore[operator]


def test_a_token_of_8_kib_is_the_largest() -> None:
    """A well-signed token is let in up to 8,192 characters."""
    room = 8192 - len(signed(note="")) + len("Bearer ")
    assert refused(signed(note="x" * (room * 3 // 4 - 4))) is None
    assert refused(signed(note="x" * (room * 3 // 4 + 4))) is Reason.FORM


def test_a_spelling_of_the_same_bytes() -> None:
    """A signature with the unused bits of its last character set is refused."""
    header = signed(algorithm="RS384")  # 256 bytes leave four bits over
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert refused(header[:-1] + letters[letters.index(header[-1]) + 1]) is Reason.FORM


def test_algorithm_none() -> None:
    """A token that says it needs no signature is refused."""
    for name in ("none", "None", ""):
        assert refused(f"Bearer {part({'alg': name, 'kid': 'ec'})}.{part(claims())}.AA") is Reason.ALGORITHM


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_a_public_key_as_shared_secret() -> None:
    """HS256 with the public key as secret is refused."""
    message = f"{part({'alg': 'HS256', 'kid': 'rsa'})}.{part(claims())}"
    secret = rsa().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(message.encode(), secret)
    assert refused(f"Bearer {message}.{part(signature)}") is Reason.ALGORITHM


def test_other_signature_algorithms() -> None:
    """RS256, RS512, PS384 and ES256 are refused, well signed as they are."""
    for algorithm in ("RS256", "RS512"):
        assert refused(signed(algorithm=algorithm)) is Reason.ALGORITHM
    assert refused(signed(rsa(), "PS384", {"kid": "rsa"})) is Reason.ALGORITHM
    assert refused(signed(elliptic("small", P256), "ES256")) is Reason.ALGORITHM


@pytest.mark.parametrize("algorithm", [None, 5, ["ES384"], {"ES384": 1}, "es384"])
def test_an_algorithm_that_is_no_name(algorithm: object) -> None:
    """`alg` in another type or case is refused."""
    assert refused(signed_by_hand({"alg": algorithm, "kid": "ec"}, claims())) is Reason.ALGORITHM


def test_the_type_of_a_key_decides_its_algorithm() -> None:
    """An RSA key's name under ES384, and the other way round, finds no key."""
    assert refused(signed(algorithm="ES384", header={"kid": "rsa"})) is Reason.KEY
    assert refused(signed(algorithm="RS384", header={"kid": "ec"})) is Reason.KEY


@pytest.mark.parametrize("extension", [{"crit": ["exp"]}, {"crit": []}, {"b64": False}, {"typ": "at+jwt"}, {"typ": 1}])
def test_header_members_that_change_the_meaning(extension: dict[str, object]) -> None:
    """A critical extension, an unencoded payload and a token of another type are refused."""
    assert refused(signed_by_hand({"alg": "ES384", "kid": "ec", **extension}, claims())) is Reason.FORM


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        (b'{"alg":"ES384","kid":"ec","kid":"ec"}', None),
        (b'{"alg":"none","alg":"ES384","kid":"ec"}', None),
        (None, b'{"iss":"https://evil.example","iss":"https://ehr.example.org"}'),
        (None, json.dumps(claims())[:-1].encode() + b',"jti":"token-2"}'),
        (None, b'{"exp":NaN}'),
        (None, b'{"exp":1e99999999999999999999}'),
        (None, b"[" * 2800 + b"]" * 2800),
        (None, b"not json"),
        (None, b'["an array"]'),
    ],
)
def test_json_with_more_than_one_reading(header: bytes | None, payload: bytes | None) -> None:
    """A member written twice, NaN, a number out of range and what is no object are refused, in header and payload."""
    assert refused(signed_by_hand(header or {"alg": "ES384", "kid": "ec"}, payload or claims())) is Reason.FORM


@pytest.mark.parametrize("iss", [None, "", 5, [ISS], "https://EHR.example.org", ISS + "/", "https://other.example.org"])
def test_an_issuer_that_is_not_registered(iss: object) -> None:
    """The issuer must be equal to a registered one to the letter."""
    assert refused(signed_by_hand({"alg": "ES384", "kid": "ec"}, claims(iss=iss))) is Reason.ISSUER


def test_without_registered_clients_every_token_is_refused() -> None:
    """No registration, no call."""
    assert refused(signed(), by=authenticator(clients=TrustedClients())) is Reason.ISSUER


@pytest.mark.parametrize("jku", ["https://evil.example/jwks.json", "", None, 5])
def test_a_key_url_that_is_not_registered(jku: object) -> None:
    """A `jku` in the token that is not the client's registered one is refused."""
    assert refused(signed(header={"jku": jku})) is Reason.KEY_URL


def test_a_key_within_the_token_is_not_used() -> None:
    """A `jwk` in the header signs nothing."""
    own = elliptic("stranger")
    assert refused(signed(own, header={"jwk": jwk(own, "ec")})) is Reason.SIGNATURE


@pytest.mark.parametrize("kid", ["", "unknown", "EC"])
def test_a_key_that_is_not_there(kid: str) -> None:
    """A `kid` that no key of the client has is refused."""
    assert refused(signed(header={"kid": kid})) is Reason.KEY


@pytest.mark.parametrize("header", [{}, {"kid": None}, {"kid": 5}, {"kid": ["ec"]}])
def test_no_key_is_named(header: dict[str, object]) -> None:
    """A token without a `kid` is refused, though the client has one key of the type."""
    assert refused(signed_by_hand({"alg": "ES384", **header}, claims())) is Reason.KEY


def test_a_client_cannot_sign_for_another() -> None:
    """A token with the issuer of one client and the key of another is refused."""
    other = registration(iss="https://other.example.org", jwks=key_set(ec=elliptic("other")))
    by = authenticator(registered(registration(), other))
    assert refused(signed(elliptic("other"), iss=ISS), by=by) is Reason.SIGNATURE
    assert refused(signed(elliptic("other"), iss="https://other.example.org"), by=by) is None


def test_a_changed_token() -> None:
    """Another payload under the same signature is refused."""
    head, _, signature = signed().split(".")
    assert refused(f"{head}.{part(claims(jti='token-2'))}.{signature}") is Reason.SIGNATURE


@pytest.mark.parametrize("signature", [b"\x00" * 96, b"\x00", b"\xff" * 96, b"x" * 500])
def test_a_signature_of_any_bytes(signature: bytes) -> None:
    """Zeros, too few and too many bytes are no signature."""
    assert refused(signed().rpartition(".")[0] + "." + part(signature)) is Reason.SIGNATURE


@pytest.mark.parametrize(
    "audience",
    [
        None,
        "",
        5,
        [],
        {},
        URL.replace("https", "http"),
        URL + "/",
        URL.upper(),
        URL + "?x=1",
        "https://payer.example.org",
        "https://payer.example.org/cds-services",
        "https://payer.example.org/cds-services/order-select-crd",
        "https://evil.example/cds-services/order-sign-crd",
        ["https://payer.example.org"],
        [URL, 5],
        [[URL]],
        {URL: URL},
    ],
)
def test_another_audience(audience: object) -> None:
    """The audience must be the URL that is called, to the letter."""
    assert refused(signed_by_hand({"alg": "ES384", "kid": "ec"}, claims(aud=audience))) is Reason.AUDIENCE


def test_one_audience_of_several() -> None:
    """An array that has the URL in it is good."""
    assert refused(signed(aud=["https://other.example.org", URL])) is None


@pytest.mark.parametrize(
    "times",
    [
        {"exp": None},
        {"iat": None},
        {"exp": str(NOW + 300)},
        {"iat": True},
        {"exp": -1},
        {"exp": 10**30},
        {"exp": NOW, "iat": NOW},
        {"exp": NOW - 1, "iat": NOW},
        {"exp": NOW + 601, "iat": NOW},
    ],
)
def test_a_life_without_bounds(times: dict[str, object]) -> None:
    """Both dates are needed, as numbers, and no more than ten minutes apart."""
    assert refused(signed_by_hand({"alg": "ES384", "kid": "ec"}, claims(**times))) is Reason.LIFETIME


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ({"iat": NOW - 359, "exp": NOW - 59}, None),
        ({"iat": NOW - 360, "exp": NOW - 60}, Reason.EXPIRED),
        ({"iat": NOW - 600, "exp": NOW}, None),
        ({"iat": NOW - 601, "exp": NOW - 1}, Reason.EXPIRED),
        ({"iat": NOW + 60, "exp": NOW + 300}, None),
        ({"iat": NOW + 61, "exp": NOW + 300}, Reason.NOT_YET),
        ({"nbf": NOW + 60}, None),
        ({"nbf": NOW + 61}, Reason.NOT_YET),
        ({"nbf": "soon"}, Reason.NOT_YET),
        ({"nbf": True}, Reason.NOT_YET),
        ({"iat": NOW + 61, "exp": NOW + 300, "nbf": NOW}, Reason.NOT_YET),
        ({"iat": NOW, "exp": NOW + 600}, None),
        ({"iat": NOW + 0.5, "exp": NOW + 300.25}, None),
    ],
)
def test_the_edges_of_a_life(times: dict[str, object], reason: Reason | None) -> None:
    """A minute of skew on each side, ten minutes of age."""
    assert refused(signed(**times)) is reason


@pytest.mark.parametrize("jti", [None, "", 5, ["x"], "x" * 257])
def test_a_token_without_a_name(jti: object) -> None:
    """`jti` must be a string of 1 to 256 characters."""
    assert refused(signed_by_hand({"alg": "ES384", "kid": "ec"}, claims(jti=jti))) is Reason.TOKEN_ID


def test_a_token_is_good_once() -> None:
    """The second call with the same token is refused, and with another one of the same `jti`."""
    by = authenticator()
    assert refused(signed(), by=by) is None
    assert refused(signed(), by=by) is Reason.USED_BEFORE
    assert refused(signed(exp=NOW + 301), by=by) is Reason.USED_BEFORE
    assert refused(signed(jti="token-2"), by=by) is None


def test_a_refused_token_is_not_used_up() -> None:
    """A token that came to the wrong place can still be used at the right one."""
    by = authenticator()
    assert refused(signed(), URL + "/feedback", by) is Reason.AUDIENCE
    assert refused(signed(), by=by) is None


def test_a_used_token_is_remembered_longer_than_it_is_good() -> None:
    """The moment from which it may be forgotten lies after the last one at which it would be let in."""
    seen = SeenInMemory()
    assert refused(signed(exp=NOW + 300.75), by=authenticator(seen=seen)) is None
    (until,) = seen.seen.values()
    last = authenticator(clock=Clock(until - 1))
    assert refused(signed(exp=NOW + 300.75), by=last) in (None, Reason.EXPIRED)
    assert refused(signed(exp=NOW + 300.75), by=authenticator(clock=Clock(until))) is Reason.EXPIRED


def test_a_store_that_cannot_tell() -> None:
    """A good token is refused when it cannot be told whether it was used, and that is the service's fault."""

    class Lost(SeenInMemory):
        def first_use(self, iss: str, jti: str, expires_at: int) -> bool:
            raise ReplayStoreError("gone")

    with pytest.raises(UnauthorizedError) as caught:
        caller(signed(), by=authenticator(seen=Lost()))
    assert caught.value.reason is Reason.STORE
    assert caught.value.is_ours


def test_only_the_store_is_the_services_fault() -> None:
    """Every other refusal is the caller's, whatever was wrong."""
    assert [reason for reason in Reason if UnauthorizedError(reason).is_ours] == [Reason.STORE]


def test_one_text_for_every_refusal() -> None:
    """Neither the text nor the traceback of a refusal has a reason or a part of the token in it."""
    header = signed(jti="marked-token-id", exp=NOW - 100, iat=NOW - 200)
    with pytest.raises(UnauthorizedError) as caught:
        caller(header)
    told = "".join(traceback.format_exception(caught.value))
    assert str(caught.value) == "a valid client token is needed"
    assert "marked-token-id" not in told
    assert not any(piece in told for piece in header.removeprefix("Bearer ").split("."))
