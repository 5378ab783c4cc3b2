"""The interface description: OpenAPI 3.1, made from the tables of hooks and options that the calls are read by."""

from typing import Any

from cds_service.openapi_fhir import SCHEMAS as FHIR_SCHEMAS
from cds_service.openapi_fhir import fhir_paths
from hooks.hook import Hook, Member, MemberKind
from hooks.members import REFERENCE
from hooks.options import OPTIONS
from hooks.registry import HOOKS

Schema = dict[str, Any]

_ID = r"^[A-Za-z0-9\-.]{1,64}$"
_REFERENCE: Schema = {"type": "string", "pattern": f"^{REFERENCE.pattern}$"}
_KINDS: dict[MemberKind, Schema] = {
    "id": {"type": "string", "pattern": _ID},
    "user": {
        "type": "string",
        "pattern": r"^(Practitioner|PractitionerRole|Patient|RelatedPerson)/[A-Za-z0-9\-.]{1,64}$",
    },
    "reference": _REFERENCE,
    "references": {"type": "array", "items": _REFERENCE, "minItems": 1},
    "bundle": {"$ref": "#/components/schemas/Bundle"},
    "task": {"$ref": "#/components/schemas/Task"},
    "tasks": {"type": "array", "items": {"$ref": "#/components/schemas/Task"}},
}
_REFUSALS = {
    "400": "Malformed, or without a usable Coverage or payer (CRD hook-13)",
    "401": "Without a valid client token; no detail is given",
    "412": "What the answer cannot do without was neither sent nor readable",
    "413": "The body is too large",
    "415": "Not JSON",
    "429": "More calls than were agreed on; Retry-After says when to come again",
    "503": "Cannot be answered or kept just now; try again",
}


def document(public_url: str, with_tokens: bool, version: str) -> Schema:
    """The OpenAPI document."""
    paths: Schema = {"/cds-services": {"get": _discovery()}}
    for hook in HOOKS:
        paths[f"/cds-services/{hook.service_id}"] = {"post": _call(hook, with_tokens)}
        paths[f"/cds-services/{hook.service_id}/feedback"] = {"post": _feedback(hook, with_tokens)}
    paths.update(fhir_paths(_security(with_tokens)))
    components: Schema = {"schemas": {**_SCHEMAS, **FHIR_SCHEMAS, **{_name(hook): _request(hook) for hook in HOOKS}}}
    if with_tokens:
        components["securitySchemes"] = {"client": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Drug coverage CDS", "version": version, "description": "CDS Hooks 2.0.1 and Da Vinci CRD"},
        "servers": [{"url": public_url}] if public_url else [],
        "paths": paths,
        "components": components,
    }


def _name(hook: Hook) -> str:
    return "".join(part.capitalize() for part in hook.name.split("-")) + "Request"


def _discovery() -> Schema:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Discovery"}}}
    responses = {"200": {"description": "The services", "content": content}, "304": {"description": "Not changed"}}
    return {"operationId": "discovery", "summary": "The CDS services offered", "responses": responses}


def _call(hook: Hook, with_tokens: bool) -> Schema:
    answer = {"application/json": {"schema": {"$ref": "#/components/schemas/Response"}}}
    return {
        "operationId": hook.service_id,
        "summary": hook.description,
        "requestBody": _body(_name(hook)),
        "responses": {"200": {"description": "Cards and actions", "content": answer}, **_refusals()},
        **_security(with_tokens),
    }


def _feedback(hook: Hook, with_tokens: bool) -> Schema:
    return {
        "operationId": f"{hook.service_id}-feedback",
        "summary": "What became of cards; kept when answered 200",
        "requestBody": _body("FeedbackRequest"),
        "responses": {"200": {"description": "Kept"}, **_refusals()},
        **_security(with_tokens),
    }


