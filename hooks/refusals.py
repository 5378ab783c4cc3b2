"""What a call is refused with: an HTTP status and an OperationOutcome that says what was found and what was expected.

No message repeats what the caller sent of a patient: it names the JSON path, the type that was found, and values that
are not about a person (hook, service, version).
"""

from typing import Any


class Refusal(Exception):  # noqa: N818 - not an error of ours: the call's
    """A call that gets no answer."""

    def __init__(self, status: int, code: str, diagnostics: str, expression: str = "") -> None:
        super().__init__(diagnostics)
        self.status = status
        self.code = code  # http://hl7.org/fhir/issue-type
        self.diagnostics = diagnostics
        self.expression = expression

    @property
    def outcome(self) -> dict[str, Any]:
        """The OperationOutcome."""
        return operation_outcome(self.code, self.diagnostics, self.expression)


def operation_outcome(code: str, diagnostics: str, expression: str = "") -> dict[str, Any]:
    """An OperationOutcome with one issue of severity error."""
    issue: dict[str, Any] = {"severity": "error", "code": code, "diagnostics": diagnostics}
    if expression:
        issue["expression"] = [expression]
    return {"resourceType": "OperationOutcome", "issue": [issue]}


_TYPES = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}


def type_name(value: object) -> str:
    """How JSON names the type of a decoded value."""
    return _TYPES.get(type(value), "a number")


def wrong_type(path: str, expected: str, found: object) -> Refusal:
    """A member of another type than the specification gives it."""
    return Refusal(400, "structure", f"{path}: expected {expected}, found {type_name(found)}", path)


def missing(path: str, expected: str) -> Refusal:
    """A member that must be there."""
    return Refusal(400, "required", f"{path}: expected {expected}, found nothing", path)
