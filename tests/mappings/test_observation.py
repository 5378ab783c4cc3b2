"""Observations to results."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from lab_samples import (
    ANTI_HCV,
    CD4,
    FIX,
    FIX_INHIBITOR,
    FVIII,
    FVIII_INHIBITOR,
    HBSAG,
    HCV_RNA,
    HIV,
    INTERPRETATION,
    LABS,
    LOINC,
    PLATELETS,
    SNOMED,
    coded,
    interpretation,
    limits,
    observation,
    quantity,
    read,
    read_all,
)

from cds_service.policy.dates import day_span
from cds_service.policy.facts import Interval, Result, Stage, Word, exactly
from cds_service.policy.reasons import Reason
from fhir_mappings.observation import read_observation

PLT = {"valueQuantity": quantity("212", "10*9/L")}
POSITIVE, NEGATIVE = "10828004", "260385009"


def answer(code: str) -> dict[str, Any]:
    """A value in SNOMED."""
    return {"valueCodeableConcept": coded(code, system=SNOMED)}


# -- what a card shows -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "members", "display"),
    [
        (PLATELETS, PLT, "Platelets 212 10*9/L on 2026-01-05"),
        (FIX, {"valueQuantity": quantity("1.20", "%")}, "Factor IX activity 1.20 % on 2026-01-05"),
        (FIX, {"valueQuantity": quantity(1, "%", "<")}, "Factor IX activity <1 % on 2026-01-05"),
        (FIX, {"valueString": "less than 1 %"}, "Factor IX activity: less than 1 % on 2026-01-05"),
        (HBSAG, {"valueString": "Negative"}, "Hepatitis B surface antigen: Negative on 2026-01-05"),
        (HBSAG, answer(NEGATIVE), "Hepatitis B surface antigen: Negative on 2026-01-05"),
        (PLATELETS, {**PLT, "effectiveDateTime": "2026-01"}, "Platelets 212 10*9/L on 2026-01"),
        (PLATELETS, {**PLT, "effectiveDateTime": None}, "Platelets 212 10*9/L"),
        (PLATELETS, {**PLT, "status": "preliminary"}, "Platelets 212 10*9/L on 2026-01-05 (preliminary)"),
        (PLATELETS, {"status": "registered"}, "Platelets: no result yet on 2026-01-05"),
    ],
)
def test_the_display_is_what_the_source_wrote(code: str, members: dict[str, Any], display: str) -> None:
    """Title, digits, comparator, unit and day."""
    assert read(code, **members).display == display


def test_a_long_text_is_cut_on_the_card() -> None:
    """A report may stand in a value."""
    assert len(read(HBSAG, valueString="Negative. " + "x" * 500).display) < 180


def test_the_reference_is_relative() -> None:
    """Without an id it still says what it is."""
    assert read(PLATELETS, **PLT).reference == "Observation/o1"
    assert read(PLATELETS, **PLT, id=None).reference == "Observation"


# -- status and date ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "stage"),
    [
        ("final", Stage.FINAL),
        ("amended", Stage.FINAL),
        ("corrected", Stage.FINAL),
        ("preliminary", Stage.PRELIMINARY),
        ("registered", Stage.ORDERED),
    ],
)
def test_the_status_is_how_far_a_result_has_come(status: str, stage: Stage) -> None:
    """A registered one has no value, whatever it carries."""
    found = read(PLATELETS, **PLT, status=status)
    assert found.stage is stage
    assert (found.value is None) is (stage is Stage.ORDERED)


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error"])
def test_a_result_that_does_not_count_is_none(status: str) -> None:
    """What was withdrawn says nothing, and stands in the way of nothing."""
    assert read_all(PLATELETS, **PLT, status=status) == ()


@pytest.mark.parametrize("status", ["unknown", None, 5, [], ["final"], "FINAL", " final"])
def test_a_result_of_unknown_status_proves_nothing(status: Any) -> None:
    """It may have been withdrawn, and it may be the newest: it is there, without a value."""
    found = read(PLATELETS, **PLT, status=status)
    assert (found.value, found.word, found.problem) == (None, None, Reason.INCONCLUSIVE)
    assert "(its status is not known)" in found.display


def test_no_result_of_unknown_status_is_still_no_result() -> None:
    """An order without a value stays one."""
    assert read(PLATELETS, status="unknown").stage is Stage.ORDERED


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"dataAbsentReason": coded("not-performed")},
        {"valueString": "Pending"},
        {"valueString": "QNS"},
        {"valueString": "Specimen rejected"},
    ],
)
def test_a_result_without_a_value_is_still_an_order(members: dict[str, Any]) -> None:
    """Never a negative one."""
    for code in (PLATELETS, HBSAG):
        found = read(code, **members)
        assert (found.stage, found.value, found.word, found.problem) == (Stage.ORDERED, None, None, None)


def test_the_day_of_issue_is_flagged() -> None:
    """It stands in for the day of the specimen."""
    found = read(PLATELETS, **PLT, effectiveDateTime=None, issued="2026-01-09T00:00:00Z")
    assert found.date == day_span(date(2026, 1, 9))
    assert found.flags == {"date-issued"}


def test_a_period_gives_its_end() -> None:
    """One that still runs gives no day."""
    ended = {"start": "2025-12-01", "end": "2026-01-05"}
    assert read(PLATELETS, **PLT, effectiveDateTime=None, effectivePeriod=ended).date == day_span(date(2026, 1, 5))
    running = read(
        PLATELETS, **PLT, effectiveDateTime=None, effectivePeriod={"start": "2025-12-01"}, issued="2026-01-09"
    )
    assert running.date is None


# -- which test it is --------------------------------------------------------------------------------------------------


def test_a_name_alone_is_flagged() -> None:
    """Weaker than a code."""
    assert read({"text": "Platelet count"}, **PLT).flags == {"text-match"}


def test_a_partial_code_needs_name_or_unit() -> None:
    """88449-4 alone proves nothing."""
    assert read_all("88449-4", valueQuantity=quantity(1, "BU")) == ()
    assert read_all("88449-4", valueString="1 %") == ()
    assert read("88449-4", valueQuantity=quantity(1, "%")).value == exactly(Decimal(1))
    assert read(coded("88449-4", "Factor IX activity, chromogenic"), valueString="1 %").value == exactly(Decimal(1))
    assert read("77615-3", valueQuantity=quantity("5.8", "kPa")).test == "liver_stiffness"
    assert read_all("77615-3", valueQuantity=quantity("2.1", "m/s")) == ()


def test_an_inhibitor_titre_under_the_code_of_the_activity_is_an_inhibitor() -> None:
    """A laboratory was seen to use 3187-2 for it."""
    found = read(coded(FIX, "Factor IX inhibitor titer"), valueQuantity=quantity("1.2", "BU"))
    assert (found.test, found.word) == ("factor_ix_inhibitor", Word.POSITIVE)
    assert read(FIX, valueQuantity=quantity("0.5", "[beth'U]")).problem is Reason.UNIT_UNKNOWN


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("3189-8", "Factor IX antigen"),
        ("30361-0", "HIV 2 Ab"),
        ("18396-2", "HIV 1 p24 antigen"),
        ("9664-4", "HIV 1 p24 Ab band"),
        ("5193-8", "Hepatitis B surface antibody"),
        ("22322-2", "anti-HBs"),
        ("8123-2", "CD4 %"),
        ("7796-7", "Platelets, large"),
        ("13056-7", "Platelets in plasma"),
        ("32623-1", "Mean platelet volume"),
        ("81894-8", "CAP"),
        ("40744-5", "Factor inhibitor"),
        ("5041-9", "Adenovirus antibody"),
        ("32286-7", "HCV genotype"),
        ("2345-7", "Glucose"),
    ],
)
def test_a_neighbouring_test_is_no_result(code: str, text: str) -> None:
    """Antigen, other specimen, other virus, percentage."""
    assert read_all(coded(code, text), valueString="Positive") == ()


def test_wrong_check_digits_are_no_code() -> None:
    """The name still tells."""
    assert read_all("13952-0", valueString="Positive") == ()
    assert read(coded("13952-0", "Hepatitis B core antibody"), valueString="Positive").flags == {"text-match"}


def test_a_porcine_titre_is_not_the_human_one() -> None:
    """Neither by name nor by code."""
    assert read_all(coded("3204-5", "Factor VIII inhibitor, porcine"), valueQuantity=quantity(5, "BU")) == ()


# -- words -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Negative", Word.NEGATIVE),
        ("NEG", Word.NEGATIVE),
        ("Not Detected", Word.NEGATIVE),
        ("None detected", Word.NEGATIVE),
        ("Non-Reactive", Word.NEGATIVE),
        ("NONREACTIVE", Word.NEGATIVE),
        ("Target not detected", Word.NEGATIVE),
        ("Negative (positive >= 1.0)", Word.NEGATIVE),
        ("Negative. A positive result would need confirmation.", Word.NEGATIVE),
        ("No HBsAg detected", Word.NEGATIVE),
        ("Positive", Word.POSITIVE),
        ("DETECTED", Word.POSITIVE),
        ("Positive (reference: negative)", Word.POSITIVE),
        ("Positive Reference range: Negative", Word.POSITIVE),
        ("2+", Word.POSITIVE),
        ("Reactive", Word.REACTIVE),
        ("Repeatedly reactive", Word.REACTIVE),
        ("Reactive, confirmation to follow", Word.REACTIVE),
        ("Indeterminate", Word.INDETERMINATE),
        ("Equivocal", Word.INDETERMINATE),
        ("Probable false positive", Word.INDETERMINATE),
        ("Presumptive positive", Word.INDETERMINATE),
        ("Positive and negative", Word.INDETERMINATE),
        ("See comment", Word.INDETERMINATE),
        ("Borderline", Word.BORDERLINE),
    ],
)
def test_a_text_is_read_negation_first(text: str, word: Word) -> None:
    """The first clause is the result."""
    assert read(HBSAG, valueString=text).word is word


@pytest.mark.parametrize(
    ("system", "code", "word"),
    [
        (SNOMED, POSITIVE, Word.POSITIVE),
        (SNOMED, "260415000", Word.NEGATIVE),
        (SNOMED, "11214006", Word.REACTIVE),
        (SNOMED, "419984006", Word.INDETERMINATE),
        (LOINC, "LA6577-6", Word.NEGATIVE),
        (LOINC, "LA11882-0", Word.POSITIVE),
        (LOINC, "LA15255-5", Word.REACTIVE),
        (INTERPRETATION, "ND", Word.NEGATIVE),
        (SNOMED, "17621005", None),
    ],
)
def test_a_coded_value_is_its_word(system: str, code: str, word: Word | None) -> None:
    """ "Normal" is none for an infection."""
    assert read(HBSAG, valueCodeableConcept=coded(code, system=system)).word is word


def test_reactive_awaits_confirmation_on_a_screen_only() -> None:
    """Anti-HBc has no confirmation: reactive is positive."""
    assert read(ANTI_HCV, valueString="Reactive").word is Word.REACTIVE
    assert read(HIV, valueString="Reactive").word is Word.REACTIVE
    assert read("13952-7", valueString="Reactive").word is Word.POSITIVE
    assert read("80203-3", valueString="HIV-1 Reactive").word is Word.POSITIVE


def test_one_positive_among_viruses_is_positive() -> None:
    """A differentiation names both viruses."""
    assert read("80203-3", valueString="HIV-1 positive, HIV-2 negative").word is Word.POSITIVE
    assert read("80203-3", valueString="HIV-1 negative, HIV-2 negative").word is Word.NEGATIVE


@pytest.mark.parametrize(
    ("members", "word"),
    [
        ({"valueString": "<15 IU/mL detected"}, Word.POSITIVE),
        ({"valueString": "Detected, below quantitation"}, Word.POSITIVE),
        ({"valueString": "<15 IU/mL"}, Word.INDETERMINATE),
        ({"valueString": "<15 IU/mL, not detected"}, Word.NEGATIVE),
        ({"valueQuantity": quantity(15, "IU/mL", "<")}, Word.INDETERMINATE),
        ({"valueQuantity": quantity(15, "IU/mL", "<"), "interpretation": interpretation("ND")}, Word.NEGATIVE),
        ({"valueQuantity": quantity(15, "IU/mL", "<"), "interpretation": interpretation("DET")}, Word.POSITIVE),
        ({"valueQuantity": quantity(1200, "[IU]/mL")}, Word.POSITIVE),
        ({"valueQuantity": quantity(0, "[IU]/mL")}, Word.NEGATIVE),
        ({"valueQuantity": quantity("3.1", "log IU/mL")}, Word.POSITIVE),
        ({"valueQuantity": quantity(400, "copies/mL")}, Word.POSITIVE),
        ({"valueQuantity": quantity(100000000, "IU/mL", ">")}, Word.POSITIVE),
    ],
)
def test_any_viral_load_that_was_found_is_detected(members: dict[str, Any], word: Word) -> None:
    """Below the limit of quantification says nothing alone."""
    found = read(HCV_RNA, **members)
    assert (found.word, found.value) == (word, None)


def test_a_viral_load_without_a_unit_is_unknown() -> None:
    """It could be anything."""
    assert read(HCV_RNA, valueQuantity=quantity(1200)).problem is Reason.UNIT_UNKNOWN


def test_an_antibody_index_needs_its_words() -> None:
    """The cut-off is the laboratory's."""
    assert read("48159-8", valueQuantity=quantity("0.1", "{s_co_ratio}")).problem is Reason.INCONCLUSIVE
    found = read("48159-8", valueQuantity=quantity("0.1", "{s_co_ratio}"), interpretation=interpretation("NR"))
    assert (found.word, found.problem) == (Word.NEGATIVE, None)


