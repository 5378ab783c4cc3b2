"""What is ordered is recognised however an EHR writes it, and a product that cannot be read is never passed over."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from signing import (
    BASE,
    BY_ID,
    Ehr,
    FhirServer,
    Json,
    call_of,
    context_of,
    determinations,
    order_of,
    said_of,
    whole_record,
    without,
)

from cds_service.demo.store import Store

Serving = Callable[[Store], AbstractContextManager[FhirServer]]
HEMGENIX = BY_ID["demo-hemgenix-met"]
ROCTAVIAN = BY_ID["demo-roctavian-met"]
STORY_OF = {"hemgenix": HEMGENIX, "roctavian": ROCTAVIAN}
HCPCS = [
    "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets",
    "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets",
    "urn:oid:2.16.840.1.113883.6.285",
    "http://www.nlm.nih.gov/research/umls/hcpcs",
    "http://www.ama-assn.org/go/cpt",
]
NDC = "http://hl7.org/fhir/sid/ndc"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
BILLING_OPTIONS = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-billing-options"


def coded(system: str, code: str, display: str = "") -> Json:
    """A CodeableConcept of one coding."""
    coding = {"system": system, "code": code, **({"display": display} if display else {})}
    return {"coding": [coding]}


def drugs(answer: Json) -> list[str]:
    """The drug of each guidance card."""
    return [found["drug"] for found in determinations(answer)]


def sign_with(ehr: Ehr, **members: object) -> Json:
    """The answer to the Hemgenix order with another medication[x]."""
    return ehr.sign(HEMGENIX, order_of(HEMGENIX.id, **{"medicationCodeableConcept": None, **members}))


@pytest.mark.parametrize("system", HCPCS)
@pytest.mark.parametrize(("code", "drug"), [("J1411", "hemgenix"), ("J1412", "roctavian")])
def test_a_service_request_is_known_by_its_billing_code(system: str, code: str, drug: str, ehr: Ehr) -> None:
    """Under every address that HCPCS is written with."""
    story = STORY_OF[drug]
    common = {name: story.order[name] for name in ("id", "status", "intent", "subject", "requester", "insurance")}
    answer = ehr.sign(story, {"resourceType": "ServiceRequest", **common, "code": coded(system, code)})
    assert drugs(answer) == [drug]
    assert determinations(answer)[0]["order"] == f"ServiceRequest/{common['id']}"
    assert said_of(answer)["coverage"] == [story.order["insurance"][0]]


@pytest.mark.parametrize("code", ["96365", "J1413", "J14111", ""])
def test_a_service_request_for_something_else_gets_no_card(code: str, ehr: Ehr) -> None:
    """An infusion's own code, or one that only looks alike, names no drug."""
    common = {name: HEMGENIX.order[name] for name in ("id", "status", "intent", "subject", "insurance")}
    answer = ehr.sign(HEMGENIX, {"resourceType": "ServiceRequest", **common, "code": coded(HCPCS[0], code)})
    assert answer["cards"] == []


@pytest.mark.parametrize("system", HCPCS)
def test_a_medication_request_is_known_by_its_billing_code(system: str, ehr: Ehr) -> None:
    """A HCPCS coding on the medication is enough."""
    assert drugs(sign_with(ehr, medicationCodeableConcept=coded(system, "J1411"))) == ["hemgenix"]


@pytest.mark.parametrize(
    "code", ["0053-0099-01", "00053-0099-01", "00053009901", "0053009901", "0053-0300-30", "00053030030"]
)
def test_a_medication_request_is_known_by_its_ndc(code: str, ehr: Ehr) -> None:
    """With 10 or 11 digits, with or without dashes, kit or vial."""
    assert drugs(sign_with(ehr, medicationCodeableConcept=coded(NDC, code))) == ["hemgenix"]


@pytest.mark.parametrize("code", ["2626772", "2626780", "2626794"])
def test_a_medication_request_is_known_by_rxnorm_beside_the_name(code: str, ehr: Ehr) -> None:
    """The published codes are not verified, so the name has to stand beside them."""
    concept = coded(RXNORM, code, "etranacogene dezaparvovec-drlb 1E13 genome copies in 1 mL injection [Hemgenix]")
    assert drugs(sign_with(ehr, medicationCodeableConcept=concept)) == ["hemgenix"]


@pytest.mark.parametrize(
    ("text", "drug"),
    [
        ("HEMGENIX", "hemgenix"),
        ("etranacogene dezaparvovec", "hemgenix"),
        ("Hemgenix 2E13 gc/kg IV once", "hemgenix"),
        ("Roctavian", "roctavian"),
        ("valoctocogene roxaparvovec-rvox suspension", "roctavian"),
    ],
)
def test_a_medication_request_is_known_by_its_text(text: str, drug: str, ehr: Ehr) -> None:
    """Brand or generic name, in any case."""
    assert drugs(sign_with(ehr, medicationCodeableConcept={"text": text})) == [drug]


