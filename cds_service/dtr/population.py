"""What a DTR client can fill in by itself from the chart: FHIRPath over what an `x-fhir-query` finds (SDC populate).

Only where FHIRPath says it without loss: a number, in the form's own unit, final, with its day. Words of a result,
statements and diagnoses take terminology and are left to CQL; what this service knows of them comes with the draft.
"""

from collections.abc import Iterator
from typing import Any

from cds_service.dtr.names import CORE, SDC, UCUM
from cds_service.policy.compiled import CompiledPolicy
from cds_service.policy.policy import Question
from fhir_mappings.labs import LabTable

Json = dict[str, Any]


class Population:
    """The expressions of one form."""

    def __init__(self, policy: CompiledPolicy, labs: LabTable) -> None:
        self._policy, self._labs = policy, labs

    @property
    def variables(self) -> tuple[Json, ...]:
        """The queries, as variables of the form."""
        return ()

    def expressions(self, question: Question) -> Iterator[Json]:
        """The item's `initialExpression`, where it has one."""
        return iter(())
