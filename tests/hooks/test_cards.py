"""The guidance card: what a prescriber reads, whatever the chart holds."""

import re
from copy import deepcopy
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from msgspec.structs import replace
from signing import BY_ID, GOVERNED, PUBLIC, TODAY, Ehr, criterion, determinations, guidance, story_named

from cds_service.demo.stories import Story
from cds_service.policy.determination import Determination, Evidence, Finding
from cds_service.policy.reasons import Outcome, Reason, Status
from fhir_mappings.references import plain
from hooks import wording
from hooks.service import Service

EVERY_GOVERNED = pytest.mark.parametrize("story", GOVERNED, ids=[story.id for story in GOVERNED])
MARKDOWN = MarkdownIt("gfm-like", {"linkify": False, "html": True})
CALM = {"criteria-met", "policy-not-applicable"}
STATUSES = {"met", "not-met", "unknown", "not-applicable"}


def finding(label: str, status: Status, reason: Reason | None = None, *displays: str, needed: str = "") -> Finding:
    """A blocking finding with that label."""
    evidence = tuple(Evidence(f"Observation/o{at}", display) for at, display in enumerate(displays))
    return Finding("3", label, "inclusion", True, status, reason, evidence, "", (needed,), (), (), (), "")


def determination(service: Service, outcome: Outcome, *findings: Finding, line: str = "Commercial") -> Determination:
    """A determination of the Hemgenix policy."""
    (policy,) = (found for found in service.library.policies if found.source.drug == "hemgenix")
    return Determination(policy.source, "MedicationRequest/o", TODAY, outcome, findings, (), line)


STATUS_OF = {
    Outcome.CRITERIA_MET: (Status.MET, None),
    Outcome.CRITERIA_NOT_MET: (Status.NOT_MET, None),
    Outcome.DOCUMENTATION_MISSING: (Status.UNKNOWN, Reason.NOT_RECORDED),
    Outcome.UNDETERMINED: (Status.UNKNOWN, Reason.NOT_RETRIEVED),
    Outcome.NEEDS_REVIEW: (Status.UNKNOWN, Reason.REVIEW),
    Outcome.POLICY_NOT_APPLICABLE: (Status.MET, None),
}


# Summary


@pytest.mark.parametrize("outcome", list(Outcome))
@pytest.mark.parametrize("length", [1, 60, 139, 500])
@pytest.mark.parametrize("count", [1, 2, 17])
def test_a_summary_is_shorter_than_140_characters(service: Service, outcome: Outcome, length: int, count: int) -> None:
    """However long the labels are and however many: never cut so that nothing is left."""
    findings = [finding("L" * length, *STATUS_OF[outcome]) for _ in range(count)]
    text = wording.summary(determination(service, outcome, *findings, line="P" * length))
    assert 20 < len(text) < 140
    assert "\n" not in text


def test_a_summary_names_what_is_open_where_there_is_room(service: Service) -> None:
    """One short label is named."""
    told = determination(
        service, Outcome.DOCUMENTATION_MISSING, finding("Platelets", Status.UNKNOWN, Reason.NOT_RECORDED)
    )
    assert wording.summary(told) == "Hemgenix: 1 of the plan's criteria is still open: Platelets"


@EVERY_GOVERNED
def test_the_summary_of_each_story_names_the_drug(story: Story, ehr: Ehr) -> None:
    """And the answer, in less than 140 characters."""
    summary = guidance(ehr.sign(story))["summary"]
    assert summary.startswith(f"{story.drug.capitalize()}: ")
    assert len(summary) < 140


# The card's form


@EVERY_GOVERNED
def test_the_indicator_follows_the_outcome(story: Story, ehr: Ehr) -> None:
    """Calm where nothing is to be done, else a warning; never critical."""
    card = guidance(ehr.sign(story))
    assert card["indicator"] == ("info" if story.expected_outcome in CALM else "warning")