def test_a_yes_answers_only_a_question_of_presence() -> None:
    """5196-1 asks whether it is there, 48159-8 does not."""
    assert read(HBSAG, valueBoolean=False).word is Word.NEGATIVE
    assert read(HBSAG, valueBoolean=True).word is Word.POSITIVE
    assert read("48159-8", valueBoolean=False).problem is Reason.INCONCLUSIVE


@pytest.mark.parametrize("code", ["H", "L", "A", "N", "HH", "LL"])
def test_high_low_and_abnormal_are_no_result(code: str) -> None:
    """They judge by the laboratory's own range."""
    assert read(HBSAG, interpretation=interpretation(code)).stage is Stage.ORDERED
    assert read(HBSAG, valueString="Negative", interpretation=interpretation(code)).flags == frozenset()


def test_an_interpretation_does_for_a_missing_value() -> None:
    """Also in the old code system."""
    assert read(HBSAG, interpretation=interpretation("NEG")).word is Word.NEGATIVE
    assert read(HBSAG, interpretation=interpretation("POS", "http://hl7.org/fhir/v2/0078")).word is Word.POSITIVE
    assert read(PLATELETS, interpretation=interpretation("NEG")).stage is Stage.ORDERED


def test_a_value_and_an_interpretation_that_disagree_conflict() -> None:
    """A person must look."""
    assert read(HBSAG, valueString="Negative", interpretation=interpretation("POS")).flags == {"conflict"}
    assert read(HBSAG, **answer(POSITIVE), interpretation=interpretation("NEG")).flags == {"conflict"}
    assert read(HBSAG, **answer(NEGATIVE), interpretation=interpretation("NEG")).flags == frozenset()


