"""What a DTR client can fill in by itself from the chart: FHIRPath over what an `x-fhir-query` finds (SDC populate).

Only where FHIRPath says it without loss: the newest final number inside the policy's window, in the form's own unit,
with its day. Words of a result, statements and diagnoses take terminology and are left to CQL; what this service knows
of them comes with the draft.
"""

from collections.abc import Iterator
from typing import Any

from cds_service.dtr.names import CORE, SDC
from cds_service.policy.compiled import CompiledPolicy
from cds_service.policy.policy import Question
from fhir_mappings.labs import LabTable

Json = dict[str, Any]

_INITIAL = f"{SDC}/sdc-questionnaire-initialExpression"
_NEWEST = 20


class Population:
    """The expressions of one form."""

    def __init__(self, policy: CompiledPolicy, labs: LabTable) -> None:
        self._months = policy.tests
        self._codes = {
            question.id: codes
            for question in policy.source.questions
            if question.test and policy.tests.get(question.test) is not None
            if (codes := _codes(question.test, labs))
        }
        self._questions = {question.id: question for question in policy.source.questions}

    @property
    def variables(self) -> Iterator[Json]:
        """The queries, as variables of the form; `%patient` is the launch context's."""
        for link_id, codes in self._codes.items():
            test = self._questions[link_id].test
            query = (
                f"Observation?patient={{{{%patient.id}}}}&code={','.join(codes)}"
                f"&date=ge{{{{today() - {self._months[test]} months}}}}&_sort=-date&_count={_NEWEST}"
            )
            yield {
                "url": f"{CORE}/variable",
                "valueExpression": {"name": _name(test), "language": "application/x-fhir-query", "expression": query},
            }

    def expressions(self, question: Question) -> Iterator[Json]:
        """The item's `initialExpression`, where it has one: the number, or the day of the number."""
        if question.id in self._codes:
            yield _initial(f"{self._result(question)}.value.ofType(Quantity)")
        result, _, part = question.id.rpartition(".")
        if part == "date" and result in self._codes:
            day = "effective.ofType(dateTime).toString().substring(0, 10).toDate()"
            yield _initial(f"{self._result(self._questions[result])}.{day}")

    def _result(self, question: Question) -> str:
        final = "status = 'final' or status = 'amended' or status = 'corrected'"
        number = f"value.ofType(Quantity).where(system = 'http://unitsofmeasure.org' and code = '{question.unit}')"
        newest = f"%{_name(question.test)}.entry.resource.ofType(Observation).where({final}).first()"
        return f"{newest}.where({number}.exists())"  # one in another unit is not passed over for an older one


def _name(test: str) -> str:
    """The variable's name: an `id` takes no underscore, and FHIRPath no hyphen."""
    first, *others = test.split("_")
    return first + "".join(other.capitalize() for other in others)


def _codes(test: str, labs: LabTable) -> tuple[str, ...]:
    """The verified LOINC codes of a result as search tokens."""
    return tuple(
        f"http://loinc.org|{code.code}"
        for code in labs.test(test).codes
        if code.system == "loinc" and code.status == "verified" and not code.panel
    )


def _initial(expression: str) -> Json:
    return {"url": _INITIAL, "valueExpression": {"language": "text/fhirpath", "expression": expression}}
