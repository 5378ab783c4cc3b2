"""The codes that sample charts are written with: tests, result words, problems, drugs, kinds of coverage."""

from msgspec import Struct

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
NDC = "http://hl7.org/fhir/sid/ndc"
HCPCS = "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
CPT = "http://www.ama-assn.org/go/cpt"
NUCC = "http://nucc.org/provider-taxonomy"
SOPT = "https://nahdo.org/sopt"
PRODUCTS = "http://hl7.org/fhir/us/davinci-pdex-plan-net/CodeSystem/InsuranceProductTypeCS"
NPI = "http://hl7.org/fhir/sid/us-npi"
UCUM = "http://unitsofmeasure.org"
HL7 = "http://terminology.hl7.org/CodeSystem"
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition"
DOCUMENT_CATEGORY = "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category"
EXAMPLE = "http://example.org/fhir"

Coding = tuple[str, str, str]  # system, code, display


class Test(Struct, frozen=True):
    """A test as the demo's laboratory reports it: with a unit, or with one of two words."""

    __test__ = False

    coding: Coding
    text: str
    unit: tuple[str, str] | None = None  # as printed, as UCUM code
    words: tuple[str, str] | None = None  # the usual finding, and the other one
    normal: tuple[str | None, str | None] | None = None
    category: str = "laboratory"
    other_units: tuple[tuple[str, str], ...] = ()  # others that a result may be added in


NEGATIVE_OR_POSITIVE = ("Negative", "Positive")

TESTS = {
    "factor-ix": Test(
        (LOINC, "3187-2", "Coagulation factor IX activity actual/normal in Platelet poor plasma by Coagulation assay"),
        "Factor IX activity",
        ("%", "%"),
        normal=("50", "150"),
        other_units=(("IU/dL", "[IU]/dL"), ("IU/mL", "[IU]/mL")),
    ),
    "factor-viii": Test(
        (
            LOINC,
            "3209-4",
            "Coagulation factor VIII activity actual/normal in Platelet poor plasma by Coagulation assay",
        ),
        "Factor VIII activity",
        ("%", "%"),
        normal=("50", "150"),
        other_units=(("IU/dL", "[IU]/dL"), ("IU/mL", "[IU]/mL")),
    ),
    "inhibitor-ix": Test(
        (
            LOINC,
            "3185-6",
            "Coagulation factor IX inhibitor [Units/volume] in Platelet poor plasma by Coagulation assay",
        ),
        "Factor IX inhibitor",
        ("BU", "[beth'U]"),
        normal=(None, "0.5"),
    ),
    "inhibitor-viii": Test(
        (
            LOINC,
            "3204-5",
            "Coagulation factor VIII inhibitor [Units/volume] in Platelet poor plasma by Coagulation assay",
        ),
        "Factor VIII inhibitor",
        ("BU", "[beth'U]"),
        normal=(None, "0.5"),
    ),
    # No LOINC code exists for this test: laboratories send their own code and a name.
    "aav5": Test(
        (f"{EXAMPLE}/CodeSystem/laboratory-tests", "AAV5-TAB", "AAV5 total antibody"),
        "AAV5 total antibody",
        words=("Not detected", "Detected"),
    ),
    "hbsag": Test(
        (LOINC, "5196-1", "Hepatitis B virus surface Ag [Presence] in Serum or Plasma by Immunoassay"),
        "Hepatitis B surface antigen",
        words=NEGATIVE_OR_POSITIVE,
    ),
    "anti-hbc": Test(
        (LOINC, "13952-7", "Hepatitis B virus core Ab [Presence] in Serum or Plasma by Immunoassay"),
        "Hepatitis B core antibody, total",
        words=NEGATIVE_OR_POSITIVE,
    ),
    "anti-hcv": Test(
        (LOINC, "13955-0", "Hepatitis C virus Ab [Presence] in Serum or Plasma by Immunoassay"),
        "Hepatitis C antibody",
        words=NEGATIVE_OR_POSITIVE,
    ),
    "hiv": Test(
        (LOINC, "56888-1", "HIV 1+2 Ab+HIV1 p24 Ag [Presence] in Serum or Plasma by Immunoassay"),
        "HIV antigen and antibody screen",
        words=NEGATIVE_OR_POSITIVE,
    ),
    "cd4": Test(
        (LOINC, "24467-3", "CD3+CD4+ (T4 helper) cells [#/volume] in Blood"),
        "CD4 cell count, absolute",
        ("cells/µL", "/uL"),
        normal=("490", "1740"),
    ),
    "platelets": Test(
        (LOINC, "777-3", "Platelets [#/volume] in Blood by Automated count"),
        "Platelet count",
        ("10³/µL", "10*3/uL"),
        normal=("150", "400"),
        other_units=(("10⁹/L", "10*9/L"), ("/µL", "/uL")),
    ),
    "liver": Test(
        (LOINC, "77615-3", "Liver stiffness"),
        "Liver stiffness by transient elastography",
        ("kPa", "kPa"),
        category="imaging",
    ),
    "weight": Test((LOINC, "29463-7", "Body weight"), "Body weight", ("kg", "kg"), category="vital-signs"),
}