# -- inhibitors --------------------------------------------------------------------------------------------------------


def inhibitor(value: str, **members: Any) -> Result:
    return read(FIX_INHIBITOR, valueQuantity=quantity(value, "BU"), **members)


def test_the_laboratorys_own_limit_decides_below_the_cutoff() -> None:
    """0.5 is negative where the limit is 0.6 and not where it is 0.5."""
    assert inhibitor("0.5").word is Word.BORDERLINE
    assert inhibitor("0.5", referenceRange=limits("0", "0.6", "BU")).word is Word.NEGATIVE
    assert inhibitor("0.5", referenceRange=limits("0", "0.5", "BU")).word is Word.BORDERLINE
    assert inhibitor("0.3", referenceRange=limits("0", "0.2", "BU")).word is Word.BORDERLINE
    assert inhibitor("0.6", referenceRange=limits("0", "1.0", "BU")).word is Word.POSITIVE


def test_the_laboratorys_word_settles_a_borderline_number() -> None:
    """A number beyond the cut-off it cannot undo."""
    assert inhibitor("0.5", interpretation=interpretation("POS")).word is Word.POSITIVE
    assert inhibitor("0.5", interpretation=interpretation("NEG")).word is Word.NEGATIVE
    found = inhibitor("0.8", interpretation=interpretation("NEG"))
    assert (found.word, found.flags) == (Word.POSITIVE, {"conflict"})


