"""Who everyone works for: the center, the laboratory, the plan and the prescriber that all sample charts share."""

from cds_service.demo.catalog import EXAMPLE, HL7, NPI, NUCC, US_CORE
from cds_service.demo.outcomes import Resource

CENTER = {"reference": "Organization/demo-center", "display": "Example Hemophilia Treatment Center"}
LABORATORY = {"reference": "Organization/demo-laboratory", "display": "Example Laboratory"}
PAYER = {"reference": "Organization/demo-plan", "display": "Example Health Plan"}
PRESCRIBER = {"reference": "Practitioner/demo-hazel", "display": "Hazel Example, MD"}

_ADDRESS = [
    {"line": ["2 Example Street"], "city": "Exampletown", "state": "NY", "postalCode": "12345", "country": "US"}
]


def _organization(resource_id: str, name: str, kind: str, kind_text: str, identifiers: list[Resource]) -> Resource:
    return {
        "resourceType": "Organization",
        "id": resource_id,
        "meta": {"profile": [f"{US_CORE}/us-core-organization"]},
        "identifier": identifiers,
        "active": True,
        "type": [{"coding": [{"system": f"{HL7}/organization-type", "code": kind}], "text": kind_text}],
        "name": name,
        "telecom": [{"system": "phone", "value": "555-0110", "use": "work"}],
        "address": _ADDRESS,
    }


def _npi(number: str) -> Resource:
    return {"system": NPI, "value": number}


def directory() -> list[Resource]:
    """Organizations, the prescriber and the prescriber's role. The NPIs begin with 9, so nobody can have them."""
    return [
        _organization("demo-center", CENTER["display"], "prov", "Healthcare provider", [_npi("9999999011")]),
        _organization("demo-laboratory", LABORATORY["display"], "prov", "Laboratory", [_npi("9999999029")]),
        _organization(
            "demo-plan",
            PAYER["display"],
            "pay",
            "Payer",
            [{"system": f"{EXAMPLE}/payers", "value": "example-health-plan"}],
        ),
        {
            "resourceType": "Practitioner",
            "id": "demo-hazel",
            "meta": {"profile": [f"{US_CORE}/us-core-practitioner"]},
            "identifier": [_npi("9999999037")],
            "active": True,
            "name": [{"family": "Example", "given": ["Hazel"], "suffix": ["MD"], "text": PRESCRIBER["display"]}],
            "telecom": [{"system": "phone", "value": "555-0111", "use": "work"}],
            "address": _ADDRESS,
        },
        {
            "resourceType": "PractitionerRole",
            "id": "demo-hazel-role",
            "meta": {"profile": [f"{US_CORE}/us-core-practitionerrole"]},
            "active": True,
            "practitioner": PRESCRIBER,
            "organization": CENTER,
            "code": [{"text": "Physician"}],
            "specialty": [
                {
                    "coding": [
                        {
                            "system": NUCC,
                            "code": "207RH0000X",
                            "display": "Hematology (Internal Medicine) Physician",
                        }
                    ],
                    "text": "Hematology",
                }
            ],
            "telecom": [{"system": "phone", "value": "555-0111", "use": "work"}],
        },
    ]
