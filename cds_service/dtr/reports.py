"""How large a report on a form may be: the largest body that the service reads rules it.

An EHR may hold each report in the answer or in its document, and send all of them with the next call. A form with every
report it asks for therefore takes three quarters of a body when written inline; the last quarter is for the chart.
"""

from decimal import ROUND_DOWN, Decimal

from cds_service.policy.policy import Policy

MEGABYTE = 1024 * 1024
_HUNDREDTH = Decimal("0.01")


def largest_report_mb(policy: Policy, largest_body: int) -> Decimal:
    """The megabytes that each report may have at most, rounded down to a hundredth; `largest_body` is in bytes."""
    reports = sum(1 for question in policy.questions if question.type == "attachment")
    inline = Decimal(largest_body * 3 // 4)
    each = inline * 3 / 4 / max(reports, 1) / MEGABYTE  # base64: four characters for three bytes
    return Decimal(f"{each.quantize(_HUNDREDTH, ROUND_DOWN):f}".rstrip("0").rstrip("."))
