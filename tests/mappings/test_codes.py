"""Codings, concepts and texts to value sets."""

from typing import Any

import pytest
from lab_samples import INDEX, SETS, SNOMED, SYSTEMS, coded, vectors

from cds_service.policy.value_sets import Kind
from fhir_mappings.codes import concept_key, loinc_valid, ndc_11

NDC = "http://hl7.org/fhir/sid/ndc"
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
NUCC = "http://nucc.org/provider-taxonomy"


def names(code: str, system: str, kind: Kind, text: str = "", display: str = "") -> frozenset[str]:
    return INDEX.names(coded(code, text, system, display), kind)


@pytest.mark.parametrize(
    "row", [row for row in vectors("texts.json") if row["kind"] != "test"], ids=lambda row: row["text"]
)
def test_a_text_names_the_sets_that_it_should(row: dict[str, Any]) -> None:
    """Every agreed wording, for and against."""
    assert bool(INDEX.names({"text": row["text"]}, row["kind"]) & set(row["names"])) is row["match"]


@pytest.mark.parametrize(
    "uri", [*SYSTEMS.systems["hcpcs"], "HTTPS://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets/"]
)
def test_hcpcs_is_read_under_every_alias(uri: str) -> None:
    """Also with a capital letter or a slash too many."""
    assert names("J1411", uri, "product") == {"order.hemgenix"}
    assert names(" j1412 ", uri, "product") == {"order.roctavian"}


@pytest.mark.parametrize("code", ["0053-0300-30", "00053-0300-30", "00053030030", "0053030030", " 0053-0300-30 "])
def test_an_ndc_is_read_in_every_form(code: str) -> None:
    """Ten or eleven digits, with and without dashes."""
    assert names(code, NDC, "product") == {"order.hemgenix"}


def test_an_ndc_becomes_eleven_digits() -> None:
    """Ten bare digits can stand for three."""
    assert ndc_11("71104-933-01") == ("71104093301",)
    assert ndc_11("68516-3610-2") == ("68516361002",)
    assert ndc_11("0053030030") == ("00053030030", "00530030030", "00530300300")
    assert ndc_11("0053-0300") == ()
    assert ndc_11("ABC") == ()
    assert ndc_11("123456789012") == ()


def test_a_code_without_its_system_is_no_match() -> None:
    """The words beside it may be one."""
    assert names("D67", "", "condition") == frozenset()
    assert names("D67", "urn:local", "condition", text="Hemophilia B") == {"cond.hemophilia_b"}


@pytest.mark.parametrize("code", ["I60.9", "I60.00", "I6201", "S06.5X0A", "S06.361D", "I61"])
def test_a_branch_of_icd_holds_every_code_below_it(code: str) -> None:
    """With its seventh character and without its dot."""
    assert names(code, ICD, "condition") == {"cond.intracranial_hemorrhage"}


def test_a_bleed_without_loss_of_consciousness_is_a_bleed() -> None:
    """That "without" does not take the code away."""
    text = "Traumatic subdural hemorrhage without loss of consciousness, initial encounter"
    assert names("S06.5X0A", ICD, "condition", text=text) == {"cond.intracranial_hemorrhage"}
    assert names("S06.0X0A", ICD, "condition", text="Concussion without intracranial hemorrhage") == frozenset()


@pytest.mark.parametrize("code", ["S06.0X0A", "I63.9", "I6", "S06.3"])
def test_a_code_beside_the_branch_is_not_of_it(code: str) -> None:
    """A concussion is no bleed."""
    assert names(code, ICD, "condition") == frozenset()


def test_words_take_a_code_away() -> None:
    """A family history is not the patient's."""
    assert names("D67", ICD, "condition", text="Family history of hemophilia B") == frozenset()
    assert names("D67", ICD, "condition") == {"cond.hemophilia_b"}


def test_an_excluded_code_takes_the_words_away() -> None:
    """A carrier may be called by the name of the disease."""
    concept = {"coding": [{"system": ICD, "code": "Z14.01"}], "text": "Hemophilia A"}
    assert INDEX.names(concept, "condition") == frozenset()


