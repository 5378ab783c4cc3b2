"""The URLs of this service's forms, and those of the guides that a form is written by."""

from typing import Literal

from cds_service.policy.kept import KeptPolicy
from cds_service.policy.policy import Policy, Question

Named = Policy | KeptPolicy  # by its policy, drug and version
DtrVersion = Literal["2.2", "2.0.1"]

DTR = "http://hl7.org/fhir/us/davinci-dtr"
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition"
CORE = "http://hl7.org/fhir/StructureDefinition"
UCUM = "http://unitsofmeasure.org"
STANDARD_FORM = f"{DTR}/StructureDefinition/dtr-std-questionnaire"


def form_url(policy: Named, public_url: str) -> str:
    """The canonical of the policy's form, without version."""
    return f"{public_url}/fhir/Questionnaire/{policy.questionnaire}"


def versioned_form(policy: Policy, public_url: str) -> str:
    """The canonical of this version of the form."""
    return f"{form_url(policy, public_url)}|{policy.version.isoformat()}"


def code_system_id(policy: str) -> str:
    """The id of the code system of the choices on the policy's forms."""
    return f"{policy.lower()}-answers"


def answers_system(policy: Policy, public_url: str) -> str:
    """The code system of the choices on the policy's forms."""
    return f"{public_url}/fhir/CodeSystem/{code_system_id(policy.policy)}"


def value_set_id(policy: Named, link_id: str) -> str:
    """The id of the value set that holds one question's choices: an underscore is not allowed in it."""
    return f"{policy.questionnaire}.{link_id.replace('_', '-')}"


def prefill_id(policy: Named) -> str:
    """The id of the Library that fills in the policy's form."""
    return f"{policy.questionnaire}-prefill"


def coding(policy: Policy, question: Question, code: str, public_url: str) -> dict[str, str]:
    """One choice as a Coding."""
    return {"system": answers_system(policy, public_url), "code": code, "display": question.options[code]}
