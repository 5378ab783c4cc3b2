"""The commands `evaluate` and `policies check`: what they print, and with which status they end."""

import json
import os
import shutil
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.fernet import Fernet
from signing import BY_ID, PUBLIC, TODAY, Json, chart, order_of

from cds_service.app import POLICIES
from cds_service.cli import main
from cds_service.demo.stories import stories
from cds_service.ledger.ledger import Ledger
from hooks.wire import decode, encode

MET = BY_ID["demo-hemgenix-met"]
LATE = BY_ID["demo-one-day-late"]
DAY = ("--day", "2026-11-24")
Evaluate = Callable[..., Result]


def whole(*resources: Json) -> bytes:
    """A Bundle of these resources."""
    return encode({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in resources]})


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evaluate:
    """A function: the result of a command, with a data folder and settings of its own."""
    for name in [name for name in os.environ if name.startswith("CDS_")]:
        monkeypatch.delenv(name)

    def command(*arguments: str, sent: bytes = b"", **given: str | None) -> Result:
        environment = {"CDS_DATA_DIR": str(tmp_path / "data"), "CDS_PUBLIC_URL": PUBLIC}
        runner = CliRunner(env={**environment, **given})
        return runner.invoke(main, arguments, input=sent)

    return command


@pytest.fixture
def evaluate(run: Evaluate, tmp_path: Path) -> Evaluate:
    """A function: the result of evaluating a Bundle from a file."""

    def command(body: bytes, *arguments: str) -> Result:
        path = tmp_path / "bundle.json"
        path.write_bytes(body)
        return run("evaluate", "--bundle", str(path), *DAY, *arguments)

    return command


# evaluate


def test_a_bundle_is_judged_for_a_reviewer(evaluate: Evaluate) -> None:
    """Outcome, and every criterion with its status and its evidence."""
    found = evaluate(whole(*MET.resources, MET.order))
    assert found.exit_code == 0
    assert "as of 2026-11-24: criteria-met" in found.stdout
    for name in ["1", "2", "3", "4", "4a", "4b", "5", "6", "7", "8a", "8b", "8c", "8d", "8e", "9", "10"]:
        assert any(line.split()[:1] == [name] for line in found.stdout.splitlines()), name
    assert f"Platelets 212 10³/µL on 2026-11-06 [Observation/{MET.id}-platelets]" in " ".join(found.stdout.split())


def test_what_is_missing_is_printed(evaluate: Evaluate) -> None:
    """With the reason, and what is needed."""
    found = evaluate(whole(*LATE.resources, LATE.order))
    text = " ".join(found.stdout.split())
    assert found.exit_code == 0
    assert "documentation-missing" in text
    assert "unknown (stale)" in text
    assert "needed: " in text


def test_a_chart_cannot_command_the_terminal(evaluate: Evaluate) -> None:
    """Control characters in what a chart says are not printed."""
    story = deepcopy(MET)
    for resource in chart(story, "Observation"):
        if "valueQuantity" in resource:
            resource["valueQuantity"]["unit"] += "\x1b[2J\x07"
    found = evaluate(whole(*story.resources, story.order))
    assert found.exit_code == 0
    assert "[2J" in found.stdout
    assert "\x1b" not in found.stdout
    assert "\x07" not in found.stdout


def test_standard_input_is_read(run: Evaluate) -> None:
    """`-` instead of a file."""
    found = run("evaluate", "--bundle", "-", *DAY, sent=whole(*MET.resources, MET.order))
    assert (found.exit_code, "criteria-met" in found.stdout) == (0, True)


def test_without_a_public_url_the_forms_are_those_of_a_service_on_this_machine(run: Evaluate) -> None:
    """Links are absolute there too, and answers to the form of the service's own default address count."""
    (story,) = (one for one in stories(TODAY, "http://127.0.0.1:8080") if one.id == MET.id)
    body = whole(*story.resources, story.order)
    found = run("evaluate", "--bundle", "-", "--json", *DAY, sent=body, CDS_PUBLIC_URL=None)
    answer = json.loads(found.stdout)
    assert answer["determinations"][0]["outcome"] == "criteria-met"
    assert answer["cards"][0]["links"][0]["url"] == "http://127.0.0.1:8080/policies/pharmacy-109/hemgenix"


def test_the_answer_for_machines(evaluate: Evaluate) -> None:
    """Determinations, cards and actions as one JSON object, and nothing else."""
    found = evaluate(whole(*MET.resources, MET.order), "--json")
    assert found.exit_code == 0
    answer = json.loads(found.stdout)
    assert [one["outcome"] for one in answer["determinations"]] == ["criteria-met"]
    assert {"cards", "systemActions"} <= answer.keys()