def test_an_inhibitor_keeps_its_number() -> None:
    """The card and the reviewer want it."""
    assert inhibitor("1.2").value == exactly(Decimal("1.2"))
    assert read(FIX_INHIBITOR, valueString="Negative").word is Word.NEGATIVE
    assert read(FIX_INHIBITOR, valueString="Positive, 12 BU").word is Word.POSITIVE
    assert read(FIX_INHIBITOR, valueQuantity=quantity("1.2")).problem is Reason.UNIT_UNKNOWN
    assert read(FIX_INHIBITOR, valueQuantity=quantity(1, "BU", "<"), interpretation=interpretation("NEG")).word is (
        Word.INDETERMINATE
    )


# -- AAV5 --------------------------------------------------------------------------------------------------------------


def test_aav5_is_found_by_name() -> None:
    """Laboratories have codes of their own."""
    found = read({"text": "AAV5 DetectCDx total antibody"}, valueString="Not Detected")
    assert (found.test, found.word, found.flags) == ("aav5_antibody", Word.NEGATIVE, {"text-match", "total-antibody"})


@pytest.mark.parametrize(
    "members", [{"valueString": "1:58"}, {"valueRatio": {"numerator": quantity(1), "denominator": quantity(58)}}]
)
def test_a_titre_without_a_cutoff_is_inconclusive(members: dict[str, Any]) -> None:
    """It is a final result all the same: the screening was done."""
    found = read({"text": "AAV5 neutralizing antibody titer"}, **members)
    assert (found.stage, found.word, found.problem) == (Stage.FINAL, None, Reason.INCONCLUSIVE)
    assert "1:58" in found.display


