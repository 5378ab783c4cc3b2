"""What whoever writes policies gets wrong is told with the line, what was found, and what may stand there."""

import shutil
from pathlib import Path

import pytest

from cds_service.check import check_policies
from cds_service.policy.documents import PolicyFileError

EXAMPLE = Path(__file__).parents[2] / "docs" / "example"
POLICY = "fict-40/artrumab/2026-01-01.yaml"
CASES = "fict-40/artrumab/cases.yaml"
DRUG = "value_sets/order.artrumab.yaml"
DISEASE = "value_sets/cond.ra.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the example."""
    return Path(shutil.copytree(EXAMPLE, tmp_path / "policies"))


def changed(folder: Path, file: str, old: str, new: str) -> int:
    """Replaces the first occurrence; the line on which it stands."""
    text = (folder / file).read_text(encoding="utf-8")
    before, found, after = text.partition(old)
    assert found
    (folder / file).write_text(before + new + after, encoding="utf-8")
    return before.count("\n") + 1


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (POLICY, "kind: inclusion", "kind: criterium", "`kind`: 'criterium' is not known here; known: exclusion, incl"),
        (POLICY, "paragraph:", "paragraf:", "'paragraf' is not known here; did you mean 'paragraph'"),
        (
            POLICY,
            "within_months: 12}",
            "within_months: a year}",
            "`within_months`: expected a whole number, found 'a y",
        ),
        (POLICY, "within_months: 12}", "within_days: 90}", "'within_days' is not known here; did you mean 'within_mo"),
        (POLICY, "how: [given, ", "how: [gven, ", "'gven' is not known here; did you mean 'given'"),
        (
            POLICY,
            "med.methotrexate",
            "med.methotrexat",
            "unknown value set 'med.methotrexat'; did you mean 'med.methotr",
        ),
        (POLICY, "test: tb_igra", "test: tb_igr", "unknown test 'tb_igr'; did you mean 'tb_igra'"),
        (POLICY, "question: q.failed", "question: q.faild", "unknown question 'q.faild'; did you mean 'q.failed'"),
        (
            POLICY,
            "question: q.failed",
            "question: q.severity",
            "unknown answer to q.severity 'yes'; known: mild, moder",
        ),
        (
            POLICY,
            "is: [moderate, severe]",
            "is: [moderate, sever]",
            "unknown answer to q.severity 'sever'; did you mean",
        ),
        (POLICY, "questions: [q.biologic]", "questions: []", "no criterion has q.biologic under its `questions`"),
        (POLICY, 'id: "2"', 'id: "1"', "criterion 1 is written twice"),
        (POLICY, "    label: Trial", "    label: x\n    label: Trial", "the key 'label' is written twice"),
        (POLICY, "    label: Trial", "   label: Trial", "this line is indented otherwise"),
        (POLICY, "    label: Trial", "\tlabel: Trial", "a tab, or a text that begins with a sign"),
        (POLICY, "label: Trial", "label: Step: Trial", "a second `: ` in one line"),
        (POLICY, "system: hcpcs", "system: j-codes", "unknown code system 'j-codes'"),
        (
            POLICY,
            "times: upper-limit-of-normal",
            "times: upper-limit",
            "`times`: 'upper-limit' is not known here; did you mean 'upper-limit-of-normal",
        ),
        (POLICY, "at_most: 3, times", "at_most: 0, times", "so many times the upper limit of normal is more than 0"),
        (POLICY, "at_most: 3, times", "at_most: three, times", "`at_most`: expected a number, found 'three'"),
        (POLICY, "{test: alt, at_most", "{test: fibrosis_stage, at_most", "is a stage, which has no upper limit of n"),
        (CASES, "upper_limit_of_normal: 40", "upper_limit_of_normal: 0", "upper limit of normal is a number above 0"),
        (CASES, "upper_limit_of_normal: 40", "upper_limit: 40", "'upper_limit' is not known here; did you mean 'uppe"),
        (POLICY, "fixed: {mg: 40}", "fixed: {mcg: 40}", "no order is read in this unit (known: mL, mg, vg, vial)"),
        (
            POLICY,
            "of: [cond.ra]",
            "of: [med.biologic]",
            "'med.biologic' is a value set of kind product, where one of ki",
        ),
        (POLICY, "on or after {since}", "on or after {sinse}", "it says {since} or {today}, found '{sinse}'"),
        (POLICY, "needed: The severity", "needed: The severity {since}", "no `within_months` to begin with, found '{s"),
        (POLICY, "within_months: 12}", "within_months: 0}", "expected a whole number of 1 or more, found '0'"),
        (POLICY, "within_months: 12}", "within_months: 9999}", "expected a whole number of 1200 or less, found '9999'"),
        (POLICY, "authorization: {months: 6", "authorization: {months: -6", "a whole number of 1 or more, found '-6'"),
        (
            POLICY,
            "id: q.severity\n    type: choice",
            "id: q.severity\n    type: boolean",
            "a choice has `options`, and no",
        ),
        (
            POLICY,
            "at_most: 3, times",
            "at_most: 2,5, times",
            "'5' is not known here; a fraction is written with a point",
        ),
        (
            POLICY,
            "    words: {pos",
            "    result_of: q.tbb\n    words: {pos",
            "unknown question 'q.tbb'; did you mean 'q.tb'",
        ),
        (
            POLICY,
            "id: q.failed, type: boolean",
            "id: q.failed, min: 9, max: 1, type: integer",
            "`min` is at most `max`, 1",
        ),
        (POLICY, "dose: {fixed: {mg: 40}}", "age: {at_least: 65, below: 18}", "nobody is 65 or older and under 18"),
        (POLICY, "test: ast, at", "test: tb_igra, at", "tb_igra is told in words: `result` with `is` fits it"),
        (
            CASES,
            "how: dispensed,",
            "how: dispensed, days: 0,",
            "`days`: expected a whole number of 1 or more, found '0'",
        ),
        (POLICY, "at_least: 2", "at_least: 4", "a count is at least 1 and at most the 3 statements under `of`"),
        (POLICY, "result: {test: tb_igra, is: negative", "value: {test: tb_igra, below: 1", "tb_igra is told in words"),
        (DISEASE, "system: icd-10-cm", "system: icd10", "no system 'icd10' in systems.yaml; did you mean 'icd-10-cm'"),
        (DISEASE, "kind: condition", "kind: disease", "'disease' is not known here; known: condition, coverage"),
        (DRUG, "artrumab\\b'", "artrumab(\\b'", "is no regular expression"),
        (CASES, "day: 2026-11-24", "day: 11/24/2026", "expected a day like 2026-11-24, found '11/24/2026'"),
        (CASES, "birth: 1980-06-01", "birth: 1.6.1980", "expected a date like 2026-11-24, 2026-11 or 2026, found '1.6"),
        (CASES, "date: 2026-03-01", "date: March 2026", "expected a date like 2026-11-24, 2026-11 or 2026, found 'Mar"),
        (CASES, "date: 2026-02-01", "date: 2026-02", "expected a day like 2026-11-24, found '2026-02'"),
        (CASES, "word: negative", "word: neg", "'neg' is not known here; known: borderline, indeterminate, negative"),
        (CASES, "word: negative", "value: negative", "a word stands under `word`, a number under `value`"),
        (
            CASES,
            "q.severity: severe",
            "q.severity: sever",
            "unknown answer to q.severity 'sever'; did you mean 'severe'",
        ),
        (CASES, "q.failed: yes", "q.failed: failed", "unknown answer to q.failed 'failed'; known: no, yes"),
        (CASES, "tb_igra: [", "tb_igr: [", "unknown test 'tb_igr'; did you mean 'tb_igra'"),
        (CASES, "q.failed: yes", "q.faild: yes", "unknown question 'q.faild'; did you mean 'q.failed'"),
        (CASES, "[cond.ra]", "[cond.rheuma]", "unknown value set 'cond.rheuma'"),
        (CASES, "5: not-applicable", "8: not-applicable", "unknown criterion '8'; known: 1, 2, 3, 4, 5, 6"),
        (CASES, "5: not-applicable", "5: not applicable", "unknown finding 'not applicable'; did you mean 'not-applic"),
        (CASES, "chart: first", "chart: frist", "starts from a chart 'frist' that is not there; did you mean 'first'"),
        (
            POLICY,
            "    words: {pos",
            "    loinc: 1742-6\n    words: {pos",
            "q.tb has the code 1742-6, which is none of tb",
        ),
        (
            CASES,
            "name: Mild disease is not met.",
            "name: One DMARD is not two.",
            "'One DMARD is not two.' is written twice",
        ),
        (CASES, "amount: 40, unit: mg", "amount: 40, unit: g", "unknown unit of a dose 'g'"),
        (CASES, "amount: 40", "amount: forty", "expected a number like 50, <50 or 8-10, found 'forty'"),
        (CASES, "outcome: criteria-met", "outcome: approved", "'approved' is not known here; known: criteria-met"),
        ("tests.yaml", "|quantiferon", "|(quantiferon", "is no regular expression: missing )"),
        ("tests.yaml", 'low: "15"', 'low: "1500"', "`low` is at most `high`, 150; found '1500'"),
        ("tests.yaml", "unit: U/L", "unit: mU/L", "alt: `units` has to have the test's own unit, mU/L: 1"),
        ("tests.yaml", "kind: words", "kind: text", "'text' is not known here; known: both, number, stage, words"),
        ("tests.yaml", "name: tb_igra", "name: platelets", "the test 'platelets' is written twice"),
    ],
)
def test_a_mistake_is_told_with_its_line(folder: Path, file: str, old: str, new: str, message: str) -> None:
    """The file, the line that was changed (a repeated key: the second), and the words that help."""
    line = changed(folder, file, old, new)
    with pytest.raises(PolicyFileError) as refused:
        check_policies(folder)
    said = str(refused.value)
    assert message in said
    assert said.startswith(f"{folder / file}, line ")
    if "written twice" not in said and "asks in" not in said and "no criterion has" not in said:
        assert f", line {line}" in said