def test_a_partial_code_needs_the_words() -> None:
    """The number alone was never seen with its name."""
    assert names("J7199", SYSTEMS.systems["hcpcs"][0], "product") == frozenset()
    assert names("J7199", SYSTEMS.systems["hcpcs"][0], "product", text="Alprolix") == {"med.factor_ix"}


def test_a_drug_is_known_by_its_rxnorm_code_alone() -> None:
    """The codes that openFDA links to the brand name it without a word beside them."""
    assert names("2626784", "http://www.nlm.nih.gov/research/umls/rxnorm", "product") == {"order.hemgenix"}


def test_hematology_is_never_a_prefix() -> None:
    """207RH0002X is hospice medicine and 207RH0005X hypertension."""
    assert names("207RH0000X", NUCC, "specialty") == {"specialty.hematology"}
    assert names("207RH0002X", NUCC, "specialty") == frozenset()
    assert names("207RH0005X", NUCC, "specialty") == frozenset()
    assert names("363L00000X", NUCC, "specialty", text="Hematology nurse practitioner") == frozenset()


@pytest.mark.parametrize("code", ["HMO", "PPO", "POS", "EHCPOL", "HIP", "SUBSIDMC", "PUBLICPOL"])
def test_a_plan_type_that_any_line_can_have_decides_nothing(code: str) -> None:
    """HMO may be commercial, Medicare or Medicaid."""
    assert names(code, SYSTEMS.systems["act-code"][0], "coverage") == frozenset()


@pytest.mark.parametrize(
    ("code", "system", "name"),
    [
        ("512", "sopt", "commercial"),
        ("qhp", "plan-net-product", "qhp"),
        ("211", "sopt", "medicaid_managed_care"),
        ("361", "sopt", "child_health_plus"),
        ("111", "sopt", "medicare_advantage"),
        ("141", "sopt", "dual_snp"),
        ("391", "sopt", "fep"),
        ("rxbin", "coverage-class", "pharmacy_card"),
        ("DRUGPOL", "act-code", "pharmacy_benefit"),
        ("191", "sopt", "pharmacy_benefit"),
    ],
)
def test_a_code_of_a_line_of_business_is_that_line(code: str, system: str, name: str) -> None:
    """One set for each line."""
    assert names(code, SYSTEMS.systems[system][0], "coverage") == {f"coverage.{name}"}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Medicare Advantage PPO", "medicare_advantage"),
        ("Medicare Part D", "medicare_part_d"),
        ("NY Essential Plan 1", "essential_plan"),
        ("Medicaid HARP", "medicaid_managed_care"),
        ("Child Health Plus", "child_health_plus"),
        ("D-SNP", "dual_snp"),
        ("Federal Employee Program", "fep"),
        ("Dental PPO", "ancillary"),
        ("HMO", None),
        ("Medicaid", None),
    ],
)
def test_a_plan_name_is_its_line(text: str, name: str | None) -> None:
    """The name tells where no code does."""
    assert INDEX.names_of_text(text, "coverage") == ({f"coverage.{name}"} if name else frozenset())


def test_an_order_of_one_gene_therapy_is_no_other_one() -> None:
    """The stems of the names match the ordered drug too, and must not."""
    for text in (
        "HEMGENIX (etranacogene dezaparvovec-drlb), AAV5 factor IX gene therapy",
        "valoctocogene roxaparvovec",
    ):
        assert len(INDEX.names_of_text(text, "product")) == 1, text
    assert INDEX.names_of_text("Zolgensma (onasemnogene abeparvovec), AAV9", "product") == {
        "product.other_gene_therapy"
    }
    assert INDEX.names_of_text("gene therapy", "product") == {"product.other_gene_therapy"}
    assert INDEX.names_of_text("AAV5 antibody (Roctavian eligibility)", "product") == frozenset()


