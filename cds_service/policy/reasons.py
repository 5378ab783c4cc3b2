"""The closed sets of words that the outside sees: statuses, reasons and outcomes."""

from enum import StrEnum


class Status(StrEnum):
    """What is said of a criterion. For an exclusion, `met` means that it has been ruled out by documentation."""

    MET = "met"
    NOT_MET = "not-met"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not-applicable"


class Reason(StrEnum):
    """Why a criterion is unknown."""

    NOT_RECORDED = "not-recorded"  # looked, nothing there
    STALE = "stale"  # found, outside the window
    PRELIMINARY = "preliminary"
    UNIT_UNKNOWN = "unit-unknown"
    IMPLAUSIBLE = "implausible"
    INCONCLUSIVE = "inconclusive"  # indeterminate, or a comparator that straddles the limit
    ATTESTED_ONLY = "attested-only"  # an answer that needs a report and has none
    REVIEW = "review"  # the record contradicts itself, or needs the plan's judgement
    NOT_RETRIEVED = "not-retrieved"  # could not be read: error, timeout, 403


class Outcome(StrEnum):
    """What is said of an order: the first that applies, in this order."""

    POLICY_NOT_APPLICABLE = "policy-not-applicable"
    CRITERIA_NOT_MET = "criteria-not-met"
    DOCUMENTATION_MISSING = "documentation-missing"
    UNDETERMINED = "undetermined"
    NEEDS_REVIEW = "needs-review"
    CRITERIA_MET = "criteria-met"
