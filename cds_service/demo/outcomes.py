"""What the demo's FHIR server says when it refuses: always an OperationOutcome, never anything else."""

from typing import Any

Resource = dict[str, Any]


class RefusedError(Exception):
    """A call that is not answered as asked: HTTP status, issue code and a sentence that says what to do instead."""

    def __init__(self, status: int, code: str, diagnostics: str) -> None:
        super().__init__(diagnostics)
        self.status = status
        self.code = code
        self.diagnostics = diagnostics

    def outcome(self) -> Resource:
        """The OperationOutcome of this refusal."""
        return operation_outcome("error", self.code, self.diagnostics)


def operation_outcome(severity: str, code: str, diagnostics: str) -> Resource:
    """An OperationOutcome with one issue."""
    return {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": severity, "code": code, "diagnostics": diagnostics}],
    }


def invalid(diagnostics: str) -> RefusedError:
    """400: the call itself is wrong."""
    return RefusedError(400, "invalid", diagnostics)


def not_supported(diagnostics: str) -> RefusedError:
    """400: FHIR knows it, this server does not."""
    return RefusedError(400, "not-supported", diagnostics)
