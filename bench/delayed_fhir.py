"""A FHIR server that answers late and counts: `python -m bench.delayed_fhir PORT`.

Its base is `http://127.0.0.1:PORT/<delay in ms>`: every answer goes out that long after its request came in, to a
batch of reads too. What it
knows: the story's patient of bodies.py with the demo's own searches, and the same patient with thousands of results
under the ids of CHARTS. Answers are made once and kept, so that the time measured is not its own. One thread for each
connection, which is kept open.
"""

import itertools
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any
from urllib.parse import parse_qsl

from bench.bodies import STORY, story
from bench.processes import HOST
from bench.unrelated import RESULTS, observation
from cds_service.demo.server import Call, answer
from cds_service.demo.store import Store
from hooks.wire import decode, encode

Json = dict[str, Any]

CHARTS = {  # patient id → results beside the story's own
    "bench-chart-000010": 10,
    "bench-chart-000100": 100,
    "bench-chart-001000": 1_000,
    "bench-chart-010000": 10_000,
    "bench-chart-100000": 100_000,
}
_PLATELETS_EVERY = 50  # so many of those are platelet counts, which the policy asks for
_DAYS = 3000  # over which the results are spread


class Records:
    """What the server knows, and the answers that it has made."""

    def __init__(self) -> None:
        self._store = Store()
        told = story()
        whole = encode(told.resources)
        for patient_id in (told.id, *CHARTS):
            for resource in decode(whole.replace(told.id.encode(), patient_id.encode())):
                self._store.put(resource)
        self._platelets = self._store.get("Observation", f"{STORY}-platelets")
        self._today = datetime.now(UTC).date()
        self._made: dict[str, tuple[int, bytes]] = {}

    def answer(self, base: str, target: str) -> tuple[int, bytes]:
        """Status and body."""
        made = self._made.get(target)
        if made is None:
            path, _, query = target.partition("?")
            reply = answer(self._store, Call("GET", path, query, base))
            body = reply.resource or {}
            if path == "Observation" and body.get("resourceType") == "Bundle":
                self._add_results(body, dict(parse_qsl(query)), base)
            made = self._made[target] = reply.status, encode(body)
        return made

    def batch(self, base: str, sent: bytes) -> tuple[int, bytes]:
        """Status and body for a batch of reads."""
        entries = []
        for entry in decode(sent)["entry"]:
            status, body = self.answer(base, entry["request"]["url"])
            entries.append(b'{"response":{"status":"%d"},"resource":%s}' % (status, body))
        return 200, b'{"resourceType":"Bundle","type":"batch-response","entry":[%s]}' % b",".join(entries)

    def _add_results(self, bundle: Json, asked: dict[str, str], base: str) -> None:
        """Lays the long chart's results between the story's own, newest first, and cuts at the count asked for."""
        patient_id = asked.get("patient", "")
        if patient_id not in CHARTS:
            return
        most = int(asked.get("_count", "20"))
        own = [entry["resource"] for entry in bundle.get("entry", ())]
        added = list(itertools.islice(self._results(patient_id, asked), most + 1))
        found = sorted(own + added, key=lambda resource: str(resource["effectiveDateTime"]), reverse=True)
        page = [
            {"fullUrl": f"{base}/Observation/{resource['id']}", "resource": resource, "search": {"mode": "match"}}
            for resource in found[:most]
        ]
        if page:
            bundle["entry"] = page
        bundle.pop("total", None)
        if len(found) > most:
            bundle["link"].append({"relation": "next", "url": f"{base}?_getpages=more"})

    def _results(self, patient_id: str, asked: dict[str, str]) -> Iterator[Json]:
        """The long chart's results that answer to the search, newest first, made as they are asked for."""
        codes = {token.rpartition("|")[2] for token in asked.get("code", "").split(",") if token}
        category, name = asked.get("category"), asked.get("code:text", "").casefold()
        for number in range(CHARTS[patient_id]):
            is_platelets = number % _PLATELETS_EVERY == 0
            code, title, its_category = ("777-3", "Platelets", "laboratory")
            if not is_platelets:
                code, title, its_category = RESULTS[number * 7 % len(RESULTS)][:3]
            if (codes and code not in codes) or (category and category != its_category):
                continue
            if name and not title.casefold().startswith(name):
                continue
            day = self._today - timedelta(days=1 + number * _DAYS // CHARTS[patient_id])
            made = observation(patient_id, number, day)
            if is_platelets:
                same = {key: made[key] for key in ("id", "subject", "effectiveDateTime", "issued")}
                made = {**self._platelets, **same}
            yield made


class Handler(StreamRequestHandler):
    """One connection."""

    disable_nagle_algorithm = True
    root: str
    records: Records
    tally: dict[str, int]
    counting = threading.Lock()

    def handle(self) -> None:
        """Answers until the caller hangs up."""
        while line := self.rfile.readline():
            came = time.monotonic()
            length = 0
            while (header := self.rfile.readline()) not in (b"\r\n", b""):
                name, _, value = header.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            sent = self.rfile.read(length)
            head, _, target = line.split()[1].decode("ascii").removeprefix("/").partition("/")
            if head == "tally":
                self._send(200, encode(self.tally))
            elif not head.isdigit():
                self._send(200, b"{}")
            else:
                base = f"{self.root}/{head}"
                status, body = self.records.batch(base, sent) if sent else self.records.answer(base, target)
                time.sleep(max(0.0, came + int(head) / 1000 - time.monotonic()))
                with self.counting:
                    self.tally["reads"] += 1
                    self.tally["bytes"] += len(body)
                self._send(status, body)

    def _send(self, status: int, body: bytes) -> None:
        head = f"HTTP/1.1 {status} -\r\nContent-Type: application/fhir+json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)


class DelayedServer(ThreadingTCPServer):
    """The server."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    """Serves until it is told to stop."""
    Handler.records, Handler.tally = Records(), {"reads": 0, "bytes": 0}
    Handler.root = f"http://{HOST}:{sys.argv[1]}"
    with DelayedServer((HOST, int(sys.argv[1])), Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