@EVERY_GOVERNED
def test_the_guidance_card_is_an_external_reference(story: Story, ehr: Ehr) -> None:
    """Topic guideline, absolute links alone, no suggestions, and the order that it is about."""
    card = guidance(ehr.sign(story))
    assert card["source"]["label"] == "Example Health Plan"
    assert card["source"]["topic"] == {
        "system": "http://terminology.hl7.org/CodeSystem/cdshooks-card-type",
        "code": "guideline",
        "display": "Guideline",
    }
    page = f"{PUBLIC}/policies/pharmacy-109/{story.drug}"
    assert {link["type"] for link in card["links"]} == {"absolute"}
    assert card["links"][0]["url"] == page
    assert all(link["url"].startswith(f"{page}?version=2025-11-20#criterion-") for link in card["links"][1:])
    assert card["source"]["url"] == page
    assert not {"suggestions", "selectionBehavior"} & card.keys()
    about = card["extension"]["davinci-crd.associated-resource"]
    assert about == [{"reference": f"MedicationRequest/{story.order['id']}"}]


def test_every_card_has_an_id_of_its_own(ehr: Ehr) -> None:
    """By which feedback names it."""
    cards = [card for _ in range(2) for card in ehr.sign("demo-labs-missing")["cards"]]
    assert len({card["uuid"] for card in cards}) == len(cards) == 6


@EVERY_GOVERNED
def test_nothing_in_an_answer_is_empty(story: Story, ehr: Ehr) -> None:
    """No null, no empty text, array or object where the specification does not ask for one."""

    def empties(value: Any, path: str) -> list[str]:
        if value in (None, "", [], {}):
            return [path]
        if isinstance(value, dict):
            return [found for name, inner in value.items() for found in empties(inner, f"{path}.{name}")]
        if isinstance(value, list):
            return [found for inner in value for found in empties(inner, f"{path}[]")]
        return []

    answer = ehr.sign(story)
    found = empties(answer["cards"], "cards") + empties(answer["systemActions"], "actions")
    allowed = {
        "cards[].extension.drug-coverage.determination.criteria[].evidence",
        "cards[].extension.drug-coverage.determination.criteria",
    }
    assert set(found) <= allowed


@pytest.mark.parametrize(("undated", "why"), [(False, "too old"), (True, "its day is not known exactly")])
def test_what_has_no_exact_day_is_not_said_to_be_too_old(service: Service, undated: bool, why: str) -> None:
    """It may well be recent."""
    stale = replace(finding("Platelets", Status.UNKNOWN, Reason.STALE, "Platelets 212"), undated=undated)
    detail = wording.detail(determination(service, Outcome.DOCUMENTATION_MISSING, stale))
    assert f"- **Platelets** ({why})." in detail


# The determination for machines


@EVERY_GOVERNED
def test_the_determination_has_the_published_shape(story: Story, ehr: Ehr) -> None:
    """Members, words and types as they are promised to those who read it."""
    (found,) = determinations(ehr.sign(story))
    assert list(found) == [
        "policy",
        "policyVersion",
        "drug",
        "order",
        "evaluatedOn",
        "outcome",
        "assertionId",
        "criteria",
    ]
    assert (found["policy"], found["policyVersion"], found["drug"]) == ("PHARMACY-109", "2025-11-20", story.drug)
    assert (found["order"], found["evaluatedOn"]) == (f"MedicationRequest/{story.order['id']}", "2026-11-24")
    assert 0 < len(found["assertionId"]) <= 64
    for one in found["criteria"]:
        assert {"id", "label", "status", "kind", "blocking", "evidence"} <= one.keys()
        assert one.keys() <= {"id", "label", "status", "kind", "blocking", "evidence", "reason", "needed"}
        assert one["status"] in STATUSES
        assert ("reason" in one) == (one["status"] == "unknown")
        assert one.get("reason", "review") in {reason.value for reason in Reason}
        assert isinstance(one["blocking"], bool)
        assert one["kind"] in {"inclusion", "exclusion", "information"}