# -- liver -------------------------------------------------------------------------------------------------------------


def test_a_range_of_stiffness_is_an_interval() -> None:
    """8 to 10 straddles 9."""
    name = {"text": "Liver stiffness"}
    assert read(name, valueString="8-10 kPa").value == Interval(Decimal(8), Decimal(10))
    both = {"low": quantity(8, "kPa"), "high": quantity(10, "kPa")}
    assert read(name, valueRange=both).value == Interval(Decimal(8), Decimal(10))


@pytest.mark.parametrize("text", ["5.8 kPa, IQR/med 35 %", "5.8 kPa, IQR 40%", "5.8 kPa; unreliable"])
def test_an_unreliable_scan_is_flagged(text: str) -> None:
    """An interquartile range above 30 % of the median."""
    assert "unreliable" in read({"text": "Liver stiffness"}, valueString=text).flags


def test_a_reliable_scan_is_not_flagged() -> None:
    """12 % is good, and CAP beside it does not matter."""
    found = read({"text": "Liver stiffness"}, valueString="5.8 kPa, IQR/med 12 %, CAP 231 dB/m")
    assert (found.value, found.flags) == (exactly(Decimal("5.8")), {"text-match"})


def test_a_component_may_qualify_the_one_beside_it() -> None:
    """IQR over median in a component of its own."""
    components = [
        {"code": {"text": "Liver stiffness, median"}, "valueQuantity": quantity("7.1", "kPa")},
        {"code": {"text": "IQR/med"}, "valueQuantity": quantity(42, "%")},
        {"code": {"text": "Controlled attenuation parameter (CAP)"}, "valueQuantity": quantity(231, "dB/m")},
    ]
    (found,) = read_all({"text": "FibroScan"}, component=components)
    assert (found.value, found.flags) == (exactly(Decimal("7.1")), {"text-match", "unreliable"})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("F3", (3, 3)),
        ("Stage F2", (2, 2)),
        ("A2F3", (3, 3)),
        ("F3-F4", (3, 4)),
        ("F0-F1", (0, 1)),
        ("METAVIR F2 (scale F0-F4)", (2, 2)),
        (">=F3", (3, 4)),
        ("F3 or greater", (3, 4)),
        ("Cirrhosis", (4, 4)),
        ("No fibrosis", (0, 0)),
    ],
)
def test_a_fibrosis_stage_is_a_number(text: str, wanted: tuple[int, int]) -> None:
    """Two stages are an interval."""
    found = read(coded("48794-2", "Fibrosis stage"), valueString=text)
    assert found.value == Interval(Decimal(wanted[0]), Decimal(wanted[1]))


