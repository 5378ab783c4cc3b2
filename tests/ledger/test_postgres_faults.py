"""A PostgreSQL that is frozen, locked or gone."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.fernet import Fernet
from entries import QUICK, entry, keep, opened, soon, until
from looks import count
from sqlalchemy import make_url, text

from cds_service.ledger.ledger import Ledger
from cds_service.ledger.schema import authorization, decision


class Link:
    """A line to the server that can be frozen (it accepts and says nothing) or cut."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._flows = _flowing()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        """From now on nothing comes through."""
        self._flows.clear()

    def thaw(self) -> None:
        """What was held back comes through, and all that follows."""
        self._flows.set()

    def forget(self) -> None:
        """What is open stays frozen for good; new connections come through."""
        self._flows.clear()
        self._flows = _flowing()

    def cut(self) -> None:
        """Every connection is closed."""
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Ends it."""
        self._listener.close()
        self.thaw()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._to)
                self._open += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, given: socket.socket, to: socket.socket) -> None:
        flows = self._flows
        with contextlib.suppress(OSError):
            while data := given.recv(65_536):
                flows.wait()
                to.sendall(data)
        for one in (given, to):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def _flowing() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


@pytest.fixture
def link(postgres_url: str) -> Iterator[Link]:
    """A line to the test server."""
    url = make_url(postgres_url)
    found = Link(url.host or "127.0.0.1", url.port or 5432)
    yield found
    found.close()


@pytest.fixture
def linked_url(postgres_url: str, link: Link) -> str:
    """The test database over the line."""
    return make_url(postgres_url).set(host="127.0.0.1", port=link.port).render_as_string(hide_password=False)


def at_once(ledger: Ledger) -> bool:
    """True when an entry is refused at once."""
    began = time.monotonic()
    (receipt,) = ledger.record((entry("again"),), soon())
    return not receipt.recorded and time.monotonic() - began < 0.05


def test_frozen_in_the_midst(link: Link, linked_url: str) -> None:
    """Forty callers are answered in time, the next ones at once, and it serves again after the thaw."""
    with opened(linked_url) as ledger:
        keep(ledger, entry("before"))
        link.freeze()
        began = time.monotonic()
        with ThreadPoolExecutor(40) as pool:
            receipts = list(pool.map(lambda n: ledger.record((entry(str(n)),), soon())[0].recorded, range(40)))
        assert not any(receipts)
        assert time.monotonic() - began < QUICK.patience_s + 0.5
        assert until(lambda: at_once(ledger), 1.0)
        assert not ledger.ready()
        link.thaw()
        assert until(ledger.ready)
        keep(ledger, entry("after"))


def test_frozen_forms(link: Link, linked_url: str) -> None:
    """Kept forms are looked for no longer than a caller may wait, and kept no longer than a person may."""
    with opened(linked_url, seal_keys=Fernet.generate_key().decode()) as ledger:
        assert ledger.forms.keep("ehr", "patient", "member", {"id": "kept"})
        link.freeze()
        began = time.monotonic()
        assert not ledger.forms.of("ehr", "patient", soon()).is_whole
        assert ledger.forms.of("other", "patient", soon()).is_whole
        assert not ledger.forms.of("ehr", "patient", soon(0.0)).is_whole
        assert time.monotonic() - began < 2 * QUICK.patience_s + 0.2
        link.thaw()
        assert until(lambda: bool(ledger.forms.of("ehr", "patient", soon()).forms))


def test_frozen_while_nobody_calls(link: Link, linked_url: str) -> None:
    """Readiness tells of it, and comes back after the thaw."""
    with opened(linked_url) as ledger:
        link.freeze()
        assert until(lambda: not ledger.ready(), 3.0)
        assert at_once(ledger)
        link.thaw()
        assert until(ledger.ready)


def test_a_line_that_never_comes_back(link: Link, linked_url: str) -> None:
    """When the server can be reached on a new connection only, the dead one is given up."""
    with opened(linked_url) as ledger:
        keep(ledger, entry("before"))
        link.forget()
        assert not ledger.record((entry("lost"),), soon())[0].recorded
        assert until(ledger.ready)
        keep(ledger, entry("after"))


def test_frozen_from_the_start(link: Link, linked_url: str) -> None:
    """A server that accepts and says nothing keeps the start from being ready, and serves when it wakes."""
    link.freeze()
    ledger = Ledger(linked_url, service_version="0.0", limits=QUICK)
    assert not ledger.start(0.1)
    began = time.monotonic()
    assert not ledger.record((entry(),), soon())[0].recorded
    assert time.monotonic() - began < QUICK.patience_s + 0.1
    assert until(lambda: at_once(ledger), 2.0)
    link.thaw()
    assert until(ledger.ready)
    keep(ledger, entry())
    ledger.close()


def test_a_number_asked_for_on_a_frozen_line(link: Link, linked_url: str) -> None:
    """Whoever was told nothing hears one number when it is back, the same each time."""
    with opened(linked_url) as ledger:
        link.freeze()
        assert ledger.record((entry(wants_number=True),), soon())[0].number == ""
        link.thaw()
        assert until(ledger.ready)
        numbers = {keep(ledger, entry(wants_number=True))[0].number for _ in range(3)}
        assert len(numbers) == 1
        assert count(ledger, authorization) == 1


def test_a_lost_connection_costs_no_receipt(link: Link, linked_url: str) -> None:
    """When the server was restarted in between, the entry is written on a new connection, once."""
    with opened(linked_url) as ledger:
        for n in range(5):
            keep(ledger, entry(str(n)))
            link.cut()
        keep(ledger, entry("last"))
        assert count(ledger, decision) == 6


def test_tables_that_another_has_locked(postgres_url: str) -> None:
    """Callers are answered in time, the next ones at once, and it serves again when the lock is gone."""
    with opened(postgres_url) as ledger:
        with ledger.database.connect_patiently() as holder, holder.begin():
            holder.execute(text("LOCK TABLE decision IN EXCLUSIVE MODE"))
            began = time.monotonic()
            assert not ledger.record((entry(),), soon())[0].recorded
            assert time.monotonic() - began < QUICK.patience_s + 0.1
            assert until(lambda: at_once(ledger), 1.0)
            time.sleep(0.5)
            assert not ledger.ready()
        assert until(ledger.ready)
        keep(ledger, entry())


def test_a_read_only_server(postgres_url: str) -> None:
    """A standby that only reads is away, and serves when it is promoted."""
    with opened(postgres_url) as ledger:
        name = make_url(postgres_url).database
        with ledger.database.connect_patiently() as connection, connection.begin():
            connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
        standby = Ledger(postgres_url, service_version="0.0", limits=QUICK)
        assert not standby.start(2.0)
        assert at_once(standby)
        with ledger.database.connect_patiently() as connection, connection.begin():
            connection.execute(text("SET TRANSACTION READ WRITE"))
            connection.execute(text(f"ALTER DATABASE {name} RESET default_transaction_read_only"))
        assert until(standby.ready)
        keep(standby, entry())
        standby.close()
