"""What a call still lacks is read here: one parallel round, then only what earlier answers refer to.

Knows which query answers for which source, and when an answer is all there is. Whatever could not be read, in whole or
in part, ends in `Record.unread`: not read is never "nothing there".
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from cds_service.policy.facts import Stage
from fhir_mappings.asked import Asked, Needs, Reader, Wanted, users
from fhir_mappings.codes import CodeIndex
from fhir_mappings.coverage import named_coverages, unresolved_payors
from fhir_mappings.labs import LabTable
from fhir_mappings.medication import unresolved_medications
from fhir_mappings.observation import read_observation
from fhir_mappings.practitioner import unresolved_people, without_role
from fhir_mappings.prefetch import ROW_OF, ROWS, Prefetched, State
from fhir_mappings.queries import NOT_OFFERED, Query, Reply
from fhir_mappings.record import Record
from fhir_mappings.references import child, first_text, is_id, word
from fhir_mappings.servers import Server

_ROUNDS = 4  # the first, and three hops: role → practitioner → their roles → organisation
_ONE_BY_ONE = 3  # up to so many references of a type are read, more are searched by `_id`
_AT_MOST = 60  # references of a type that are followed for one call
_URL_CHARACTERS = 6000  # of the codes in one search
_SCAN = 200  # newest laboratory results that are looked through for tests without a common code


class _Ask(NamedTuple):
    """One query with what it answers for: a resource type, a test, or a reference."""

    query: Query
    source: str = ""  # unread where the answer is not whole; empty where what is left unresolved tells
    test: str = ""
    wanted: Wanted | None = None


def test_source(test: str) -> str:
    """The name of a test's source in Facts.unread."""
    return f"result/{test}"


