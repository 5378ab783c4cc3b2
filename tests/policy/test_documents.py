"""Policy files as text: nothing is guessed, and every refusal names the file and the place."""

import io
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from cds_service.policy.documents import PolicyFileError, read_document, read_text
from cds_service.policy.library import load_library
from cds_service.policy.value_sets import ValueSet


class Drug(Struct, frozen=True, forbid_unknown_fields=True):
    """A small document."""

    name: str
    vials: int = 0
    of: tuple[str, ...] = ()


@pytest.fixture
def written(tmp_path: Path) -> Any:
    """Writes a file and gives its path."""

    def write(text: str, name: str = "drug.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_every_scalar_stays_text(written: Any) -> None:
    """A drug code keeps its zeros, and `no` is a word."""
    text = "ndc: 00123\nno: no\nday: 2025-11-20\nempty:\nhex: 0x1F\nexp: 2e13\n"
    assert read_text(written(text)) == {
        "ndc": "00123",
        "no": "no",
        "day": "2025-11-20",
        "empty": "",
        "hex": "0x1F",
        "exp": "2e13",
    }


def test_a_key_written_twice_is_refused_with_its_line(written: Any) -> None:
    """The second would silently win."""
    path = written("name: a\nof:\n  - b\nname: c\n")
    with pytest.raises(PolicyFileError, match="line 4: the key 'name' is written twice") as refused:
        read_text(path)
    assert str(path) in str(refused.value)


def test_a_key_written_twice_further_in_is_refused_too(written: Any) -> None:
    """At any depth."""
    with pytest.raises(PolicyFileError, match="line 3: the key 'b' is written twice"):
        read_text(written("a:\n  b: 1\n  b: 2\n"))


def test_a_key_written_twice_under_a_tag_is_refused_too(written: Any) -> None:
    """What a mapping is called does not matter."""
    with pytest.raises(PolicyFileError, match="line 3: the key 'b' is written twice"):
        read_text(written("a: !named\n  b: 1\n  b: 2\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [("{a: 1}: b\n", "line 1: a key is one word"), ("a: &again [*again]\n", "nested too deeply, or in itself")],
)
def test_what_no_document_can_hold_is_refused(written: Any, text: str, message: str) -> None:
    """A key of several parts, and a list in itself."""
    with pytest.raises(PolicyFileError, match=message):
        read_text(written(text))


def test_an_alias_stands_for_what_it_names(written: Any) -> None:
    """Whole, wherever it is written."""
    assert read_text(written("a: &same {b: [c]}\nd: *same\n")) == {"a": {"b": ["c"]}, "d": {"b": ["c"]}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\ncolour: red\n", "line 2: 'colour' is not known here"),
        ("vials: 3\n", "line 1: `name` is missing; found vials"),
        ("name: a\nvials: three\n", "line 2: `vials`: expected a whole number, found 'three'"),
        ("name: a\nof: b\n", "line 2: `of`: expected a list, found 'b'"),
        ("name: [a]\n", "line 1: `name`: expected a text, found a list"),
        ("- a\n", "line 1: expected a mapping .* found a list"),
        ("name: {a\n", "line 2"),
        ("", "expected a mapping .* found nothing"),
    ],
)
def test_a_document_of_another_shape_is_refused_with_the_place(written: Any, text: str, message: str) -> None:
    """Unknown key, missing key, wrong type, broken YAML."""
    path = written(text)
    with pytest.raises(PolicyFileError, match=message) as refused:
        read_document(path, Drug)
    assert str(refused.value).startswith(f"{path}")


def test_a_file_that_is_not_there_or_not_utf_8_is_refused_by_name(tmp_path: Path) -> None:
    """Without a traceback of the parser."""
    missing, binary = tmp_path / "missing.yaml", tmp_path / "binary.yaml"
    binary.write_bytes(b"name: \xff\xfe")
    for path in (missing, binary):
        with pytest.raises(PolicyFileError, match=path.name):
            read_text(path)


def test_a_tag_cannot_make_an_object(written: Any) -> None:
    """A file holds data, and never code."""
    assert read_text(written("name: !!python/object/apply:os.getcwd []\n")) == {"name": []}


def test_words_and_codes_of_a_value_set_are_read(written: Any) -> None:
    """A code with zeros in front stays what it is."""
    text = "name: order.d\ntitle: D\nkind: product\ncodes:\n  - {system: ndc, code: 0053-0100-10}\ntext: {match: [d]}\n"
    found = read_document(written(text), ValueSet)
    assert found.codes[0].code == "0053-0100-10"


POLICY = """
policy: P-1
title: T
drug: d
name: D
generic: g
summary: s
applies_to: [{order}]
billing: {{system: hcpcs, code: J0000, display: d}}
authorization: {{months: 6, quantity: 1, unit: treatment}}
scope: {{unconfirmed: u, lines: []}}
criteria:
  - id: "1"
    label: l
    paragraph: p
    kind: inclusion
    sense: s
    met: {met}
    questions: [q.a]
questions:
  - {{id: q.a, type: boolean, text: A?}}
{more}"""
ANSWERED = "{answer: {question: q.a, is: yes}}"


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("p-1/d/2025-11-20.yaml", {}, ""),
        ("p-1/d/newest.yaml", {}, "must be the first day in force"),
        ("p-1/e/2025-11-20.yaml", {}, "lies in another folder"),
        ("p-1/d/2025-11-20.yaml", {"more": "version: 2025-11-20\n"}, "the file's name is the version"),
        ("p-1/d/2025-11-20.yaml", {"order": "order.e"}, "line 8: unknown value set 'order.e'; did you mean 'order.d'"),
        (
            "p-1/d/2025-11-20.yaml",
            {"met": "{answer: {question: q.b, is: yes}}"},
            "line 18: unknown question 'q.b'; did you mean 'q.a'",
        ),
        ("p-1/d/2025-11-20.yaml", {"met": "{value: {test: u, below: 1}}"}, "unknown test 'u'; known: t"),
        (
            "p-1/d/2025-11-20.yaml",
            {"met": "{criterion: {met: '2'}}"},
            "line 13: criterion 1 looks at 2, which is not there; known: 1",
        ),
    ],
)
def test_a_policy_is_checked_against_the_names_that_it_uses(
    written: Any, tmp_path: Path, name: str, given: dict[str, str], message: str
) -> None:
    """A name that nothing answers to would never be found in a record."""
    written("name: order.d\ntitle: D\nkind: product\ntext: {match: [d]}\n", "value_sets/order.d.yaml")
    written("systems: {hcpcs: [urn:hcpcs]}\n", "value_sets/systems.yaml")
    written(POLICY.format(**{"order": "order.d", "met": ANSWERED, "more": "", **given}), name)
    if not message:
        assert load_library(tmp_path, {"t": "1"}).products == {"order.d"}
        return
    with pytest.raises(PolicyFileError, match=message) as refused:
        load_library(tmp_path, {"t": "1"})
    assert name in str(refused.value)


def test_a_policy_file_is_read_once(written: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its digest is that of the very content that decides, whoever writes on the file meanwhile."""
    written("name: order.d\ntitle: D\nkind: product\ntext: {match: [d]}\n", "value_sets/order.d.yaml")
    written("systems: {hcpcs: [urn:hcpcs]}\n", "value_sets/systems.yaml")
    written(POLICY.format(order="order.d", met=ANSWERED, more=""), "p-1/d/2025-11-20.yaml")
    read: list[str] = []
    real = io.open

    def noting(file: Any, *given: Any, **more: Any) -> Any:
        read.append(Path(file).name)
        return real(file, *given, **more)

    monkeypatch.setattr(io, "open", noting)
    load_library(tmp_path, {"t": "1"})
    assert read.count("2025-11-20.yaml") == 1


def test_a_folder_without_policies_is_refused(written: Any, tmp_path: Path) -> None:
    """Nothing would ever be governed."""
    written("systems: {}\n", "value_sets/systems.yaml")
    with pytest.raises(PolicyFileError, match="no policy file found"):
        load_library(tmp_path, {})