@pytest.mark.parametrize(
    ("story_id", "ids"),
    [
        ("demo-hemgenix-met", "1 2 3 4 4a 4b 5 6 7 8a 8b 8c 8d 8e 9 10"),
        ("demo-roctavian-met", "1 2 3 4 5 6 7 8 9a 9b 9c 9d 9e 10 11"),
    ],
)
def test_every_criterion_is_there_under_its_paragraph(story_id: str, ids: str, ehr: Ehr) -> None:
    """In the policy's own order and numbering."""
    (found,) = determinations(ehr.sign(story_id))
    assert [one["id"] for one in found["criteria"]] == ids.split()


@EVERY_GOVERNED
def test_evidence_is_named_as_the_ehr_has_it(story: Story, ehr: Ehr) -> None:
    """A relative reference to what was sent, or to an answer of the form; never an absolute one."""
    (found,) = determinations(ehr.sign(story))
    known = {f"{resource['resourceType']}/{resource['id']}" for resource in (*story.resources, story.order)}
    for one in found["criteria"]:
        for fact in one["evidence"]:
            name, _, link = fact["reference"].partition("#")
            assert name in known
            assert not link or (name.startswith("QuestionnaireResponse/") and link.startswith("q."))
            assert fact["display"]


def test_numbers_keep_the_digits_and_the_unit_of_the_chart(ehr: Ehr) -> None:
    """`212.50` in 10³/µL is shown so."""
    story = story_named("demo-hemgenix-met")
    platelets = next(r for r in story.resources if r["id"] == f"{story.id}-platelets")
    platelets["valueQuantity"]["value"] = Decimal("212.50")
    call = ehr.call(story)
    shown = criterion(ehr.answer(call), "8c")["evidence"][0]["display"]
    assert "212.50 10³/µL" in shown
    assert "on 2026-11-06" in shown


def test_what_is_needed_is_said_of_an_open_criterion(ehr: Ehr) -> None:
    """What to get, and from which day on it counts."""
    found = criterion(ehr.sign("demo-one-day-late"), "8c")
    assert (found["status"], found["reason"]) == ("unknown", "stale")
    assert found["needed"]
    assert "2026-08-24" in found["needed"]


# Detail

JARGON = re.compile(
    "|".join(
        re.escape(word)
        for word in (
            *(reason.value for reason in Reason if "-" in reason.value),
            *(status.value for status in Status if "-" in status.value),
            *(outcome.value for outcome in Outcome),
            "valueQuantity",
            "valueCode",
            "Observation",
            "MedicationRequest",
            "QuestionnaireResponse",
            "DiagnosticReport",
            "FHIR",
            "LOINC",
            "prefetch",
            "null",
            "None",
            "Span(",
            "factor_",
            "anti_hb",
            "liver_stiff",
            "hiv_screen",
        )
    )
    + r"|\bq\.[a-z]|\b\d+-\d\b|https?:|[a-z]_[a-z]"
)


@EVERY_GOVERNED
def test_no_jargon_reaches_the_prescriber(story: Story, ehr: Ehr) -> None:
    """No word of the machine's: codes, resource types, link ids, names of tests in files."""
    for card in ehr.sign(story)["cards"]:
        for text in (card["summary"], card["detail"]):
            assert JARGON.search(text) is None, JARGON.search(text)


@EVERY_GOVERNED
def test_the_detail_opens_with_the_answer(story: Story, ehr: Ehr) -> None:
    """In one bold sentence that names the drug; every criterion is listed further down."""
    answer = ehr.sign(story)
    detail = guidance(answer)["detail"]
    first = detail.partition("\n")[0]
    assert first.startswith("**")
    assert story.drug.capitalize() in first
    for one in determinations(answer)[0]["criteria"]:
        assert f"{one['label']} ({one['id']})" in detail


