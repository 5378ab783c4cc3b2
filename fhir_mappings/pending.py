"""One query on its way to a FHIR server: what of it is there, what is still to be asked, and why it failed."""

import time

from fhir_mappings.answers import FailedError, Page
from fhir_mappings.connections import Use
from fhir_mappings.queries import Failure, Query, Reply
from fhir_mappings.references import Json
from fhir_mappings.servers import Server, page_url


class Budget:
    """The bytes that are left to a round."""

    def __init__(self, size: int) -> None:
        self.left = size

    def spend(self, size: int) -> None:
        """Takes `size` away. Raises when there is not so much left."""
        self.left -= size  # two threads may race here: it bounds a flood and is no account
        if self.left < 0:
            raise FailedError(Failure.TOO_LARGE)


class PendingRead:
    """One query under way: what it has so far can be taken at any moment."""

    def __init__(self, server: Server, query: Query, deadline: float, budget: Budget) -> None:
        self.server, self.query, self.deadline, self.budget = server, query, deadline, budget
        self.url = query.url(server.base)  # of what is to be asked next
        self.resources: list[Json] = []
        self.failure: Failure | None = None
        self.pages = self.broken = 0
        self.more = False
        self.is_late = False  # not back at the deadline
        self.is_unconnected = False  # not even a connection, or a gateway said so
        self.use = Use()
        if self.url is None:
            self.failure = Failure.FOREIGN_PAGE if query.page else Failure.NOT_ASKED

    @property
    def is_open(self) -> bool:
        """Whether there is anything left to ask."""
        return self.url is not None and not self.is_late

    @property
    def failed(self) -> Failure | None:
        """Why it is not, or not wholly, read."""
        return Failure.TIMEOUT if self.is_late else self.failure

    def remaining(self) -> float:
        """Seconds left. Raises when there are none."""
        left = self.deadline - time.monotonic()
        if left <= 0.001:
            raise FailedError(Failure.TIMEOUT)
        return left

    def take(self, page: Page, most_pages: int) -> None:
        """Keeps a page and turns to the next one, where more is wanted. Raises where that lies elsewhere."""
        asked, self.url = self.url or "", None
        self.resources += page.resources
        self.broken += page.broken
        self.failure = Failure.OUTCOME if page.is_faulty else self.failure
        self.more = page.following is not None
        self.pages += 1
        if self.more and len(self.resources) < self.query.most and self.pages < most_pages:
            self.url = page_url(self.server.base, asked, page.following)
            if self.url is None:
                raise FailedError(Failure.FOREIGN_PAGE)

    def fail(self, why: Failure) -> None:
        """Asks no more, for this reason."""
        self.failure, self.url = why, None

    def reply(self) -> Reply:
        """What it has so far."""
        failure = self.failed
        resources, more = list(self.resources), self.more or self.is_late
        return Reply(resources, failure, more or (failure is not None and bool(resources)), self.broken)
