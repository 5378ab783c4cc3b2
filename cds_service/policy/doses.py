"""The statement that a policy makes of the ordered dose."""

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal

from msgspec import Struct

from cds_service.policy.criteria import Earlier
from cds_service.policy.dates import Months, months_before
from cds_service.policy.facts import Detail, Facts
from cds_service.policy.reasons import Reason
from cds_service.policy.said import MET, NOT_MET, UNKNOWN, Fact, Said, every, unknown

DOSE_UNITS = frozenset({"vg", "mL", "mg", "vial"})


class DoseOf(Struct, frozen=True, eq=False, forbid_unknown_fields=True):
    """The ordered dose is the labelled one: `amounts` per kilogram of body weight, or `fixed` for everybody.

    Both give the amount by unit (vg, mL, mg, vial). What is ordered in all is held against the recorded weight, and
    vials of `vial_ml` against the millilitres that they hold; a total may differ by `tolerance_percent`.
    """

    amounts: Mapping[str, Decimal] = {}
    fixed: Mapping[str, Decimal] = {}
    vial_ml: Decimal | None = None
    weight_test: str = "body_weight"
    weight_within_months: Months = 3
    tolerance_percent: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        if bool(self.amounts) == bool(self.fixed):
            raise ValueError("a dose needs amounts (per kilogram) or fixed (for everybody), one of them")
        unknown_units = sorted({*self.amounts, *self.fixed} - DOSE_UNITS)
        if unknown_units:
            known = ", ".join(sorted(DOSE_UNITS))
            raise ValueError(f"no order is read in this unit (known: {known}), found '{unknown_units[0]}'")

    def say(self, facts: Facts, earlier: Earlier) -> Said:
        verdicts = [self._one(dose, facts) for dose in facts.order.doses]
        known = [said for said in verdicts if said.truth is not UNKNOWN]
        if known:
            return every(known)
        return verdicts[0] if verdicts else unknown(Reason.NOT_RECORDED, (), ("The dose",))

    def _one(self, dose: Fact, facts: Facts) -> Said:
        low, high = dose.amount.low, dose.amount.high
        ordered = Detail(facts.order.reference, f"{dose.display} on the order")
        whole = dose.unit == "vial" and self.vial_ml is not None
        labelled = (self.fixed or self.amounts).get("mL" if whole else dose.unit)
        if labelled is None or high is None or low != high or (self.fixed and dose.per_kg):
            return unknown(Reason.NOT_RECORDED, (ordered,), ("The dose",))
        if dose.per_kg:
            return Said(MET if low == labelled else NOT_MET, None, (ordered,))
        if self.fixed:
            return self._held(low, labelled, whole, (ordered,))
        first = months_before(facts.day, self.weight_within_months)
        for weight in facts.results.get(self.weight_test, ()):
            value, dated = weight.value, weight.date
            if (
                value is not None
                and value.low == value.high
                and dated is not None
                and first <= dated.first <= facts.day
            ):
                return self._held(low, labelled * value.low, whole, (ordered, weight))
        reason = Reason.NOT_RETRIEVED if f"result/{self.weight_test}" in facts.unread else Reason.NOT_RECORDED
        return unknown(reason, (ordered,), ("The body weight",))

    def _held(self, ordered: Decimal, total: Decimal, whole: bool, shown: tuple[Fact, ...]) -> Said:
        if whole and self.vial_ml is not None:
            fits = ordered == (total / self.vial_ml).to_integral_value(ROUND_CEILING)
        else:
            fits = abs(ordered - total) * 100 <= total * self.tolerance_percent
        return Said(MET if fits else NOT_MET, None, shown)
