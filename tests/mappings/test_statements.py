"""Sentences of notes that state a fact of the patient, and those that only look so."""

import pytest
from lab_samples import INDEX

from fhir_mappings.document import sentences

STATED = [
    ("no_prior_gene_therapy", "No prior gene therapy exposure."),
    ("no_prior_gene_therapy", "Gene therapy naive."),
    ("no_prior_gene_therapy", "Gene therapy-naïve patient."),
    ("no_prior_gene_therapy", "Has not received any gene therapy to date."),
    ("no_prior_gene_therapy", "Patient has not previously undergone gene therapy."),
    ("no_prior_gene_therapy", "Prior gene therapy: none"),
    ("no_prior_gene_therapy", "Prior gene therapy: No"),
    ("no_prior_gene_therapy", "He has never been treated with gene therapy or enrolled in a gene therapy trial."),
    ("prior_gene_therapy", "Received Hemgenix infusion on 3/1/2024."),
    ("prior_gene_therapy", "Patient was dosed with valoctocogene roxaparvovec in GENEr8-1."),
    ("prior_gene_therapy", "History of gene therapy (AMT-061) in 2019."),
    ("prior_gene_therapy", "Underwent gene therapy for hemophilia B in 2023."),
    ("life_threatening_bleed", "Life-threatening GI hemorrhage in 2015 requiring transfusion."),
    ("life_threatening_bleed", "Intracranial hemorrhage in 2010."),
    ("life_threatening_bleed", "He had an intracranial bleed at age 5."),
    ("life_threatening_bleed", "Subdural hematoma 2018 after fall, evacuated."),
    ("aav5_negative", "AAV5 NAb negative."),
    ("aav5_negative", "AAV5 antibodies not detected."),
    ("aav5_negative", "Negative for AAV5 neutralizing antibodies."),
    ("aav5_negative", "Anti-AAV5 antibody: Not Detected"),
    ("no_factor_ix_inhibitor_history", "No history of inhibitors."),
    ("no_factor_ix_inhibitor_history", "Inhibitor history: none"),
    ("no_factor_ix_inhibitor_history", "Has never had an inhibitor."),
    ("no_factor_ix_inhibitor_history", "Denies history of factor IX inhibitors."),
    ("no_other_coagulation_disorder", "No other bleeding disorders."),
    ("no_other_coagulation_disorder", "No other known coagulation disorder."),
    ("on_prophylaxis", "On prophylaxis with Alprolix weekly."),
    ("on_prophylaxis", "Receives routine factor IX prophylaxis twice weekly."),
    ("hematology_consult", "Seen in hematology consult by Dr. Hale."),
    ("hematology_consult", "Hematology consultation completed 10/2026."),
    ("no_life_threatening_bleed", "No history of life-threatening bleeds."),
    ("no_breakthrough_bleeds", "No breakthrough bleeds on prophylaxis."),
    ("on_demand_only", "On-demand therapy only."),
    ("on_demand_only", "Treated on demand with BeneFIX."),
]
NOT_STATED = [
    ("no_prior_gene_therapy", "Prior gene therapy: yes"),
    ("no_prior_gene_therapy", "Has not decided on gene therapy."),
    ("no_prior_gene_therapy", "Has not received gene therapy education yet."),
    ("no_prior_gene_therapy", "No prior gene therapy documented in this chart."),
    ("no_prior_gene_therapy", "Unable to confirm no prior gene therapy."),
    ("no_prior_gene_therapy", "If no prior gene therapy, proceed."),
    ("no_prior_gene_therapy", "Mother reports brother has never received gene therapy."),
    ("no_prior_gene_therapy", "Not received gene therapy consent form."),
    ("no_prior_gene_therapy", "Insurance requires no prior gene therapy."),
    ("no_prior_gene_therapy", "No contraindication to prior gene therapy."),
    ("prior_gene_therapy", "Received information about Hemgenix."),
    ("prior_gene_therapy", "Received approval for Hemgenix."),
    ("prior_gene_therapy", "Received Hemgenix brochure."),
    ("prior_gene_therapy", "Patient to receive Hemgenix."),
    ("prior_gene_therapy", "Hemgenix received by pharmacy."),
    ("prior_gene_therapy", "Has a history of wanting gene therapy."),
    ("life_threatening_bleed", "No intracranial hemorrhage."),
    ("life_threatening_bleed", "At risk of life-threatening bleeding."),
    ("life_threatening_bleed", "Educated about life-threatening bleeds."),
    ("life_threatening_bleed", "CT head: no acute intracranial hemorrhage."),
    ("life_threatening_bleed", "Concern for life-threatening hemorrhage."),
    ("life_threatening_bleed", "To prevent life-threatening bleeds he uses factor."),
    ("life_threatening_bleed", "Hemophilia can cause life-threatening bleeding."),
    ("life_threatening_bleed", "Father had intracranial hemorrhage."),
    ("life_threatening_bleed", "Call 911 for life-threatening bleeding."),
    ("life_threatening_bleed", "Evaluate for intracranial hemorrhage."),
    ("life_threatening_bleed", "Denies life-threatening bleeds."),
    ("aav5_negative", "AAV5 antibody positive."),
    ("aav5_negative", "AAV5 result pending."),
    ("aav5_negative", "Should AAV5 be negative, proceed."),
    ("aav5_negative", "AAV8 negative."),
    ("aav5_negative", "AAV5 antibody negative in brother."),
    ("aav5_negative", "AAV5 negative required for Roctavian."),
    ("aav5_negative", "AAV5 antibody not negative."),
    ("aav5_negative", "AAV5 expected negative."),
    ("aav5_negative", "AAV5: false negative cannot be excluded"),
    ("no_factor_ix_inhibitor_history", "No inhibitor test on file."),
    ("no_factor_ix_inhibitor_history", "No current inhibitor."),
    ("no_factor_ix_inhibitor_history", "Inhibitor negative today."),
    ("no_factor_ix_inhibitor_history", "No history of ACE inhibitors."),
    ("no_factor_ix_inhibitor_history", "No history of inhibitor testing."),
    ("no_factor_ix_inhibitor_history", "No history of inhibitor screening documented."),
    ("no_factor_ix_inhibitor_history", "No history of factor VIII inhibitors."),
    ("no_factor_ix_inhibitor_history", "Has never had an inhibitor test."),
    ("no_factor_ix_inhibitor_history", "No known inhibitor history documented."),
    ("no_factor_ix_inhibitor_history", "No history of inhibitors in family."),
    ("no_other_coagulation_disorder", "No other coagulation testing done."),
    ("no_other_coagulation_disorder", "No other bleeding."),
    ("no_other_coagulation_disorder", "No other bleeding episodes."),
    ("no_other_coagulation_disorder", "No other coagulation disorder ruled out."),
    ("no_other_coagulation_disorder", "No other bleeding symptoms."),
    ("no_other_coagulation_disorder", "No other clotting factor given."),
    ("on_prophylaxis", "Not on prophylaxis."),
    ("on_prophylaxis", "Was on Alprolix prophylaxis until 2020."),
    ("on_prophylaxis", "On antibiotic prophylaxis."),
    ("on_prophylaxis", "On Hemlibra prophylaxis."),
    ("on_prophylaxis", "Considering factor IX prophylaxis."),
    ("on_prophylaxis", "Plan: start Alprolix prophylaxis."),
    ("on_prophylaxis", "Stopped Alprolix prophylaxis."),
    ("hematology_consult", "Needs hematology consult."),
    ("hematology_consult", "Refer to hematology."),
    ("hematology_consult", "Hematology consult pending."),
    ("hematology_consult", "No hematology consult."),
    ("hematology_consult", "Hematology consult declined."),
    ("hematology_consult", "Cancelled hematology consult."),
    ("hematology_consult", "Consider hematology consultation."),
    ("no_life_threatening_bleed", "No life-threatening bleeds this month."),
    ("no_life_threatening_bleed", "No life-threatening bleeding today."),
    ("no_life_threatening_bleed", "No life-threatening bleed since last visit."),
    ("no_breakthrough_bleeds", "No breakthrough bleeds since last visit."),
    ("no_breakthrough_bleeds", "No breakthrough bleeds this week."),
    ("on_demand_only", "Switched from on-demand to prophylaxis."),
    ("on_demand_only", "Previously on demand."),
    ("on_demand_only", "Prophylaxis plus on-demand doses."),
]


def holds(name: str, text: str) -> bool:
    return any(f"statement.{name}" in INDEX.names_of_text(sentence, "statement") for sentence in sentences(text))


@pytest.mark.parametrize(("name", "text"), STATED)
def test_a_plain_sentence_states_it(name: str, text: str) -> None:
    """As clinicians write it."""
    assert holds(name, text)


@pytest.mark.parametrize(("name", "text"), NOT_STATED)
def test_a_sentence_that_only_looks_so_states_nothing(name: str, text: str) -> None:
    """A plan, a rule, an empty chart, a test, another person, another thing."""
    assert not holds(name, text)
