"""Where each answer that was filled in comes from, in the words of the fact itself."""

from collections.abc import Iterator, Mapping

from cds_service.dtr.forms import Form
from cds_service.policy.facts import Certainty, Facts, Names
from cds_service.policy.policy import Question
from cds_service.smart.fields import Answers, same, text_of
from fhir_mappings.fhir_dates import date_text
from fhir_mappings.references import Json, word


def origins_of(form: Form, facts: Facts, filled: Answers, answers: Answers, latest: Json | None) -> dict[str, str]:
    """linkId → the fact that it was filled in from, or the form that said it."""
    earlier = _of_form(latest)
    found: dict[str, str] = {}
    for question in form.policy.source.questions:
        if question.id not in answers:
            continue
        if same(answers[question.id], filled.get(question.id)):
            found[question.id] = _fact(form, question, facts, filled) or earlier
        else:
            found[question.id] = earlier
    return {link_id: text for link_id, text in found.items() if text}


def _of_form(latest: Json | None) -> str:
    if latest is None:
        return ""
    verb = "saved" if word(latest, "status") == "in-progress" else "completed"
    day = date_text(latest.get("authored"))
    return f"the form {verb} on {day}" if day else f"an earlier form, {verb} without a date"


def _fact(form: Form, question: Question, facts: Facts, filled: Answers) -> str:
    stated = facts.answers.get(question.id)
    if stated is not None and not (question.test or question.words):
        return f"the form of {stated.authored.first.isoformat()}" if stated.authored is not None else "an earlier form"
    result = _result_question(form, question)
    if result is not None:
        for text in _results(result, facts, filled):
            return text
    return next(_shown_by(question, facts, text_of(filled[question.id])), "")


def _result_question(form: Form, question: Question) -> Question | None:
    """The item whose result this one tells of: itself, or the one that it is the date or the comparator of."""
    if question.test or question.words:
        return question
    group = question.id.rpartition(".")[0]
    members = [one for one in form.policy.laboratory_questions if group in (one.id, one.result_of)]
    return members[0] if members else None


def _results(question: Question, facts: Facts, filled: Answers) -> Iterator[str]:
    """The results of the day that the form was filled in with."""
    day = text_of(filled.get(f"{question.result_of or question.id}.date", {}))
    said = text_of(filled.get(question.id, {}))
    tests = (question.test,) if question.test else tuple(question.words.get(said, {}))
    for test in tests:
        for result in facts.results.get(test, ()):
            if not result.answer and result.date is not None and result.date.first.isoformat() == day:
                yield result.display


def _shown_by(question: Question, facts: Facts, answer: str) -> Iterator[str]:
    wanted = question.shown_by.get(answer)
    if not wanted:
        return
    for sets, display in _seen(facts):
        if sets.issuperset(wanted):
            yield display


def _seen(facts: Facts) -> Iterator[tuple[Names, str]]:
    for diagnosis in facts.diagnoses:
        if diagnosis.certainty is Certainty.CONFIRMED:
            yield diagnosis.sets, diagnosis.display
    for clinician in facts.clinicians:
        yield clinician.sets | clinician.sites, clinician.display
    for note in facts.notes:
        yield note.sets, note.display


def source_of(link_id: str, answers: Mapping[str, Json], filled: Mapping[str, Json]) -> str:
    """Who gave the answer, as DTR's information-origin tells it."""
    if link_id not in filled:
        return "manual"
    return "auto" if same(answers[link_id], filled[link_id]) else "override"
