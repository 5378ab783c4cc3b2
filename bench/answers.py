"""Every answer to the demo's patients, in each dialect, and every finding of the policies' cases: a line each.

`python -m bench.answers > FILE`, before and after a change that should change no answer; then compare the two files.
The day is fixed. What is made anew for each answer (UUIDs) is numbered in its order.
"""

import re
import sys
import time
from collections.abc import Iterator
from datetime import date
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

from msgspec.structs import replace

from bench.bodies import PUBLIC_URL, call, prefetch
from bench.line import service_in
from cds_service.app import POLICIES
from cds_service.demo.stories import stories
from cds_service.policy.cases import read_cases, run_case
from hooks import order_sign
from hooks.answer import answer
from hooks.call import parse_call
from hooks.coverage_information import Dialect
from hooks.service import Caller, Moment, Service
from hooks.wire import encode

_DAY = date(2026, 11, 24)
_UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def answers(service: Service) -> Iterator[bytes]:
    """The lines: patient and dialect with the answer, then policy and case with the findings."""
    for story in stories(_DAY, PUBLIC_URL):
        asked = parse_call(encode(call(story, prefetch(story.resources))), order_sign.HOOK)
        for dialect in get_args(Dialect):
            moment = Moment(_DAY, time.monotonic() + 30)
            found = answer(asked, order_sign.HOOK, service, Caller(dialect=dialect), moment)
            yield b"%s %s %s" % (story.id.encode(), dialect.encode(), _numbered(encode(found)))
    for policy in service.library.policies:
        source = policy.source
        path = POLICIES / source.policy.lower() / source.drug / "cases.yaml"
        for case in (file := read_cases(path)).cases:
            said, _ = run_case(policy, file, case)
            name = f"{source.policy} {source.drug} {source.version} {case.name}"
            yield b"%s %s" % (name.encode(), encode([said.outcome, said.line, said.findings]))


def _numbered(text: bytes) -> bytes:
    """The text, each UUID in it as its number."""
    numbers, known = count(1), dict[bytes, bytes]()

    def number(found: re.Match[bytes]) -> bytes:
        if found[0] not in known:
            known[found[0]] = b"uuid-%d" % next(numbers)
        return known[found[0]]

    return _UUID.sub(number, text)


def main() -> None:
    """Writes the lines to standard output."""
    with TemporaryDirectory() as folder:
        service = replace(service_in(Path(folder)), secret=lambda: b"fixed")
        for line in answers(service):
            sys.stdout.buffer.write(line + b"\n")


if __name__ == "__main__":
    main()