class Reads:
    """The reads of one call."""

    def __init__(self, needs: Needs, asked: Asked, record: Record, prefetched: Prefetched, codes: CodeIndex) -> None:
        self._needs, self._asked, self._record, self._prefetched, self._codes = needs, asked, record, prefetched, codes
        self._asked_for: set[str] = set()

    def complete(self, labs: LabTable, reader: Reader | None, server: Server | None, deadline: float) -> None:
        """Reads what is missing into the record and marks what stays unread."""
        asks = [*self._searches(labs), *self._tests(labs)]
        if reader is None or server is None:
            for ask in asks:
                if not _is_optional(ask):
                    self._miss(ask.source, ask.query.path, labs)
        else:
            asks += self._coverages_not_active()
            for _ in range(_ROUNDS):
                asks += self._references()
                if not asks:
                    break
                replies = reader.read_all(server, [ask.query for ask in asks], deadline)
                self._take(asks, replies, labs)
                asks = []
        self._mark_unresolved(server is not None and reader is not None)

    def _searches(self, labs: LabTable) -> Iterator[_Ask]:
        """A query for each type that the prefetch did not supply."""
        patient = (("patient", self._asked.patient_id),)
        for row in ROWS:
            state = self._prefetched.state(row.type)
            if row.type not in self._needs.types or row.type == "Observation":
                continue
            if state is State.FAILED:
                self._miss(row.source, row.type, labs)
            elif row.type == "Patient":
                if self._record.at(self._record.patient) is None and state is not State.NOTHING:
                    yield _Ask(Query(self._record.patient), row.source)
            elif row.type == "Encounter":
                encounter = f"Encounter/{self._asked.encounter_id}"
                if is_id(self._asked.encounter_id) and self._record.at(encounter) is None and state is State.ABSENT:
                    yield _Ask(Query(encounter), row.source)
            elif row.search is not None and state is State.FIRST_PAGE and row.type in self._prefetched.next_links:
                yield _Ask(Query(row.type, page=self._prefetched.next_links[row.type]), row.source)
            elif row.search is not None and state in (State.ABSENT, State.FIRST_PAGE):
                yield _Ask(Query(row.type, (*patient, *row.search, *self._by_code(row.type))), row.source)

    def _coverages_not_active(self) -> Iterator[_Ask]:
        """A look for Coverages that are over, where no active one was sent and an order does not name its own.

        Nothing is unread where it fails: the client has said that there is none.
        """
        none_sent = "Coverage" in self._needs.types and self._prefetched.state("Coverage") is State.NOTHING
        if none_sent and not all(any(named_coverages(self._record, order)) for order in self._asked.orders):
            yield _Ask(Query("Coverage", (("patient", self._asked.patient_id),)))

    def _by_code(self, kind: str) -> tuple[tuple[str, str], ...]:
        """Charges are many, and asked for by code: under any system, since that of the drug's code has many names."""
        codes = self._codes.bare_codes(self._needs.billed) if kind == "ChargeItem" else ()
        return (("code", ",".join(codes)),) if codes else ()

    def _tests(self, labs: LabTable) -> Iterator[_Ask]:
        """A query for each test, newest first with a count, so that the size of the chart does not matter.

        Tests of which laboratories use codes of their own are searched by name, which not every server can, and looked
        for among the newest laboratory results. That look serves every other test too.
        """
        state = self._prefetched.state("Observation")
        tests = self._needs.tests if "Observation" in self._needs.types else {}
        if state is State.FAILED:
            self._record.unread.update(test_source(test) for test in tests)
        if state in (State.FAILED, State.NOTHING):
            return
        if state is State.SUPPLIED and "Observation" not in self._prefetched.filtered:
            return
        newest = (("_sort", "-date,_id"),)
        patient = ("patient", self._asked.patient_id)
        scan = False
        for test, wanted in tests.items():
            by_text = labs.needs_text_search(test)
            # A Bundle that was searched by code cannot hold what has no code to search by.
            if state is State.SUPPLIED and not by_text:
                continue
            count = ("_count", str(wanted.count))
            for codes in _portions(labs.tokens(test)):
                params = (patient, ("code", codes), *newest, count)
                yield _Ask(Query("Observation", params, wanted.count), test_source(test), test, wanted)
            if by_text:
                scan = True
                by_name = (patient, ("code:text", labs.test(test).title.split()[0]), *newest, count)
                yield _Ask(Query("Observation", by_name, wanted.count), test=test)
        if scan:
            params = (patient, ("category", "laboratory"), *newest, ("_count", str(_SCAN)))
            yield _Ask(Query("Observation", params, _SCAN), test="*")

    def _references(self) -> Iterator[_Ask]:
        """Reads of what is referred to and not here, each once in a call."""
        wanted: dict[str, list[str]] = {}
        for name in self._unresolved():
            kind, _, own_id = name.partition("/")
            if name not in self._asked_for and len(wanted.setdefault(kind, [])) < _AT_MOST:
                self._asked_for.add(name)
                wanted[kind].append(own_id)
        for kind, ids in wanted.items():
            if self._prefetched.state(kind) is State.FAILED:
                continue
            if len(ids) <= _ONE_BY_ONE:
                yield from (_Ask(Query(f"{kind}/{own_id}")) for own_id in ids)
            elif ids:
                yield _Ask(Query(kind, (("_id", ",".join(ids)), ("_count", str(len(ids))))))
        roles = [name for name in self._roleless() if f"role of {name}" not in self._asked_for][:_AT_MOST]
        if roles and self._prefetched.state("PractitionerRole") not in (State.NOTHING, State.FAILED):
            self._asked_for.update(f"role of {name}" for name in roles)
            ids_text = ",".join(dict.fromkeys(name.partition("/")[2] for name in roles))
            yield _Ask(Query("PractitionerRole", (("practitioner", ids_text), ("_count", "100"))), "clinicians")

    def _unresolved(self) -> Iterator[str]:
        record, types = self._record, self._needs.types
        for order in self._asked.orders:
            reference = child(order, "medicationReference")
            name = record.name(reference.get("reference")) if reference else None
            if name is not None and record.target(order, reference) is None:
                yield name
            if "Coverage" in types:
                yield from (name for name in named_coverages(record, order) if record.at(name) is None)
            if "Practitioner" in types:
                yield from unresolved_people(record, order, self._users(), self._codes)
        if "MedicationRequest" in types:
            yield from unresolved_medications(record)
        if "Coverage" in types:
            yield from unresolved_payors(record)

    def _roleless(self) -> Iterator[str]:
        if "PractitionerRole" in self._needs.types:
            for order in self._asked.orders:
                yield from without_role(self._record, order, self._users(), self._codes)

    def _users(self) -> tuple[str, ...]:
        return users(self._asked)

    def _take(self, asks: Sequence[_Ask], replies: Sequence[Reply], labs: LabTable) -> None:
        """Keeps what came, and marks the sources of which not all came."""
        scan = next((reply for ask, reply in zip(asks, replies, strict=True) if ask.test == "*"), None)
        for ask, reply in zip(asks, replies, strict=True):
            self._record.add_all(reply.resources)
            if reply.failure in NOT_OFFERED and _is_optional(ask):
                continue
            if reply.failure is not None:
                self._record.failures[ask.source or ask.query.path.partition("/")[0]] = reply.failure
            if reply.broken and ask.source:
                names = [ask.query.path.partition("/")[0]] * reply.broken
                self._record.broken.setdefault(ask.source, []).extend(names)
            if not ask.source:
                continue
            whole = reply.failure is None and not reply.more
            if not whole and not (ask.wanted is not None and _decided(ask, reply, labs)):
                self._miss(ask.source, ask.query.path, labs)
        if scan is not None and (scan.failure is not None or scan.more):
            self._mark_unscanned(labs)

    def _miss(self, source: str, kind: str, labs: LabTable) -> None:
        """Notes that this type was not, or not wholly, read."""
        if source:
            self._record.unread.add(source)
        if kind == "DiagnosticReport":  # a report can hold a result that no Observation has
            self._record.unread.update(test_source(test) for test in self._needs.tests if labs.test(test).in_reports)

    def _mark_unscanned(self, labs: LabTable) -> None:
        """A test that only its name finds is unread when not all could be looked through and none was found."""
        found = {
            result.test for resource in self._record.of("Observation") for result in read_observation(resource, labs)
        }
        for test in self._needs.tests:
            if labs.needs_text_search(test) and test not in found:
                self._record.unread.add(test_source(test))

    def _mark_unresolved(self, asked: bool) -> None:
        """Marks the sources whose references lead to what is not here."""
        record, types = self._record, self._needs.types
        if "MedicationRequest" in types and any(True for _ in unresolved_medications(record, named=False)):
            record.unread.add("treatments")
        if "Practitioner" not in types:
            return
        for order in self._asked.orders:
            for name in unresolved_people(record, order, self._users(), self._codes):
                if self._prefetched.state(name.partition("/")[0]) is not State.NOTHING:
                    record.unread.add("clinicians")
        if not asked and self._prefetched.state("PractitionerRole") is State.ABSENT and any(self._roleless()):
            record.unread.add("clinicians")