def _body(name: str) -> Schema:
    return {"required": True, "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}}


def _refusals() -> Schema:
    content = {"application/fhir+json": {"schema": {"$ref": "#/components/schemas/OperationOutcome"}}}
    return {status: {"description": why, "content": content} for status, why in _REFUSALS.items()}


def _security(with_tokens: bool) -> Schema:
    return {"security": [{"client": []}]} if with_tokens else {}


def _request(hook: Hook) -> Schema:
    context: Schema = {
        "type": "object",
        "properties": {member.name: _member(member) for member in hook.members},
        "required": [member.name for member in hook.members if member.required],
    }
    return {
        "type": "object",
        "required": ["hook", "hookInstance", "context"],
        "properties": {
            "hook": {"const": hook.name},
            "hookInstance": {"type": "string", "pattern": r"^[A-Za-z0-9\-._:]{1,128}$", "description": "UUID"},
            "fhirServer": {"type": "string", "format": "uri"},
            "fhirAuthorization": {"$ref": "#/components/schemas/FhirAuthorization"},
            "context": context,
            "prefetch": {"type": "object", "description": "by the keys of discovery, or any other"},
            "extension": {"$ref": "#/components/schemas/RequestExtension"},
        },
    }


def _member(member: Member) -> Schema:
    return {**_KINDS[member.kind], "description": member.description}


_STRING: Schema = {"type": "string"}
_OBJECT: Schema = {"type": "object"}
_SCHEMAS: Schema = {
    "Bundle": {
        "type": "object",
        "required": ["resourceType"],
        "properties": {
            "resourceType": {"const": "Bundle"},
            "entry": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["resource"],
                    "properties": {
                        "fullUrl": _STRING,
                        "resource": {
                            "type": "object",
                            "required": ["resourceType", "id"],
                            "properties": {
                                "resourceType": {"type": "string", "pattern": "^[A-Za-z]{1,64}$"},
                                "id": {"type": "string", "pattern": _ID},
                            },
                        },
                    },
                },
            },
        },
    },
    "Task": {"type": "object", "required": ["resourceType"], "properties": {"resourceType": {"const": "Task"}}},
    "FhirAuthorization": {
        "type": "object",
        "required": ["access_token"],
        "properties": {
            "access_token": {"type": "string", "pattern": "^[!-~]+$"},
            "token_type": {"const": "Bearer"},
            "expires_in": {"type": "integer"},
            "scope": _STRING,
            "subject": _STRING,
            "patient": {"type": "string", "description": "equal to context.patientId"},
        },
    },
    "RequestExtension": {
        "type": "object",
        "properties": {
            "davinci-crd.requestedVersion": {"type": "string"},
            "davinci-crd.configuration": {
                "type": "object",
                "properties": {
                    option.code: {"type": option.type, "default": option.default, "description": option.description}
                    for option in OPTIONS
                },
            },
        },
    },
    "Response": {
        "type": "object",
        "required": ["cards", "systemActions"],
        "properties": {
            "cards": {"type": "array", "items": {"$ref": "#/components/schemas/Card"}},
            "systemActions": {"type": "array", "items": {"$ref": "#/components/schemas/Action"}},
        },
    },
    "Card": {
        "type": "object",
        "required": ["uuid", "summary", "indicator", "source"],
        "properties": {
            "uuid": {"type": "string", "format": "uuid"},
            "summary": {"type": "string", "maxLength": 139},
            "detail": {"type": "string", "description": "Markdown that also reads as plain text"},
            "indicator": {"enum": ["info", "warning"]},
            "source": _OBJECT,
            "suggestions": {"type": "array", "items": _OBJECT, "minItems": 1},
            "links": {"type": "array", "items": _OBJECT, "minItems": 1},
            "extension": _OBJECT,
        },
    },
    "Action": {
        "type": "object",
        "required": ["type", "description", "resource"],
        "properties": {"type": {"enum": ["update"]}, "description": _STRING, "resource": _OBJECT},
    },
    "FeedbackRequest": {
        "type": "object",
        "required": ["feedback"],
        "properties": {
            "feedback": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["card", "outcome", "outcomeTimestamp"],
                    "properties": {
                        "card": {"type": "string", "minLength": 1, "maxLength": 200},
                        "outcome": {"enum": ["accepted", "overridden"]},
                        "outcomeTimestamp": {"type": "string", "format": "date-time"},
                        "acceptedSuggestions": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "required": ["id"],
                                "properties": {"id": {"type": "string", "minLength": 1, "maxLength": 200}},
                            },
                        },
                        "overrideReason": _OBJECT,
                    },
                },
            }
        },
    },
    "Discovery": {
        "type": "object",
        "required": ["services"],
        "properties": {"services": {"type": "array", "items": _OBJECT}},
    },
    "OperationOutcome": {
        "type": "object",
        "required": ["resourceType", "issue"],
        "properties": {
            "resourceType": {"const": "OperationOutcome"},
            "issue": {"type": "array", "items": _OBJECT, "minItems": 1},
        },
    },
}