@pytest.mark.parametrize("text", ["A3", "no evidence of F3", "F8", "severe", "F2 left, F3 right"])
def test_what_is_no_stage_is_inconclusive(text: str) -> None:
    """A3 is the grade of activity."""
    found = read(coded("48794-2", "Fibrosis stage"), valueString=text)
    assert (found.value, found.problem) == (None, Reason.INCONCLUSIVE)


def test_a_stage_may_come_as_a_number_or_a_code() -> None:
    """An Ishak stage is another scale."""
    stage = coded("48794-2", "Fibrosis stage")
    assert read(stage, valueInteger=2).value == exactly(Decimal(2))
    assert read(stage, **answer("10690671000119109")).value == exactly(Decimal(3))
    assert read(stage, valueInteger=5).problem is Reason.IMPLAUSIBLE
    assert read_all({"text": "Ishak fibrosis stage"}, valueInteger=3) == ()


def test_a_fibrotest_is_a_score() -> None:
    """Its unit is none."""
    assert read({"text": "FibroTest score"}, valueQuantity=quantity("0.61")).value == exactly(Decimal("0.61"))
    assert read({"text": "FIB-4"}, valueQuantity=quantity("2.7", "1")).test == "fib4"


# -- flags -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("note", "flags"),
    [
        ("Baseline sample, untreated", {"untreated"}),
        ("Sample taken not on factor replacement", {"untreated"}),
        ("Trough before next dose", {"treated"}),
        ("30 min post infusion, compared to baseline", {"treated"}),
        ("Baseline level, then peak after infusion", {"treated"}),
        ("Patient on prophylaxis", {"treated"}),
        ("Below baseline", set()),
        ("Cord blood", {"newborn"}),
        ("Below the assay's limit of detection", {"detection-limit"}),
        ("Patient on warfarin", {"vitamin-k"}),
        ("Patient not on warfarin", set()),
    ],
)
def test_a_note_says_how_the_sample_was_taken(note: str, flags: set[str]) -> None:
    """Treated wins over untreated."""
    assert read(FIX, valueQuantity=quantity("1.2", "%"), note=[{"text": note}]).flags == flags


def test_factor_viii_does_not_hang_on_vitamin_k() -> None:
    """A low level under warfarin is as low as it is."""
    assert read(FVIII, valueQuantity=quantity("0.5", "%"), note=[{"text": "On warfarin"}]).flags == frozenset()