def test_a_product_for_warfarin_reversal_is_no_factor_ix() -> None:
    """Kcentra contains factor IX and is no prophylaxis."""
    assert names("C9132", SYSTEMS.systems["hcpcs"][0], "product", text="Kcentra, factor IX complex") == frozenset()
    assert INDEX.names_of_text("Profilnine factor IX complex", "product") == {"med.factor_ix"}


def test_an_antihemophilic_factor_ix_is_not_factor_viii() -> None:
    """Payers call both antihemophilic."""
    assert INDEX.names_of_text("factor ix (antihemophilic factor, recombinant)", "product") == {"med.factor_ix"}
    assert INDEX.names_of_text("factor viia (antihemophilic factor, recombinant)", "product") == {"med.bypassing"}


def test_an_inhibitor_goes_to_the_factor_that_is_named() -> None:
    """Without a name it goes to both, and a bare code of acquired hemophilia to neither."""
    assert INDEX.names_of_text("Hemophilia B with inhibitor", "condition") == {
        "cond.hemophilia_b",
        "cond.factor_ix_inhibitor",
    }
    assert INDEX.names_of_text("Factor VIII inhibitor positive", "condition") == {"cond.factor_viii_inhibitor"}
    both = INDEX.names_of_text("High titer inhibitor", "condition")
    assert both == {"cond.factor_viii_inhibitor", "cond.factor_ix_inhibitor"}
    bare = names("D68.311", ICD, "condition")
    assert bare == {"cond.acquired_hemophilia", "cond.factor_inhibitor_unclear"}
    named = names("D68.318", ICD, "condition", text="Anti-FIX, factor IX inhibitor 5 BU positive")
    assert named == {"cond.factor_ix_inhibitor"}


@pytest.mark.parametrize(
    "text", ["ACE inhibitor cough", "SGLT2 inhibitor", "no history of inhibitors", "Hb SS disease"]
)
def test_other_inhibitors_and_abbreviations_are_none(text: str) -> None:
    """The word is a drug class, and HB is hemoglobin."""
    assert INDEX.names_of_text(text, "condition") == frozenset()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Patient has never received gene therapy.", "no_prior_gene_therapy"),
        ("Gene therapy naive", "no_prior_gene_therapy"),
        ("Received valoctocogene in a trial in 2019.", "prior_gene_therapy"),
        ("Subdural hematoma in 2011.", "life_threatening_bleed"),
        ("Life-threatening retroperitoneal hemorrhage in 2018.", "life_threatening_bleed"),
        ("He has never had a life-threatening hemorrhage.", "no_life_threatening_bleed"),
        ("On continuous factor IX prophylaxis with Idelvion.", "on_prophylaxis"),
        ("Treated on demand only.", "on_demand_only"),
        ("No other coagulation disorder.", "no_other_coagulation_disorder"),
        ("In consultation with hematologist Dr. Lee.", "hematology_consult"),
        ("Immune tolerance induction completed in 2012.", "immune_tolerance"),
    ],
)
def test_a_sentence_states_what_it_says(text: str, name: str) -> None:
    """One sentence, one statement."""
    assert INDEX.names_of_text(text, "statement") == {f"statement.{name}"}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("No history of inhibitors.", {"no_factor_ix_inhibitor_history", "no_factor_viii_inhibitor_history"}),
        ("Inhibitor history: none", {"no_factor_ix_inhibitor_history", "no_factor_viii_inhibitor_history"}),
        ("No h/o inhibitors.", {"no_factor_ix_inhibitor_history", "no_factor_viii_inhibitor_history"}),
        (
            "No history of inhibitors to factor IX or factor VIII.",
            {"no_factor_ix_inhibitor_history", "no_factor_viii_inhibitor_history"},
        ),
        ("Denies any history of factor IX inhibitors", {"no_factor_ix_inhibitor_history"}),
        ("No history of inhibitors to factor VIII.", {"no_factor_viii_inhibitor_history"}),
        ("History of factor IX inhibitor in 2009, eradicated", {"factor_ix_inhibitor_history"}),
        ("H/o factor IX inhibitor (peak 12 BU) at age 3.", {"factor_ix_inhibitor_history"}),
        ("Hx of FVIII inhibitor.", {"factor_viii_inhibitor_history"}),
        (
            "He developed a low-titer inhibitor at age 3.",
            {"factor_ix_inhibitor_history", "factor_viii_inhibitor_history"},
        ),
    ],
)
def test_an_inhibitor_is_that_of_the_factor_named(text: str, names: set[str]) -> None:
    """Without a name it is the one of the patient's own factor."""
    assert INDEX.names_of_text(text, "statement") == {f"statement.{name}" for name in names}