def refused(folder: Path) -> list[str]:
    """What is said of each fault, without the folder."""
    with pytest.raises(PolicyFileError) as error:
        check_policies(folder)
    return str(error.value).replace(f"{folder}/", "").split("\n")


def test_wrong_values_and_unknown_names_of_a_files_model_are_told_together(folder: Path) -> None:
    """In the order of their lines, a misspelt name without what it stands for being missed."""
    lines = [
        changed(folder, POLICY, "paragraph:", "paragraf:"),
        changed(folder, POLICY, "kind: inclusion", "kind: criterium"),
        changed(folder, POLICY, "within_months: 12}", "within_months: a year}"),
        changed(folder, POLICY, "how: [stated, dispensed, ordered]", "how: [stted, dispensed, orderd]"),
        changed(folder, POLICY, "dose: {fixed", "doses: {fixed"),
    ]
    lines.insert(4, lines[3])
    found = refused(folder)
    assert [line.partition(": ")[0] for line in found] == [f"{POLICY}, line {line}" for line in lines]
    for line, words in zip(found, ("paragraf", "criterium", "a year", "stted", "orderd", "doses"), strict=True):
        assert repr(words) in line


def test_unknown_names_of_a_policy_are_told_together(folder: Path) -> None:
    """Value sets, tests, questions, answers and criteria, each on its line with the nearest."""
    lines = [
        changed(folder, POLICY, "of: [cond.ra]", "of: [cond.rb]"),
        changed(folder, POLICY, "is: [moderate, severe]", "is: [modrate, severe]"),
        changed(folder, POLICY, "question: q.failed", "question: q.faild"),
        changed(folder, POLICY, "test: tb_igra", "test: tb_igr"),
        changed(folder, POLICY, 'id: "5"', 'id: "4"'),
    ]
    found = refused(folder)
    assert [line.partition(": ")[0] for line in found] == [f"{POLICY}, line {line}" for line in lines]
    for line, meant in zip(
        found, ("'cond.ra'", "'moderate'", "'q.failed'", "'tb_igra'", "criterion 4 is"), strict=True
    ):
        assert meant in line