@pytest.mark.parametrize(
    "code",
    [
        {"text": "MR elastography liver stiffness"},
        {"text": "Liver stiffness (MRE)"},
        coded("77615-3", display="Liver stiffness by magnetic resonance elastography"),
    ],
)
def test_stiffness_by_magnetic_resonance_lies_on_another_scale(code: Any) -> None:
    """Its kilopascals are not FibroScan's."""
    assert "other-method" in read(code, valueQuantity=quantity("4.2", "kPa")).flags


def test_stiffness_by_ultrasound_is_the_policys_own() -> None:
    """Transient elastography, and what does not say how."""
    for text in ("Liver stiffness", "Transient elastography (FibroScan)"):
        assert "other-method" not in read({"text": text}, valueQuantity=quantity("4.2", "kPa")).flags


@pytest.mark.parametrize(
    ("note", "unreliable"),
    [
        ("IQR 0.8 kPa", False),
        ("IQR 0.8", False),
        ("IQR/median 0.35", True),
        ("IQR/M 0.4", True),
        ("IQR/med 12 %", False),
        ("IQR/med 0.2", False),
        ("IQR 35 %", True),
    ],
)
def test_only_the_spread_beside_the_median_makes_a_scan_unreliable(note: str, unreliable: bool) -> None:
    """A spread in kilopascals says nothing by itself."""
    found = read({"text": "Liver stiffness"}, valueQuantity=quantity("6.2", "kPa"), note=[{"text": note}])
    assert ("unreliable" in found.flags) is unreliable


@pytest.mark.parametrize(
    "members",
    [
        {"valueString": "1:58"},
        {"valueString": "<1:5"},
        {"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 58}}},
    ],
)
def test_a_titre_is_a_result_whatever_its_cutoff(members: dict[str, Any]) -> None:
    """It says that the patient was tested, and no more."""
    found = read({"text": "AAV5 neutralizing antibody"}, **members)
    assert (found.word, found.flags & {"titre"}) == (None, {"titre"})


@pytest.mark.parametrize(("low", "high", "value", "count"), [(150, 400, 212, 212), (150000, 400000, 49000, 49)])
def test_a_platelet_count_without_unit_is_read_on_the_scale_of_its_range(
    low: int, high: int, value: int, count: int
) -> None:
    """Without a range it stays unread."""
    ranges = [{"low": {"value": low}, "high": {"value": high}}]
    found = read(PLATELETS, valueQuantity=quantity(value), referenceRange=ranges)
    assert found.value is not None
    assert found.value.low == count


def test_the_name_and_the_method_are_read_for_flags_too() -> None:
    """Laboratories write it there."""
    assert read(coded(FIX, "Factor IX activity, baseline"), valueQuantity=quantity(1, "%")).flags == {"untreated"}
    assert read(FIX, valueQuantity=quantity(1, "%"), method={"text": "trough sample"}).flags == {"treated"}


def test_a_number_at_the_detection_limit_is_flagged() -> None:
    """ "At most 1" and "off scale low" are not a measured 1."""
    assert read(FVIII, valueQuantity=quantity(1, "%", "<=")).flags == {"detection-limit"}
    assert read(FVIII, valueString="<=1 %").flags == {"detection-limit"}
    assert read(FVIII, valueQuantity=quantity(1, "%"), interpretation=interpretation("<")).flags == {"detection-limit"}
    assert read(FVIII, valueQuantity=quantity(1, "%", "<")).flags == frozenset()


def test_clumping_is_flagged_unless_it_is_denied() -> None:
    """A low count may be false."""
    assert read(PLATELETS, **PLT, note=[{"text": "Platelet clumps seen on smear"}]).flags == {"clumped"}
    assert read(PLATELETS, **PLT, note=[{"text": "No platelet clumps seen"}]).flags == frozenset()


# -- panels ------------------------------------------------------------------------------------------------------------


def test_each_component_that_is_a_test_is_a_result() -> None:
    """With the date and status of the panel."""
    components = [
        {"code": coded(HBSAG), "valueString": "Negative"},
        {"code": coded(ANTI_HCV), "valueString": "Reactive"},
        {"code": coded("2345-7"), "valueQuantity": quantity(5, "mmol/L")},
        "junk",
    ]
    found = read_all({"text": "Hepatitis panel"}, component=components, status="corrected")
    assert [(result.test, result.word, result.stage) for result in found] == [
        ("hbsag", Word.NEGATIVE, Stage.FINAL),
        ("anti_hcv", Word.REACTIVE, Stage.FINAL),
    ]
    assert {result.reference for result in found} == {"Observation/o1"}


def test_a_panel_is_no_result_itself() -> None:
    """Its members hold the results."""
    assert read_all("85037-0") == ()
    assert read_all(HBSAG, hasMember=[{"reference": "Observation/o2"}]) == ()
    assert read("85037-0", valueString="Negative").word is Word.NEGATIVE


# -- malformed ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "members",
    [
        {"valueQuantity": "212"},
        {"valueQuantity": {"value": "212", "unit": "10*9/L"}},
        {"valueQuantity": {"value": [], "unit": {}}},
        {"valueString": 5},
        {"valueCodeableConcept": []},
        {"valueRange": "5"},
        {"valueInteger": True},
        {"valueSampledData": {}},
    ],
)
def test_a_value_of_the_wrong_shape_is_inconclusive(members: dict[str, Any]) -> None:
    """It costs this result only."""
    found = read(PLATELETS, **members)
    assert found.value is None
    assert found.problem is not None