@pytest.mark.parametrize(
    "text", ["AAV5 NAb negative 2025-10-01", "AAV5 total antibody: Not Detected", "AAV5 positive, 1:58"]
)
def test_a_screening_that_was_done_is_stated(text: str) -> None:
    """Whatever came out."""
    assert "statement.aav5_screened" in INDEX.names_of_text(text, "statement")


@pytest.mark.parametrize(
    "text",
    [
        "Family history of inhibitors.",
        "Brother had an intracranial hemorrhage.",
        "Is there a history of inhibitors?",
        "History of inhibitors is unknown.",
        "Rule out inhibitor.",
        "No intracranial hemorrhage.",
        "CT head to rule out intracranial hemorrhage.",
        "Call immediately for signs of intracranial hemorrhage.",
        "Return if symptoms of subdural hematoma.",
        "Hemophilia can cause intracranial hemorrhage.",
        "Mother fears intracranial hemorrhage.",
        "GI bleed 2019.",
        "Life-threatening bleed in the past.",
        "Patient is a candidate for gene therapy.",
        "Discussed gene therapy.",
        "Gene therapy trial, placebo arm.",
        "Never received gene therapy, but brother did.",
        "No longer on factor IX prophylaxis.",
        "On prophylaxis with Hemlibra.",
        "Was on demand until 2015.",
        "AAV5 antibody screening pending.",
        "Will test for AAV5 antibodies.",
        "AAV8 antibody negative.",
        "No immune tolerance induction.",
        "Refer to hematology.",
    ],
)
def test_a_sentence_that_denies_asks_or_plans_states_nothing(text: str) -> None:
    """Nor does one about a relative."""
    assert INDEX.names_of_text(text, "statement") == frozenset()


@pytest.mark.parametrize(
    "concept",
    [
        None,
        "D67",
        5,
        [],
        {"coding": "D67"},
        {"coding": [None, 5, {"code": 67}]},
        {"coding": {"code": "D67"}},
        {"text": []},
    ],
)
def test_malformed_concepts_are_no_match(concept: Any) -> None:
    """Nothing raises."""
    assert INDEX.names(concept, "condition") == frozenset()
    assert INDEX.names_of_coding(concept, "condition") == frozenset()
    assert INDEX.names_of_text(concept, "condition") == frozenset() or isinstance(concept, str)
    assert concept_key(concept)[1] == ""


@pytest.mark.parametrize("code", ["13952-7", "3187-2", "777-3", "24467-3"])
def test_a_loinc_number_has_a_check_digit(code: str) -> None:
    """Mod 10, as Regenstrief computes it."""
    assert loinc_valid(code)


@pytest.mark.parametrize("code", ["13952-0", "3187-3", "777", "777-", "LA6576-8", "", "7²7-3"])
def test_a_wrong_check_digit_is_seen(code: str) -> None:
    """13952-0 stands in public lists."""
    assert not loinc_valid(code)


def test_the_codes_of_a_set_can_be_searched() -> None:
    """Verified ones, as tokens; a branch cannot be asked for by token."""
    assert set(INDEX.tokens(["cond.hemophilia_b"])) == {f"{SNOMED}|41788008", f"{ICD}|D67"}
    assert not any("|I60" in token for token in INDEX.tokens(["cond.intracranial_hemorrhage"]))
    assert all(INDEX.tokens([name]) is not None for name in SETS)