def test_faults_of_several_code_lists_are_told_together(folder: Path) -> None:
    """File after file."""
    changed(folder, DISEASE, "kind: condition", "kind: disease")
    changed(folder, DRUG, "artrumab\\b'", "artrumab(\\b'")
    assert [line.partition(",")[0] for line in refused(folder)] == [DISEASE, DRUG]


def test_faults_of_several_cases_are_told_together(folder: Path) -> None:
    """Each on its own line, in a list too."""
    lines = [
        changed(folder, CASES, "of: [med.leflunomide]", "of: [med.leflunomid]"),
        changed(folder, CASES, "q.failed: yes", "q.faild: yes"),
        changed(folder, CASES, "5: not-applicable", "5: not-aplicable"),
        changed(folder, CASES, "expect: {4: not-met}", "expect: {44: not-met}"),
    ]
    found = refused(folder)
    assert [line.partition(": ")[0] for line in found] == [f"{CASES}, line {line}" for line in lines]


def test_an_unknown_answer_is_told_where_its_question_is_asked(folder: Path) -> None:
    """`yes` stands in many places of a file."""
    line = changed(folder, POLICY, "question: q.failed, is: yes", "question: q.severity, is: yes")
    (found,) = refused(folder)
    assert found.startswith(f"{POLICY}, line {line}: unknown answer to q.severity 'yes'")


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (POLICY, "", "expected a mapping (lines of `name: value`), found nothing"),
        (DISEASE, "name: cond.ra\ntitle: RA\nkind: condition\n", "nothing would ever be found by it"),
    ],
)
def test_a_file_with_nothing_in_it_is_refused(folder: Path, file: str, text: str, message: str) -> None:
    """It could only be silent."""
    (folder / file).write_text(text, encoding="utf-8")
    (found,) = refused(folder)
    assert found.startswith(f"{file}: ")
    assert message in found


