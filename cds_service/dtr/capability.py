"""What the FHIR endpoint can do: CapabilityStatement of a DTR payer service."""

from datetime import datetime
from typing import Any

from cds_service.dtr.names import DTR
from cds_service.dtr.search import PARAMETERS

_EXPECTATION = "http://hl7.org/fhir/StructureDefinition/capabilitystatement-expectation"


def capability_statement(public_url: str, version: str, built: datetime, tokens: bool) -> dict[str, Any]:
    """The CapabilityStatement. `tokens`: callers need one."""
    security: dict[str, Any] = {"cors": False}
    if tokens:
        service = {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                    "code": "SMART-on-FHIR",
                    "display": "SMART-on-FHIR",
                }
            ]
        }
        security = {
            "extension": [
                {
                    "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
                    "extension": [{"url": "token", "valueUri": f"{public_url}/fhir/token"}],
                }
            ],
            "service": [service],
            "description": (
                "Every call but this one carries an access token (SMART Backend Services), "
                "or the signed token of a registered CDS client."
            ),
        }
    return {
        "resourceType": "CapabilityStatement",
        "id": "drug-coverage",
        "url": f"{public_url}/fhir/metadata",
        "version": version,
        "name": "DrugCoverageForms",
        "title": "Drug coverage: documentation forms",
        "status": "active",
        "experimental": False,
        "date": built.isoformat(timespec="seconds"),
        "kind": "instance",
        "software": {"name": "drug-coverage-cds", "version": version},
        "implementation": {"description": "Forms of the plan's drug policies", "url": f"{public_url}/fhir"},
        "instantiates": [f"{DTR}/CapabilityStatement/dtr-payer-service"],
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [
            {
                "mode": "server",
                "security": security,
                "resource": [_forms(), _value_sets(), _served("CodeSystem"), _served("Library")],
            }
        ],
    }


def _operation(name: str, definition: str) -> dict[str, Any]:
    return {
        "extension": [{"url": _EXPECTATION, "valueCode": "SHALL"}],
        "name": name,
        "definition": definition,
    }


def _forms() -> dict[str, Any]:
    return {
        **_served("Questionnaire"),
        "supportedProfile": [f"{DTR}/StructureDefinition/dtr-std-questionnaire"],
        "operation": [
            _operation("questionnaire-package", f"{DTR}/OperationDefinition/questionnaire-package"),
            _operation("log-questionnaire-errors", f"{DTR}/OperationDefinition/log-questionnaire-errors"),
        ],
    }


def _value_sets() -> dict[str, Any]:
    return {
        **_served("ValueSet"),
        "operation": [_operation("expand", "http://hl7.org/fhir/OperationDefinition/ValueSet-expand")],
    }


def _served(kind: str) -> dict[str, Any]:
    return {
        "type": kind,
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "searchParam": [{"name": name, "type": type_} for name, type_ in PARAMETERS.items()],
    }
