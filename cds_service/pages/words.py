"""A policy's statements in plain words, for the policy page and for what changed between two versions."""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from msgspec import Struct

from cds_service.policy import criteria as kinds
from cds_service.policy import measured
from cds_service.policy.doses import DoseOf
from cds_service.policy.language import Expression
from cds_service.policy.policy import Question
from cds_service.policy.upper_limit import WORDS
from cds_service.policy.value_sets import ValueSet
from fhir_mappings.labs import LabTable

_HOW = {"given": "given", "stated": "stated", "dispensed": "dispensed", "ordered": "ordered", "billed": "billed"}
_POWERS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


class Said(Struct, frozen=True):
    """A statement: its words, and what belongs to them where it is made of several."""

    text: str
    parts: tuple["Said", ...] = ()

    def lines(self) -> Iterator[str]:
        """The plain statements, one a line."""
        if not self.parts:
            yield self.text
        for part in self.parts:
            yield from part.lines()


class Wording:
    """Puts the statements of one policy into words."""

    def __init__(self, questions: Mapping[str, Question], sets: Mapping[str, ValueSet], labs: LabTable) -> None:
        self._questions, self._sets, self._labs = questions, sets, labs

    def of(self, written: Expression) -> Said:
        """The statement in words."""
        for name, text in (("all", "All of:"), ("any", "Any of:"), ("told_by", "Any of these sources:")):
            parts = getattr(written, name)
            if parts is not None:
                return Said(text, tuple(self.of(part) for part in parts))
        if written.count is not None:
            return Said(f"At least {written.count.at_least} of:", tuple(self.of(part) for part in written.count.of))
        if written.not_ is not None:
            return Said("Not:", (self.of(written.not_),))
        if written.if_ is not None and written.then is not None:
            parts = [Said("When:", (self.of(written.if_),)), Said("then:", (self.of(written.then),))]
            if written.else_ is not None:
                parts.append(Said("otherwise:", (self.of(written.else_),)))
            return Said("Depending on the case:", tuple(parts))
        return Said(self._plain(next(iter(self._statements(written)))))

    def _statements(self, written: Expression) -> Iterator[kinds.Statement]:
        for name in ("age", "diagnosis", "result", "value", "answer", "treatment", "clinician", "note"):
            if (found := getattr(written, name)) is not None:
                yield found
        for name in ("criterion", "refills", "dose"):
            if (found := getattr(written, name)) is not None:
                yield found

    def _plain(self, statement: kinds.Statement) -> str:
        match statement:
            case kinds.Age():
                return self._age(statement)
            case kinds.DiagnosisOf():
                return self._diagnosis(statement)
            case measured.ResultOf():
                said = "any result" if statement.is_ == "reported" else f"{statement.is_} result"
                return f"{self._labs.test(statement.test).title}: {said}, {_when(statement)}"
            case measured.ValueOf():
                return self._value(statement)
            case kinds.AnswerTo():
                return self._answer(statement)
            case kinds.TreatmentWith():
                return self._treatment(statement)
            case kinds.ClinicianOf():
                what = f"with the specialty {self._named(statement.specialty)}" if statement.specialty else ""
                where = f"at a site of {self._named(statement.site)}" if statement.site else ""
                return " ".join(["Prescriber or consultant", *filter(None, (what, where))])
            case kinds.NoteThat():
                says = f"a note that says: {self._named(statement.says)}" if statement.says else ""
                denies = f"a note against it: {self._named(statement.denies)}" if statement.denies else ""
                return _sentence("; ".join(filter(None, (says, denies))))
            case kinds.CriterionIs():
                return f"Criterion {statement.met} is met"
            case kinds.RefillsAtMost():
                return "No refills on the order" if statement.count == 0 else f"At most {statement.count} refills"
            case DoseOf():
                labelled = (statement.fixed or statement.amounts).items()
                amounts = " or ".join(f"{_number(a)} {unit}" for unit, a in sorted(labelled))
                return f"The ordered dose is {amounts}{' per kilogram' if statement.amounts else ''}"
        return type(statement).__name__

    def _age(self, statement: kinds.Age) -> str:
        limits = []
        if statement.at_least is not None:
            limits.append(f"{statement.at_least} {statement.unit} or older")
        if statement.below is not None:
            limits.append(f"under {statement.below} {statement.unit}")
        return f"{' and '.join(limits)} on the day of the order"

    def _diagnosis(self, statement: kinds.DiagnosisOf) -> str:
        active = {None: "", "yes": " active", "no": " resolved"}[statement.active]
        certainty = "refuted" if statement.certainty == "refuted" else "confirmed"
        return f"A {certainty}{active} diagnosis: {self._named(statement.of)}"

    def _value(self, statement: measured.ValueOf) -> str:
        test = self._labs.test(statement.test)
        limits = {
            "at most": statement.at_most,
            "below": statement.below,
            "at least": statement.at_least,
            "above": statement.above,
        }
        ((compare, limit),) = [(name, limit) for name, limit in limits.items() if limit is not None]
        if statement.times is not None:
            said = WORDS if limit == 1 else f"{_number(limit)} times {WORDS}"
        else:
            said = f"{_number(limit)} {_unit(test.unit)}" if test.unit else _number(limit)
        return f"{test.title} {compare} {said}, {_when(statement)}"

    def _answer(self, statement: kinds.AnswerTo) -> str:
        question = self._questions[statement.question]
        asked = f"On the form, “{question.text}”"
        if statement.given == "yes":
            return f"{asked} is answered"
        if statement.at_least is not None:
            return f"{asked} is answered with {statement.at_least} or more"
        if statement.below is not None:
            return f"{asked} is answered with less than {statement.below}"
        codes = (statement.is_,) if isinstance(statement.is_, str) else statement.is_ or ()
        return f"{asked} is answered: {' or '.join(question.options.get(code, code) for code in codes)}"

    def _treatment(self, statement: kinds.TreatmentWith) -> str:
        how = " or ".join(word for name, word in _HOW.items() if name in statement.how)
        more = []
        if statement.regular == "yes":
            more.append("on a regular schedule")
        if statement.active is not None:
            more.append("still active" if statement.active == "yes" else "ended")
        if statement.days_at_least is not None:
            more.append(f"on at least {statement.days_at_least} days")
        if statement.within_months is not None:
            more.append(f"within {months(statement.within_months)}")
        return ", ".join([f"{self._named(statement.of)}, recorded as {how}", *more])

    def _named(self, names: frozenset[str]) -> str:
        return " or ".join(self._sets[name].title for name in sorted(names))


def _when(statement: measured.ResultOf | measured.ValueOf) -> str:
    if statement.pick == "ever" or statement.within_months is None:
        return "at any date" if statement.pick == "ever" else "the latest"
    return f"the latest within {months(statement.within_months)}"


def months(count: int) -> str:
    """`1 month`, `3 months`."""
    return "1 month" if count == 1 else f"{count} months"


def _number(number: Decimal | int) -> str:
    """The number for people: 2e13 as 2 × 10¹³."""
    written = Decimal(number)
    if written >= 10**6:
        digits, _, power = f"{written:e}".partition("e+")
        return f"{digits.rstrip('0').rstrip('.')} × 10{power.translate(_POWERS)}"
    return f"{written.normalize():f}"


def _unit(unit: str) -> str:
    return {"10*9/L": "× 10⁹/L", "/uL": "per µL", "IU/dL": "IU/dL (%)"}.get(unit, unit)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
