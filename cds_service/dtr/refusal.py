"""What an operation is refused with."""


class RefusedError(Exception):
    """An operation that cannot be carried out: an HTTP status, an issue code, and what was found and expected."""

    def __init__(self, status: int, code: str, diagnostics: str, expression: str = "") -> None:
        super().__init__(diagnostics)
        self.status = status
        self.code = code  # http://hl7.org/fhir/issue-type
        self.diagnostics = diagnostics
        self.expression = expression
