"""What a client was told under an assertion id: the ledger's decision, as a DTR package needs it."""

from collections.abc import Callable

from cds_service.dtr.package import Known, UnknownJustNowError
from cds_service.ledger.ledger import Ledger
from cds_service.ledger.lookup import LedgerAwayError
from cds_service.policy.reasons import Outcome
from hooks.service import Caller


def known_by(ledger: Ledger) -> Callable[[str, Caller], Known | None]:
    """A function: what that caller was told under that id; None for what it was not. Raises UnknownJustNowError."""

    def lookup(assertion_id: str, caller: Caller) -> Known | None:
        try:
            found = ledger.reader.answered(assertion_id, caller.name)
        except LedgerAwayError:
            raise UnknownJustNowError from None
        if found is None:
            return None
        return Known(found.policy, found.drug, found.version, Outcome(found.outcome), found.facts)

    return lookup