def test_a_test_for_the_drug_is_not_the_drug(ehr: Ehr) -> None:
    """The antibody assay that is sold for Roctavian carries its name."""
    answer = sign_with(ehr, medicationCodeableConcept={"text": "AAV5 DetectCDx antibody assay for Roctavian"})
    assert answer["cards"] == []


def test_billing_options_are_considered(ehr: Ehr) -> None:
    """A code under which the order may be billed counts when it is sent (CRD billopt-3)."""
    option = {"url": BILLING_OPTIONS, "valueCodeableConcept": coded(HCPCS[0], "J1411")}
    concept = {"text": "Gene therapy, hemophilia B", "extension": [option]}
    assert drugs(sign_with(ehr, medicationCodeableConcept=concept)) == ["hemgenix"]


MEDICATION = {"resourceType": "Medication", "id": "drug", "code": coded(HCPCS[0], "J1411")}
TO_MEDICATION = {"reference": "Medication/drug"}


def test_a_contained_medication_is_read(ehr: Ehr) -> None:
    """`#drug` leads into the order itself."""
    answer = sign_with(ehr, contained=[MEDICATION], medicationReference={"reference": "#drug"})
    assert drugs(answer) == ["hemgenix"]


def test_a_medication_sent_among_the_drafts_is_read(ehr: Ehr) -> None:
    """The Bundle of draft orders may hold what they refer to; it gets no answer of its own."""
    order = order_of(HEMGENIX.id, medicationCodeableConcept=None, medicationReference=TO_MEDICATION)
    answer = ehr.sign(HEMGENIX, order, MEDICATION)
    assert drugs(answer) == ["hemgenix"]
    assert len(answer["systemActions"]) == 1


def test_a_medication_sent_in_the_prefetch_is_read(ehr: Ehr) -> None:
    """Under whatever key it comes."""
    order = order_of(HEMGENIX.id, medicationCodeableConcept=None, medicationReference=TO_MEDICATION)
    call = ehr.call(HEMGENIX, order)
    call["prefetch"]["anyName"] = MEDICATION
    assert drugs(ehr.answer(call)) == ["hemgenix"]


@pytest.mark.parametrize("reference", ["Medication/drug", f"{BASE}/Medication/drug", "Medication/drug/_history/3"])
def test_a_medication_is_read_from_the_server(reference: str, ehr: Ehr, serving: Serving) -> None:
    """A relative reference, an absolute one on the same server, one of a version."""
    order = order_of(HEMGENIX.id, medicationCodeableConcept=None, medicationReference={"reference": reference})
    with serving(ehr.store(HEMGENIX, MEDICATION)):
        assert drugs(ehr.sign(HEMGENIX, order, fhirServer=BASE)) == ["hemgenix"]


def test_a_medication_known_by_its_ingredient_is_read(ehr: Ehr) -> None:
    """A Medication without a code of its own names the drug as its ingredient."""
    medication = {
        "resourceType": "Medication",
        "id": "drug",
        "ingredient": [{"itemCodeableConcept": {"text": "etranacogene dezaparvovec"}}],
    }
    order = order_of(HEMGENIX.id, medicationCodeableConcept=None, medicationReference=TO_MEDICATION)
    assert drugs(ehr.sign(HEMGENIX, order, medication)) == ["hemgenix"]


def test_the_name_on_the_reference_is_enough(ehr: Ehr) -> None:
    """`display` says which drug it is, so nothing has to be read."""
    assert drugs(sign_with(ehr, medicationReference={**TO_MEDICATION, "display": "Hemgenix"})) == ["hemgenix"]


@pytest.mark.parametrize(
    "reference",
    [
        "Medication/not-there",
        "https://elsewhere.example/fhir/Medication/drug",
        "#not-contained",
        "urn:uuid:00000000-0000-4000-8000-000000000000",
        "Medication?identifier=1",
        "",
    ],
)
def test_a_medication_that_cannot_be_read_is_never_nothing_required(reference: str, ehr: Ehr, serving: Serving) -> None:
    """The coverage-information says that it is a technical matter; it is not taken for an ungoverned drug."""
    order = order_of(HEMGENIX.id, medicationCodeableConcept=None, medicationReference={"reference": reference})
    with serving(ehr.store(HEMGENIX)) as server:
        answer = ehr.sign(HEMGENIX, order, fhirServer=BASE)
    said = said_of(answer)
    assert said["covered"] == said["pa-needed"] == said["doc-needed"] == ["indeterminate"]
    assert said["reason"][0]["coding"][0]["code"] == "technical"
    assert "could not be read" in said["reason"][0]["text"]
    assert not [path for path in server.asked if "elsewhere" in path]