@pytest.mark.parametrize(
    "member",
    ["code", "note", "component", "interpretation", "referenceRange", "method", "effectivePeriod", "status", "id"],
)
@pytest.mark.parametrize(
    "junk", [5, "x", [], {}, [None], [5], ["x"], [[]], [{"text": 5}], {"coding": [5]}, {"coding": 5}]
)
def test_a_member_of_the_wrong_shape_never_raises(member: str, junk: Any) -> None:
    """Whatever an EHR sends."""
    for code, members in ((PLATELETS, PLT), (HBSAG, answer(POSITIVE)), (CD4, {"valueString": "400 /uL"})):
        resource = observation(code, **members) | {member: junk}
        assert all(isinstance(result, Result) for result in read_observation(resource, LABS))


@pytest.mark.parametrize(
    ("code", "members", "words"),
    [
        (
            PLATELETS,
            {"valueQuantity": quantity(45, "10*9/L"), "note": [{"text": "Clumps seen"}]},
            "platelet clumping reported",
        ),
        (FIX, {"valueQuantity": quantity(1, "%"), "note": [{"text": "cord blood"}]}, "of a newborn"),
        (
            HBSAG,
            {"valueString": "Negative", "interpretation": interpretation("POS")},
            "flagged the other way by the laboratory",
        ),
        (
            {"text": "MR elastography liver stiffness"},
            {"valueQuantity": quantity(4, "kPa")},
            "by magnetic resonance, on another scale than FibroScan's",
        ),
    ],
)
def test_a_result_that_a_person_must_judge_says_why(code: Any, members: dict[str, Any], words: str) -> None:
    """Behind its value and date."""
    assert read(code, **members).display.endswith(f", {words}")


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (FIX, "Factor VIII activity"),
        (FVIII, "Factor IX activity"),
        (FIX_INHIBITOR, "FVIII inhibitor"),
        (FVIII_INHIBITOR, "Factor 9 inhibitor"),
    ],
)
def test_a_code_beside_the_name_of_the_other_factor_is_neither(code: str, text: str) -> None:
    """One of the two is wrong, and nothing tells which."""
    assert read_all(coded(code, text), valueQuantity=quantity(1, "%")) == ()


def test_platelets_of_plasma_are_no_platelet_count() -> None:
    """They were made rich or poor."""
    name = {"text": "Platelet count in platelet-rich plasma"}
    assert read_all(name, valueQuantity=quantity(210, "K/uL")) == ()