def test_what_could_not_be_read_is_not_called_missing(ehr: Ehr) -> None:
    """The prescriber is told to sign again, and not to order what may be there."""
    answer = ehr.sign("demo-results-unreadable")
    detail = guidance(answer)["detail"]
    assert "could not be read" in detail
    assert "**Missing**" not in detail
    assert "not found" not in detail


# Hostile text

HOSTILE = [
    "[click](https://evil.example)",
    "![x](https://evil.example/p.png)",
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "https://evil.example/path",
    "www.evil.example",
    "someone@evil.example",
    "mailto:a@evil.example",
    "xmpp:a@evil.example",
    "<https://evil.example>",
    "[x]: https://evil.example",
    "**bold** _it_ __b__ ~~gone~~ `code`",
    "*a* b",
    "# heading",
    "a\n# heading",
    "a\n\n- item\n1. item\n> quote\n---\n===",
    "| a | b |\n|---|---|\n| c | d |",
    "&lt;b&gt; &amp; &#60;i&#62; &copy;",
    "\\[a\\](b) \\* \\\\",
    "a\u202eb\u200bc\u0000d\u0007e\u2028f",
    "[^1] $x$ :smile: @someone #1",
    "a  \nb",
    "```\ncode\n```",
    "x" * 20_000,
    "HTTP://EVIL.EXAMPLE ftp://evil.example WWW.evil.example",
    "[a][b] [a] ![a]",
    "<!-- x --> <?php ?> <![CDATA[x]]>",
    "_a_b_ a_b_c *a*b*",
]
ALLOWED_TOKENS = {
    "paragraph_open",
    "paragraph_close",
    "inline",
    "bullet_list_open",
    "bullet_list_close",
    "list_item_open",
    "list_item_close",
}
ALLOWED_INLINE = {"text", "text_special", "strong_open", "strong_close", "em_open", "em_close", "softbreak"}


def _inline(markdown: str) -> list[Any]:
    return [inner for token in MARKDOWN.parse(markdown) for inner in (token.children or ())]


def _shape(detail: str) -> list[str]:
    """The structure of the card's text: its blocks and its emphasis, without the words."""
    tokens = MARKDOWN.parse(detail)
    blocks = [token.type for token in tokens if token.type != "inline"]
    return blocks + [token.type for token in _inline(detail) if token.type not in ("text", "text_special")]


# GitHub's rule for bare addresses: a scheme or www., or a word with an @ in it.
AUTOLINK = re.compile(
    r"(?i)(?:https?|ftp)://[^\s\u200b]|www\.[^\s\u200b]|[\w.+-]+@[\w-]+\.\w|(?:mailto|xmpp):[\w.]+@\w"
)