def test_a_medication_without_a_server_to_read_it_from_is_technical_too(ehr: Ehr) -> None:
    """The call named no FHIR server and did not send it."""
    said = said_of(sign_with(ehr, medicationReference=TO_MEDICATION))
    assert said["reason"][0]["coding"][0]["code"] == "technical"


@pytest.mark.parametrize("members", [{}, {"medicationCodeableConcept": {}}, {"medicationCodeableConcept": 5}])
def test_an_order_that_names_no_drug_at_all_is_not_passed_over(members: Json, ehr: Ehr) -> None:
    """Nothing to recognise is no clearance: the plan says that it does not know."""
    answer = sign_with(ehr, **members)
    assert [card["indicator"] for card in answer["cards"]] == ["warning"]
    assert "could not be read" in answer["cards"][0]["summary"]
    assert "Name the drug on the order" in answer["cards"][0]["detail"]
    assert said_of(answer)["covered"] != ["covered"]


def test_what_was_sent_is_not_asked_for_again(ehr: Ehr, serving: Serving) -> None:
    """The FHIR server is asked only for what is missing."""
    story = HEMGENIX
    call = call_of(context_of(story.order), whole_record(without(story.resources, "Medication")), fhirServer=BASE)
    with serving(ehr.store(story)) as server:
        ehr.answer(call)
    assert [path for path in server.asked if path.startswith(("Patient", "Coverage", "Condition"))] == []


LOCAL = "urn:oid:1.2.840.114350.1.13.0.1.7.2.698288"


@pytest.mark.parametrize(
    "concept",
    [
        coded(LOCAL, "210733"),
        {"coding": [{"code": "210733"}]},
        {**coded(LOCAL, "210733", "GT PROTOCOL 7"), "text": "GT protocol 7"},
        {"coding": [{"system": RXNORM}], "text": "GT protocol 7"},
        coded(HCPCS[0], "J3590", "Unclassified biologics"),
    ],
    ids=["local code", "no system", "local code and name", "system without a code", "a code for many drugs"],
)
def test_a_drug_that_no_known_code_or_name_tells_is_said_to_be_unknown(concept: Json, ehr: Ehr) -> None:
    """Whether a policy covers it is not known, so the plan must not say that none does."""
    said = said_of(sign_with(ehr, medicationCodeableConcept=concept))
    assert (said["covered"], said["info-needed"]) == (["conditional"], ["OTH"])
    assert "could not be identified" in said["reason"][0]["text"]


@pytest.mark.parametrize(
    "concept",
    [
        coded(RXNORM, "308182"),
        coded(NDC, "0093-3107-01"),
        coded(HCPCS[1], "J0290"),
        {"coding": [*coded(LOCAL, "210733")["coding"], *coded(RXNORM, "308182")["coding"]]},
        {**coded(LOCAL, "210733"), "text": "Factor IX recombinant"},
    ],
    ids=["RxNorm", "NDC", "HCPCS", "beside a local code", "a name that is known"],
)
def test_another_drug_is_covered_by_no_policy(concept: Json, ehr: Ehr) -> None:
    """A code of a system that products are known by tells the drug, whether or not it is listed here."""
    said = said_of(sign_with(ehr, medicationCodeableConcept=concept))
    assert "No drug policy" in said["reason"][0]["text"]


def test_a_medication_of_local_codes_is_said_to_be_unknown(ehr: Ehr) -> None:
    """Wherever the order's drug stands."""
    medication = {**MEDICATION, "code": coded(LOCAL, "210733")}
    said = said_of(sign_with(ehr, contained=[medication], medicationReference={"reference": "#drug"}))
    assert "could not be identified" in said["reason"][0]["text"]


def test_a_medication_with_a_known_ingredient_is_covered_by_no_policy(ehr: Ehr) -> None:
    """The ingredient's code tells the drug."""
    medication = {**MEDICATION, "code": coded(LOCAL, "210733")}
    medication["ingredient"] = [{"itemCodeableConcept": coded(RXNORM, "308182")}]
    said = said_of(sign_with(ehr, contained=[medication], medicationReference={"reference": "#drug"}))
    assert "No drug policy" in said["reason"][0]["text"]


def test_an_order_for_anything_but_a_drug_is_covered_by_no_drug_policy(ehr: Ehr) -> None:
    """Whatever codes a hospital has for its imaging."""
    common = {name: HEMGENIX.order[name] for name in ("id", "status", "intent", "subject", "insurance")}
    request = {"resourceType": "ServiceRequest", **common, "code": coded(LOCAL, "IMG-77", "MRI of the knee")}
    assert "No drug policy" in said_of(ehr.sign(HEMGENIX, request))["reason"][0]["text"]