def _is_optional(ask: _Ask) -> bool:
    row = ROW_OF.get(ask.query.path)
    return row is not None and row.optional


def _portions(tokens: Sequence[str]) -> Iterator[str]:
    """The tokens in lists that fit into a URL: Jetty, Tomcat and nginx stop at a request line of 8 KiB."""
    portion: list[str] = []
    size = 0
    for token in tokens:
        if portion and size + len(token) > _URL_CHARACTERS:
            yield ",".join(portion)
            portion, size = [], 0
        portion.append(token)
        size += len(token) + 3  # the comma, and the bar that becomes %7C
    if portion:
        yield ",".join(portion)


def _decided(ask: _Ask, reply: Reply, labs: LabTable) -> bool:
    """True when what was read of a test is enough although the server has more.

    That is so where the newest result decides, the server did sort, and a final result is among those that came.
    """
    if ask.wanted is None or ask.wanted.since is None or reply.failure is not None or not _newest_first(reply):
        return False
    return any(
        result.test == ask.test and result.stage is Stage.FINAL
        for resource in reply.resources
        for result in read_observation(resource, labs)
    )


def _newest_first(reply: Reply) -> bool:
    days = [
        first_text(
            word(resource, "effectiveDateTime"),
            word(resource, "effectiveInstant"),
            word(child(resource, "effectivePeriod"), "start"),
        )[:10]
        for resource in reply.resources
    ]
    known = [day for day in days if day]
    return all(earlier >= later for earlier, later in pairwise(known))