def test_every_draft_is_judged(evaluate: Evaluate) -> None:
    """Each has its own table."""
    orders = order_of(MET.id, id="first"), order_of(MET.id, id="second")
    found = evaluate(whole(*MET.resources, *orders))
    assert found.exit_code == 0
    assert "order MedicationRequest/first" in found.stdout
    assert "order MedicationRequest/second" in found.stdout


def test_one_order_can_be_chosen(evaluate: Evaluate) -> None:
    """By its id."""
    orders = order_of(MET.id, id="first"), order_of(MET.id, id="second")
    found = evaluate(whole(*MET.resources, *orders), "--order", "second")
    assert found.exit_code == 0
    assert "MedicationRequest/first" not in found.stdout
    assert "order MedicationRequest/second" in found.stdout


def test_an_order_that_is_signed_can_be_chosen(evaluate: Evaluate) -> None:
    """What is named need not be a draft."""
    found = evaluate(whole(*MET.resources, order_of(MET.id, id="signed", status="active")), "--order", "signed")
    assert (found.exit_code, "criteria-met" in found.stdout) == (0, True)


def test_the_chart_in_the_bundle_is_the_whole_chart(evaluate: Evaluate) -> None:
    """What is not there is not recorded, rather than unread."""
    found = evaluate(whole(*chart(MET, "Patient", "Coverage", "Organization"), MET.order), "--json")
    (said,) = json.loads(found.stdout)["determinations"]
    assert said["outcome"] == "documentation-missing"
    assert {one.get("reason") for one in said["criteria"]} & {"not-retrieved"} == set()


def test_a_coverage_is_not_needed(evaluate: Evaluate) -> None:
    """A reviewer may have none; the criteria are judged."""
    resources = [one for one in MET.resources if one["resourceType"] != "Coverage"]
    found = evaluate(whole(*resources, order_of(MET.id, insurance=None)))
    assert found.exit_code == 0
    assert "criteria-" in found.stdout


def test_an_order_that_no_policy_covers_is_told_so(evaluate: Evaluate) -> None:
    """In one line that names it."""
    other = BY_ID["demo-other-drug"]
    found = evaluate(whole(*other.resources, other.order))
    assert found.exit_code == 0
    assert found.stdout == f"No drug policy was found for MedicationRequest/{other.order['id']}.\n"


def test_an_order_whose_drug_could_not_be_read_is_told_so(evaluate: Evaluate) -> None:
    """Its Medication is not in the Bundle: nobody knows whether a policy covers it."""
    order = order_of(MET.id, medicationCodeableConcept=None, medicationReference={"reference": "Medication/elsewhere"})
    found = evaluate(whole(*MET.resources, order))
    assert found.exit_code == 0
    assert "could not be read" in found.stdout
    assert "No drug policy" not in found.stdout


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "well-formed"),
        (b"{", "well-formed"),
        (b'{"a":1,"a":2}', "two members"),
        (b"[]", "expected a FHIR Bundle"),
        (b'{"resourceType":"Patient"}', "expected a FHIR Bundle"),
        (b'{"resourceType":"Bundle"}', "with entries"),
        (b'{"resourceType":"Bundle","entry":5}', "with entries"),
        (b'{"resourceType":"Bundle","entry":[5,{"resource":5},{}]}', "an order with status draft"),
        (whole(*MET.resources), "an order with status draft"),
        (whole(MET.order), "expected one Patient"),
        (whole(*MET.resources, *chart(LATE, "Patient"), MET.order), "expected one Patient"),
    ],
)
def test_a_bundle_that_cannot_be_judged(body: bytes, said: str, evaluate: Evaluate) -> None:
    """Status 2, and one line that says what is expected; nothing on standard output."""
    found = evaluate(body)
    assert found.exit_code == 2
    assert said in found.stderr
    assert found.stdout == ""
    assert "Traceback" not in found.stderr


def test_an_order_that_is_not_there(evaluate: Evaluate) -> None:
    """The id that was looked for is named."""
    found = evaluate(whole(*MET.resources, MET.order), "--order", "other")
    assert found.exit_code == 2
    assert "an order with the id other" in found.stderr


def test_a_day_that_is_none(run: Evaluate) -> None:
    """Status 2, with the form that is expected."""
    found = run("evaluate", "--bundle", "-", "--day", "yesterday", sent=whole(*MET.resources, MET.order))
    assert found.exit_code == 2
    assert "--day: expected YYYY-MM-DD" in found.stderr


def test_a_file_that_is_not_there(run: Evaluate) -> None:
    """Status 2, naming the file."""
    found = run("evaluate", "--bundle", "/no/such/bundle.json")
    assert found.exit_code == 2
    assert "/no/such/bundle.json" in found.stderr


