"""A registered EHR that calls over TLS, and how long it waits."""

import socket
import ssl
import statistics
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
from jwt.algorithms import ECAlgorithm
from msgspec import Struct
from parts import DEADLINE_S, HOST
from signing import HOOK, call_of, context_of, determinations, said_of, whole_record

from cds_service.demo.stories import stories
from hooks.wire import decode, encode

Json = dict[str, Any]
ISS = "https://ehr.example"
STORY = "demo-hemgenix-met"
PATIENCE_S = 20.0


class Answer(Struct):
    """What came back, and after how long. Status 0: nothing did."""

    status: int
    body: bytes
    seconds: float

    @property
    def json(self) -> Json:
        """The body."""
        found: Json = decode(self.body)
        return found

    @property
    def number(self) -> str:
        """The authorization number; empty where there is none."""
        said = said_of(self.json)
        assert ("satisfied-pa-id" in said) == (said["pa-needed"] == ["satisfied"])
        return str(said.get("satisfied-pa-id", [""])[0])


class Ehr:
    """The EHR, with its key."""

    def __init__(self) -> None:
        self._key = generate_private_key(SECP384R1())
        self.meet("", Path())

    def meet(self, public: str, certificate: Path) -> None:
        """Learns where the service is: the forms in the chart are the service's own."""
        self.public, self.certificate = public, certificate
        self._story = next(one for one in stories(datetime.now(UTC).date(), public) if one.id == STORY)
        self._record = whole_record(self._story.resources)

    def registration(self, fhir_servers: Sequence[str]) -> Json:
        """Its entry in the file of registered clients."""
        public: Json = ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        public.pop("key_ops", None)
        return {"iss": ISS, "jwks": {"keys": [{**public, "kid": "one", "alg": "ES384"}]}, "fhir_servers": fhir_servers}

    def token(self, path: str = HOOK) -> str:
        """A token for one call."""
        now = int(time.time())
        claims = {"iss": ISS, "aud": self.public + path, "iat": now, "exp": now + 300, "jti": str(uuid.uuid4())}
        return jwt.encode(claims, self._key, algorithm="ES384", headers={"kid": "one"})

    def call(self, order_id: str = "", fhir_server: str = "", hook: str = "order-sign", **context: Any) -> bytes:
        """A call that signs this order (a new one by default), the chart sent along or to be read at that server."""
        order = {**deepcopy(self._story.order), "id": order_id or str(uuid.uuid4())}
        context = {**context_of(order, patient_id=self._story.id), **context}
        sent = {"fhirServer": fhir_server} if fhir_server else {"prefetch": self._record}
        return encode({**call_of(context), "hook": hook, **sent})

    def line(self, port: int, tls: bool = True) -> HTTPConnection:
        """A connection to that port, open."""
        connection: HTTPConnection
        if tls:
            trusted = ssl.create_default_context(cafile=str(self.certificate))
            connection = HTTPSConnection(HOST, port, timeout=PATIENCE_S, context=trusted)
        else:
            connection = HTTPConnection(HOST, port, timeout=PATIENCE_S)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def post(self, line: HTTPConnection, body: bytes, token: str = "", path: str = HOOK) -> Answer:
        """The answer to the call over this line; status 0 where the line broke."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token or self.token(path)}"}
        began = time.perf_counter()
        try:
            line.request("POST", path, body, headers)
            response = line.getresponse()
            return Answer(response.status, response.read(), time.perf_counter() - began)
        except (OSError, HTTPException):
            line.close()
            return Answer(0, b"", time.perf_counter() - began)

    def sign(self, port: int, order_id: str = "", token: str = "") -> Answer:
        """The answer to one call over a line of its own."""
        try:
            line = self.line(port)
        except OSError:
            return Answer(0, b"", 0.0)
        answer = self.post(line, self.call(order_id), token)
        line.close()
        return answer

    def get(self, port: int, path: str, tls: bool = True) -> int:
        """The status of a page; 0 where there was no answer."""
        try:
            line = self.line(port, tls)
            line.request("GET", path)
            status = line.getresponse().status
            line.close()
        except (OSError, HTTPException):
            return 0
        return status


def at_once(tasks: Sequence[Callable[[], Answer]]) -> list[Answer]:
    """The answers to all of these, begun in the same moment."""
    gate = threading.Barrier(len(tasks))

    def run(task: Callable[[], Answer]) -> Answer:
        gate.wait(PATIENCE_S)
        return task()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(run, tasks))


def outcome(answer: Answer) -> tuple[str, str]:
    """The outcome on the one guidance card, and the number; the answer must be one."""
    assert answer.status == 200, answer
    (found,) = determinations(answer.json)
    return found["outcome"], answer.number


def anew(base: str) -> str:
    """A folder of that FHIR server that nobody has asked before, so that the service knows nothing of it yet."""
    return f"{base}/{uuid.uuid4().hex}"


def p99(answers: Sequence[Answer]) -> float:
    """Seconds within which 99 of a hundred were answered."""
    assert len(answers) > 30, f"too few to tell: {len(answers)}"
    assert {answer.status for answer in answers} == {200}
    return statistics.quantiles([answer.seconds for answer in answers], n=100)[98]


def p50(answers: Sequence[Answer]) -> float:
    """Seconds within which half were answered."""
    assert {answer.status for answer in answers} == {200}
    return statistics.median(answer.seconds for answer in answers)


def sequence(ehr: Ehr, port: int, until: Callable[[int], bool], tls: bool = True) -> list[Answer]:
    """Calls one after the other over one line, until told to end by how many there were."""
    line, answers = ehr.line(port, tls), []
    while not until(len(answers)):
        answers.append(ehr.post(line, ehr.call()))
    line.close()
    return answers


LATEST_S = DEADLINE_S + 0.5  # forty clients share the cores with both instances: `make bench` holds the 50 ms