def _hostile_story(text: str) -> Story:
    """The story with a platelet count just too low whose words are all hostile."""
    story = story_named("demo-platelets-low")
    for resource in story.resources:
        kind = resource["resourceType"]
        if kind in ("Observation", "Condition", "DocumentReference", "Procedure", "DiagnosticReport"):
            concept = "type" if kind == "DocumentReference" else "code"
            if concept in resource:
                resource[concept]["text"] = text if kind != "Condition" else f"Hemophilia B {text}"
        if kind == "Observation" and "valueQuantity" in resource:
            resource["valueQuantity"]["unit"] = text
        if kind == "Observation" and "valueCodeableConcept" in resource:
            resource["valueCodeableConcept"]["text"] = f"Negative {text}"
        if kind == "Coverage":
            resource["type"]["text"] = text
            resource["class"][1]["name"] = text
        if kind == "Practitioner":
            resource["name"][0] = {"text": text, "family": text}
        if kind == "Organization":
            resource["name"] = text
        if kind == "QuestionnaireResponse":
            for item in resource["item"]:
                item["text"] = text
                for answer in item["answer"]:
                    if "valueString" in answer:
                        answer["valueString"] = text
        if kind.startswith("Medication"):
            resource["medicationCodeableConcept"]["text"] = f"Alprolix {text}"
    return story


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:24]))
def test_hostile_chart_text_stays_text(text: str, ehr: Ehr) -> None:
    """Nothing of a chart becomes markup, a link, or more than a line; the card stays readable in size."""
    story = _hostile_story(text)
    answer = ehr.sign(story, {**deepcopy(story.order), "reasonCode": [{"text": text}], "note": [{"text": text}]})
    for card in answer["cards"]:
        blocks = {token.type for token in MARKDOWN.parse(card["detail"])}
        assert blocks <= ALLOWED_TOKENS, blocks - ALLOWED_TOKENS
        inline = {token.type for token in _inline(card["detail"])}
        assert inline <= ALLOWED_INLINE, inline - ALLOWED_INLINE
        assert AUTOLINK.search(card["detail"]) is None, AUTOLINK.search(card["detail"])
        assert len(card["detail"]) < 40_000
        assert len(card["summary"]) < 140
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e\u2028\u2029]", card["detail"])
    emphasis = [token.type for token in _inline(guidance(answer)["detail"]) if token.type == "strong_open"]
    calm = [token.type for token in _inline(guidance(ehr.sign("demo-platelets-low"))["detail"])]
    assert len(emphasis) <= calm.count("strong_open") + 20


_MARKS = st.text(alphabet=st.sampled_from("ab12 \\`*_[]()<>{}#+-.!|~&;:/@=w\"'^$%"), max_size=40)


@given(_MARKS | st.text(max_size=40))
@example("a_b_c")
@example("&amp;")
@example("<a")
@example("~~a~~")
def test_escaped_text_reads_as_itself(text: str) -> None:
    """What Markdown makes of it is the text again, in one piece."""
    line = plain(f"x {text} x")
    tokens = [token for token in MARKDOWN.parse(f"- A: {wording.escaped(f'x {text} x')}") if token.type == "inline"]
    assert {token.type for token in tokens[0].children or ()} <= {"text", "text_special"}
    shown = "".join(token.content for token in tokens[0].children or ())
    raised = re.sub(
        r"\b10\*(\d{1,2})(?=/)",
        lambda found: "10" + found[1].translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")),
        line,
    )
    assert shown.replace("\u200b", "") == f"A: {raised}".replace("\u200b", "")
    assert AUTOLINK.search(wording.escaped(text)) is None


def test_hostile_notes_of_the_call_stay_text(service: Service) -> None:
    """The sentences about the call itself are escaped too: they name resources."""
    told = determination(service, Outcome.CRITERIA_MET, finding("Platelets", Status.MET))
    told = replace(told, notes=("[a](https://evil.example)",))
    detail = wording.detail(told, wording.Telling(caveats=("<b>x</b> https://evil.example",)))
    assert {token.type for token in _inline(detail)} <= ALLOWED_INLINE


def test_a_card_without_hostile_text_has_no_backslashes(ehr: Ehr) -> None:
    """Who reads plain text is not bothered with escapes."""
    for story in GOVERNED:
        assert "\\" not in guidance(ehr.sign(story))["detail"]


@pytest.mark.parametrize("text", ["[click](javascript:alert(1))", "<b>x</b>"])
def test_a_hostile_url_in_a_chart_is_never_a_link_of_a_card(text: str, ehr: Ehr) -> None:
    """Links of cards lead to this service alone."""
    answer = ehr.sign(_hostile_story(text))
    links = [link["url"] for card in answer["cards"] for link in card.get("links", ())]
    links += [card["source"]["url"] for card in answer["cards"]]
    assert {urlsplit(link).netloc for link in links} == {"plan.example"}
    assert BY_ID["demo-platelets-low"].expected_outcome in [found["outcome"] for found in determinations(answer)]