# word → SNOMED CT code and HL7 interpretation
WORDS = {
    "Negative": ("260385009", "NEG"),
    "Positive": ("10828004", "POS"),
    "Not detected": ("260415000", "ND"),
    "Detected": ("260373001", "DET"),
}

# problem → codings and the words on the problem list
PROBLEMS: dict[str, tuple[tuple[Coding, ...], str]] = {
    "hemophilia-b": (
        (
            (ICD10, "D67", "Hereditary factor IX deficiency"),
            (SNOMED, "41788008", "Hereditary factor IX deficiency disease (disorder)"),
        ),
        "Congenital hemophilia B",
    ),
    "hemophilia-a": (
        (
            (ICD10, "D66", "Hereditary factor VIII deficiency"),
            (SNOMED, "28293008", "Hereditary factor VIII deficiency disease (disorder)"),
        ),
        "Severe congenital hemophilia A",
    ),
    "brain-bleed": (
        (
            (ICD10, "I62.9", "Nontraumatic intracranial hemorrhage, unspecified"),
            (SNOMED, "1386000", "Intracranial hemorrhage (disorder)"),
        ),
        "Intracranial hemorrhage",
    ),
    "knee-bleed": (((SNOMED, "202413005", "Hemarthrosis of knee (disorder)"),), "Bleed into the knee joint"),
    "hiv": (
        (
            (ICD10, "Z21", "Asymptomatic human immunodeficiency virus [HIV] infection status"),
            (SNOMED, "91947003", "Asymptomatic human immunodeficiency virus infection (disorder)"),
        ),
        "HIV infection, without symptoms",
    ),
    "gene-therapy": (
        ((ICD10, "Z92.86", "Personal history of gene therapy"),),
        "Personal history of gene therapy (Hemgenix)",
    ),
}

# drug → codings and its name on an order
DRUGS: dict[str, tuple[tuple[Coding, ...], str]] = {
    "hemgenix": (
        (
            (NDC, "0053-0099-01", "HEMGENIX injection, suspension"),
            (HCPCS, "J1411", "Injection, etranacogene dezaparvovec-drlb, per therapeutic dose"),
        ),
        "Hemgenix (etranacogene dezaparvovec-drlb) intravenous suspension",
    ),
    "roctavian": (
        ((HCPCS, "J1412", "Injection, valoctocogene roxaparvovec-rvox, per mL"),),
        "Roctavian (valoctocogene roxaparvovec-rvox) intravenous suspension",
    ),
    "benefix": (
        (
            (NDC, "58394-633-03", "BeneFIX kit"),
            (
                HCPCS,
                "J7195",
                "Injection, factor ix (antihemophilic factor, recombinant) per iu, not otherwise specified",
            ),
        ),
        "BeneFIX (coagulation factor IX, recombinant)",
    ),
    "alprolix": (
        (
            (
                RXNORM,
                "1666323",
                "coagulation factor IX recombinant immunoglobulin G1 fusion protein 1 UNT Injection [Alprolix]",
            ),
            (NDC, "71104-933-01", "ALPROLIX kit 2000 IU"),
        ),
        "Alprolix (coagulation factor IX, recombinant, Fc fusion protein)",
    ),
    "advate": (
        (
            (NDC, "0944-3053-02", "ADVATE kit"),
            (HCPCS, "J7192", "Factor viii (antihemophilic factor, recombinant) per i.u., not otherwise specified"),
        ),
        "Advate (antihemophilic factor VIII, recombinant)",
    ),
}

# line of business → codings of Coverage.type, its text, plan code and plan name
PLANS: dict[str, tuple[tuple[Coding, ...], str, str, str]] = {
    "commercial": (
        ((SOPT, "512", "Commercial Managed Care - PPO"), (PRODUCTS, "commppo", "Commercial PPO")),
        "Commercial PPO",
        "EX-PPO",
        "Example Choice PPO",
    ),
    "exchange": (
        ((PRODUCTS, "qhp", "Qualified Health Plan"),),
        "Qualified Health Plan",
        "EX-QHP",
        "Example Silver QHP",
    ),
    "medicaid": (
        (
            (SOPT, "21", "Medicaid (Managed Care)"),
            (f"{HL7}/v3-ActCode", "SUBSIDMC", "subsidized managed care program"),
        ),
        "Medicaid Managed Care",
        "EX-MMC",
        "Example Medicaid Managed Care",
    ),
    "medicare-advantage": (
        (
            (SOPT, "112", "Medicare PPO"),
            (PRODUCTS, "mediadv", "Medicare Advantage"),
        ),
        "Medicare Advantage PPO",
        "EX-MA",
        "Example Medicare Advantage PPO",
    ),
    "child-health-plus": (
        ((SOPT, "361", "State SCHIP program (codes for individual states)"),),
        "Child Health Plus",
        "EX-CHP",
        "Example Child Health Plus",
    ),
    "federal": (
        (
            (SOPT, "391", "Federal Employee Health Plan - Use when known"),
            (f"{HL7}/v3-ActCode", "GOVEMP", "government employee health program"),
        ),
        "Federal Employee Program",
        "EX-FEP",
        "Example Federal Employee Program",
    ),
}
