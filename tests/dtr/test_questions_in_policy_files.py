"""What a policy file may say of a question; anything else is refused when it is loaded."""

import shutil
from pathlib import Path

import pytest

from cds_service.app import POLICIES, load_knowledge
from cds_service.policy.documents import PolicyFileError

FILE = "pharmacy-109/hemgenix/2025-11-20.yaml"


@pytest.mark.parametrize(
    ("written", "instead", "named"),
    [
        ("show_when: [{question: q.lth, not: yes}]", "show_when: [{question: q.none, not: yes}]", "q.none"),
        ("show_when: [{question: q.lth, not: yes}]", "show_when: [{question: q.lth, not: maybe}]", "maybe"),
        ("show_when: [{question: q.lth, not: yes}]", "show_when: [{question: q.lth}]", "expected one of"),
        ("show_when: [{question: q.lth, not: yes}]", "show_when: [{question: q.lth, not: yes, is: no}]", "expected"),
        ("show_when: [{question: q.hiv, not: negative}]", "show_when: [{question: q.hiv, not: yes}]", "yes"),
        ("shown_by: {yes: [cond.intracranial_hemorrhage]}", "shown_by: {yes: [cond.none]}", "cond.none"),
        ("shown_by: {yes: [cond.intracranial_hemorrhage]}", "shown_by: {often: [cond.hemophilia_b]}", "often"),
        ("min: 0, max: 40000", "min: few, max: 40000", "min"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(tmp_path: Path, written: str, instead: str, named: str) -> None:
    """With the file and what is wrong in it."""
    folder = tmp_path / "policies"
    shutil.copytree(POLICIES, folder)
    file = folder / FILE
    text = file.read_text(encoding="utf-8")
    assert text.count(written) == 1
    file.write_text(text.replace(written, instead), encoding="utf-8")
    with pytest.raises(PolicyFileError, match=named) as caught:
        load_knowledge(folder)
    assert str(file) in str(caught.value)
