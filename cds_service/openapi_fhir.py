"""The part of the interface description that is the FHIR endpoint; its CapabilityStatement says the same in FHIR."""

from typing import Any

from cds_service.dtr.search import PARAMETERS

Schema = dict[str, Any]

_FHIR = "application/fhir+json"
_SEARCHED = {
    "Questionnaire": "The forms",
    "Library": "The libraries",
    "ValueSet": "The value sets",
    "CodeSystem": "The code systems",
}
_REFUSALS = {
    "400": "Malformed, or not to be used",
    "401": "Without a valid client token; no detail is given",
    "404": "Not known here",
    "406": "Another form than FHIR JSON is asked for",
    "413": "The body is too large",
    "415": "Not JSON",
    "422": "Well-formed, and not what the operation takes",
    "503": "Cannot be answered just now; try again",
}


def fhir_paths(security: Schema) -> Schema:
    """The paths at and below `/fhir`; `security` is what each but `metadata` asks for."""
    package = _posted("Packages a form for an order (DTR)", "Parameters", security)
    return {
        "/fhir/metadata": {"get": _got("What this endpoint can do", {})},
        **_searches(security),
        "/fhir/Questionnaire/{id}": {"parameters": [_id()], "get": _got("A form", security)},
        "/fhir/Questionnaire/$questionnaire-package": {"post": package},
        "/fhir/Questionnaire/{id}/$questionnaire-package": {"parameters": [_id()], "post": package},
        "/fhir/Questionnaire/$log-questionnaire-errors": {
            "post": _posted("Takes note of trouble with a form (DTR)", "Parameters", security)
        },
        "/fhir/ValueSet/$expand": {
            "get": _got("The codes of a value set", security, "url", "filter", "offset", "count"),
            "post": _posted("The codes of a value set", "Parameters", security),
        },
        "/fhir/ValueSet/{id}": {"parameters": [_id()], "get": _got("A value set", security)},
        "/fhir/ValueSet/{id}/$expand": {
            "parameters": [_id()],
            "get": _got("The codes of a value set", security, "filter", "offset", "count"),
        },
        "/fhir/Library/{id}": {"parameters": [_id()], "get": _got("What fills in a form, as CQL and ELM", security)},
        "/fhir/CodeSystem/{id}": {"parameters": [_id()], "get": _got("A code system of the forms", security)},
    }


def _id() -> Schema:
    schema = {"type": "string", "pattern": r"^[A-Za-z0-9\-.]{1,64}$"}
    return {"name": "id", "in": "path", "required": True, "schema": schema}


def _got(summary: str, security: Schema, *parameters: str) -> Schema:
    named = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in parameters]
    return {"summary": summary, **({"parameters": named} if named else {}), "responses": _responses(), **security}


def _searches(security: Schema) -> Schema:
    paths: Schema = {}
    for kind, what in _SEARCHED.items():
        paths[f"/fhir/{kind}"] = {"get": _got(f"{what} that are sought", security, *PARAMETERS)}
        paths[f"/fhir/{kind}/_search"] = {"post": _sought(what, security)}
    return paths


def _sought(what: str, security: Schema) -> Schema:
    sought = {"type": "object", "properties": {name: {"type": "string"} for name in PARAMETERS}}
    return {
        "summary": f"{what} that are sought, by a form",
        "requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": sought}}},
        "responses": _responses(),
        **security,
    }


def _posted(summary: str, schema: str, security: Schema) -> Schema:
    content = {_FHIR: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": content},
        "responses": _responses(),
        **security,
    }


def _responses() -> Schema:
    refused = {_FHIR: {"schema": {"$ref": "#/components/schemas/OperationOutcome"}}}
    answered = {_FHIR: {"schema": {"$ref": "#/components/schemas/Resource"}}}
    return {
        "200": {"description": "The resource", "content": answered},
        **{status: {"description": why, "content": refused} for status, why in _REFUSALS.items()},
    }


SCHEMAS: Schema = {
    "Resource": {"type": "object", "required": ["resourceType"], "properties": {"resourceType": {"type": "string"}}},
    "Parameters": {
        "type": "object",
        "required": ["resourceType", "parameter"],
        "properties": {
            "resourceType": {"const": "Parameters"},
            "parameter": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": {"type": "string"},
                        "resource": {"$ref": "#/components/schemas/Resource"},
                    },
                },
            },
        },
    },
}