def test_a_question_in_a_unit_of_another_quantity_is_refused(folder: Path) -> None:
    """Its answers would never count."""
    changed(folder, POLICY, "questions: [q.severity]", "questions: [q.severity, q.weight]")
    more = "  - {id: q.weight, type: quantity, unit: cm, test: body_weight, text: Weight}\n"
    with (folder / POLICY).open("a", encoding="utf-8") as file:
        file.write(more)
    with pytest.raises(PolicyFileError, match=r"line \d+: q.weight asks in 'cm', no unit of body_weight; its own is"):
        check_policies(folder)


def test_a_question_for_a_number_that_is_held_against_the_laboratorys_limit_is_refused(folder: Path) -> None:
    """What is typed has no range beside it, so it would never be decided; with a plain limit beside, it may be."""
    changed(folder, POLICY, "    attach: the report with", "    questions: [q.alt]\n    attach: the report with")
    with (folder / POLICY).open("a", encoding="utf-8") as file:
        file.write("  - {id: q.alt, type: quantity, unit: U/L, test: alt, text: ALT}\n")
    with pytest.raises(PolicyFileError, match=r"line \d+: q.alt asks for a number, and alt is held against the lab"):
        check_policies(folder)
    plain = '    not_met: [{when: {value: {test: alt, above: 1000}}, says: "Very high."}]\n    questions: [q.alt]'
    changed(folder, POLICY, "    questions: [q.alt]", plain)
    assert check_policies(folder)[1]


def test_two_policies_for_one_product_are_refused(folder: Path) -> None:
    """The later one would end the other in silence."""
    twin = folder / "fict-41" / "artrumab"
    twin.mkdir(parents=True)
    text = (folder / POLICY).read_text(encoding="utf-8").replace("FICT-40", "FICT-41")
    (twin / "2026-06-01.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(PolicyFileError, match=r"'order.artrumab' is governed by another policy too, .*fict-40"):
        check_policies(folder)


def test_a_case_is_judged_by_the_version_in_force_on_its_day(folder: Path) -> None:
    """A new version does not break what the old one said."""
    text = (folder / POLICY).read_text(encoding="utf-8")
    newer = text.replace("within_months: 12}", "within_months: 24}")
    (folder / "fict-40/artrumab/2026-12-01.yaml").write_text(newer, encoding="utf-8")
    report, sound = check_policies(folder)
    assert not sound
    assert "no cases: expected fict-40/artrumab/cases.yaml with a `day` on which this version is in force" in report
    cases = (folder / CASES).read_text(encoding="utf-8").replace("day: 2026-11-24", "day: 2026-12-24")
    cases = cases.replace("date: 2026-05-2", "date: 2026-06-2")
    later = cases.replace("expect: {2: unknown stale}\n    outcome: documentation-missing", "expect: {2: met}")
    (folder / "fict-40/artrumab/cases-2026-12.yaml").write_text(later, encoding="utf-8")
    report, sound = check_policies(folder)
    assert sound, report
    assert "FICT-40 artrumab 2026-12-01: 7 criteria, 13 cases, 0 failed" in report


def test_a_case_of_a_day_before_every_version_is_refused(folder: Path) -> None:
    """Nothing would be judged."""
    changed(folder, CASES, "day: 2026-11-24", "day: 2025-12-31")
    with pytest.raises(PolicyFileError, match=r"line \d+: no version is in force yet on 2025-12-31"):
        check_policies(folder)


def test_a_case_that_expects_the_wrong_thing_is_told_what_decided(folder: Path) -> None:
    """The finding with its evidence and what is needed."""
    changed(folder, CASES, "expect: {2: unknown stale}", "expect: {2: met}")
    report, sound = check_policies(folder)
    assert not sound
    assert "2: expected met, found unknown stale (needed: Two DMARDs taken on or after 2025-11-24; " in report
    assert "med.methotrexate dispensed on 2025-11-23" in report