@pytest.mark.parametrize("status", [5, [], {"x": 1}, None])
def test_odd_members_of_an_order_are_no_fault(status: object, evaluate: Evaluate) -> None:
    """A status of the wrong type on a chosen order is judged like none."""
    order = {**MET.order, "status": status}
    found = evaluate(whole(*MET.resources, order), "--order", MET.order["id"])
    assert (found.exit_code, "criteria-met" in found.stdout) == (0, True)


# policies check


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the shipped policies."""
    return Path(shutil.copytree(POLICIES, tmp_path / "policies"))


HEMGENIX = "pharmacy-109/hemgenix/2025-11-20.yaml"


def change(folder: Path, file: str, old: str, new: str) -> None:
    """Replaces the first occurrence in a file of the copy."""
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))


def test_the_shipped_policies_are_sound(run: Evaluate) -> None:
    """Status 0, with the number of cases of each policy."""
    found = run("policies", "check")
    assert found.exit_code == 0, found.stdout
    assert "PHARMACY-109 hemgenix 2025-11-20: 16 criteria, " in found.stdout
    assert "PHARMACY-109 roctavian 2025-11-20: 15 criteria, " in found.stdout
    assert found.stdout.endswith("All is well.\n")


def test_a_limit_that_was_changed_is_found_by_the_cases(copied: Path, run: Evaluate) -> None:
    """Status 1, naming the policy, the case and the criterion."""
    change(copied, HEMGENIX, "at_least: 18}", "at_least: 81}")
    found = run("policies", "check", "--folder", str(copied))
    assert found.exit_code == 1
    assert "PHARMACY-109 hemgenix 2025-11-20" in found.stdout
    assert "    2: expected met, found not-met" in found.stdout
    assert "Some cases do not hold." in found.stdout


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("at_least: 18}", "at_leest: 18}", "at_leest"),
        ("at_least: 18}", "at_least: eighteen}", ""),
        ("order.hemgenix", "order.hemgenicks", "order.hemgenicks"),
        ("cond.hemophilia_a", "cond.no_such_set", "cond.no_such_set"),
        ('id: "2"', 'id: "1"', "1"),
        ("criteria:", "criterions:", "criterions"),
        ("policy: PHARMACY-109", "policy: [", ""),
    ],
)
def test_a_policy_file_that_cannot_be_read(old: str, new: str, named: str, copied: Path, run: Evaluate) -> None:
    """Status 1, naming the file and what is wrong in it, without a traceback."""
    change(copied, HEMGENIX, old, new)
    found = run("policies", "check", "--folder", str(copied))
    assert found.exit_code == 1
    assert HEMGENIX in found.stderr
    assert named in found.stderr
    assert "Traceback" not in found.output


def test_cases_that_cannot_be_read(copied: Path, run: Evaluate) -> None:
    """Status 1, naming their file."""
    change(copied, "pharmacy-109/roctavian/cases.yaml", "chart:", "chard:")
    found = run("policies", "check", "--folder", str(copied))
    assert found.exit_code == 1
    assert "pharmacy-109/roctavian/cases.yaml" in found.stderr
    assert "Traceback" not in found.output


def test_a_policy_without_cases_is_not_sound(copied: Path, run: Evaluate) -> None:
    """A policy that nobody tried is not shipped."""
    (copied / "pharmacy-109/hemgenix/cases.yaml").unlink()
    found = run("policies", "check", "--folder", str(copied))
    assert found.exit_code == 1
    assert "no cases: expected pharmacy-109/hemgenix/cases.yaml" in found.stdout


def test_a_folder_without_policies(tmp_path: Path, run: Evaluate) -> None:
    """Status 1, naming it."""
    found = run("policies", "check", "--folder", str(tmp_path))
    assert found.exit_code == 1
    assert str(tmp_path) in found.stderr


# ledger


def test_forms_that_are_kept_can_be_read(run: Evaluate, tmp_path: Path) -> None:
    """As JSON lines; a purge of their member counts them."""
    key = Fernet.generate_key().decode()
    ledger = Ledger(f"sqlite:///{tmp_path}/data/ledger.db", service_version="0.0", seal_keys=key)
    assert ledger.start(5.0)
    assert ledger.forms.keep("https://ehr.example/fhir", "p", "member", {"id": "kept-1"})
    ledger.close()
    shown = run("ledger", "forms", CDS_LEDGER_KEYS=key)
    assert decode(shown.stdout_bytes)["form"] == {"id": "kept-1"}
    gone = run("ledger", "purge", "--member", "member").stdout
    assert gone == "removed: 0 decisions, 0 numbers, 1 forms, 0 unlinked feedback\n"
    assert run("ledger", "forms").stdout == ""
