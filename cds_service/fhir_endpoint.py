"""The payer's FHIR endpoint: the policies' forms for DTR clients. Every error is an OperationOutcome."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, request
from werkzeug.datastructures import CombinedMultiDict, MultiDict
from werkzeug.exceptions import MethodNotAllowed

from cds_service.callers import Callers
from cds_service.dtr.capability import capability_statement
from cds_service.dtr.forms import Form, Forms
from cds_service.dtr.log_errors import parse_report
from cds_service.dtr.names import DtrVersion
from cds_service.dtr.package import Known, Packaging, package
from cds_service.dtr.refusal import RefusedError
from cds_service.dtr.request import parse_request
from cds_service.dtr.search import not_supported, search, searchset
from cds_service.dtr.value_sets import expanded
from cds_service.release import release
from cds_service.settings import Settings
from cds_service.web import FHIR_JSON, body_of, outcome_response
from hooks.refusals import Refusal, operation_outcome
from hooks.service import Caller, Service
from hooks.wire import decode, encode

Lookup = Callable[[str, Caller], Known | None]  # assertion id, and who asks: no client is told of another's

_ACCEPTED = ("application/fhir+json", "application/json", "text/json", "application/json+fhir")
_LONGEST_QUERY = 16_384
_FORMATS = (*_ACCEPTED, "json")
_SEARCHED = ("Questionnaire", "Library", "ValueSet", "CodeSystem")


def fhir_endpoint(
    service: Service,
    forms: Forms,
    settings: Settings,
    callers: Callers,
    lookup: Lookup = lambda context, caller: None,
) -> Blueprint:
    """`/fhir` and below."""
    routes = Blueprint("fhir", __name__, url_prefix="/fhir")
    public_url = service.links.public_url
    built = datetime.now(UTC).replace(microsecond=0)
    packaging = Packaging(forms, service.vocabulary.codes, built)
    stated = capability_statement(public_url, release(), built, settings.auth == "required")

    @routes.before_request
    def acceptable() -> None:
        if "Accept" in request.headers and not request.accept_mimetypes.best_match(_ACCEPTED):
            raise Refusal(406, "not-supported", "Accept: expected application/fhir+json")
        if request.query_string and request.args.get("_format", "json").replace(" ", "+") not in _FORMATS:
            raise Refusal(406, "not-supported", "parameter `_format`: expected json")

    @routes.errorhandler(RefusedError)
    def refused(error: RefusedError) -> Response:
        return outcome_response(error.status, operation_outcome(error.code, error.diagnostics, error.expression))

    @routes.get("/metadata")
    def metadata() -> Response:
        return _fhir(stated)

    @routes.get("/Questionnaire/<form_id>")
    def read(form_id: str) -> Response:
        if form_id.startswith("$"):  # the operations take resources, which no query can hold
            raise MethodNotAllowed(["POST"])
        return _fhir(_form(form_id).spoken(_version(_caller())))

    @routes.post("/Questionnaire/$questionnaire-package")
    def package_of_type() -> Response:
        return _package("")

    @routes.post("/Questionnaire/<form_id>/$questionnaire-package")
    def package_of_instance(form_id: str) -> Response:
        return _package(form_id)

    @routes.post("/Questionnaire/$log-questionnaire-errors")
    def log_errors() -> Response:
        _caller()
        report = parse_report(_body())
        unknown = [name for name in report.questionnaires if forms.find(name, _today()) is None]
        if len(unknown) == len(report.questionnaires):
            raise RefusedError(404, "not-found", "the questionnaire is not known here")
        for kind in sorted(set(report.kinds)):
            service.log.warning("form trouble reported", kind=kind)
        noted = operation_outcome("informational", "noted, thank you")
        noted["issue"][0]["severity"] = "information"
        return _fhir(noted)

    @routes.get("/ValueSet/$expand")
    def expand() -> Response:
        _caller()
        return _expanded(dict(request.args))

    @routes.post("/ValueSet/$expand")
    def expand_posted() -> Response:
        _caller()
        return _expanded(_texts(_body()))

    @routes.get("/ValueSet/<set_id>/$expand")
    def expand_one(set_id: str) -> Response:
        _caller()
        return _expanded({**request.args, "url": f"{public_url}/fhir/ValueSet/{set_id}"})

    @routes.get("/ValueSet/<set_id>")
    def read_value_set(set_id: str) -> Response:
        _caller()
        return _fhir(_or_404(forms.value_set(f"{public_url}/fhir/ValueSet/{set_id}"), "value set"))

    @routes.get("/CodeSystem/<system_id>")
    def read_code_system(system_id: str) -> Response:
        _caller()
        return _fhir(_or_404(forms.code_system(system_id), "code system"))

    @routes.get("/Library/<library_id>")
    def read_library(library_id: str) -> Response:
        _caller()
        return _fhir(_or_404(forms.prefill_library(library_id, _today()), "library"))

    def _caller() -> Caller:
        return callers.identify(request.headers.get("Authorization"), request.path)

    def _searched(kind: str, query: MultiDict[str, str]) -> Response:
        version = _version(_caller())
        if "handling=strict" in request.headers.get("Prefer", "") and not_supported(query):
            raise RefusedError(400, "not-supported", "a search parameter is not supported; see /fhir/metadata")
        found = list(search(forms.candidates(kind, version, _today()), query))
        return _fhir(searchset(found, f"{public_url}{request.full_path.rstrip('?')}"))

    def _version(caller: Caller) -> DtrVersion:
        return "2.0.1" if (caller.dialect or service.default_dialect) == "2.0.1" else "2.2"

    def _body() -> Any:
        return decode(body_of(settings.max_body_bytes))

    def _form(form_id: str) -> Form:
        found = forms.at(form_id, _today())
        if found is None:
            raise RefusedError(404, "not-found", "there is no such questionnaire; see /fhir/Questionnaire")
        return found

    def _package(form_id: str) -> Response:
        caller = _caller()
        own_form = _form(form_id).canonical if form_id else ""
        spoken = _version(caller)
        asked = parse_request(_body(), spoken, own_form)
        found = package(asked, packaging, lambda context: lookup(context, caller), datetime.now(UTC), spoken)
        return Response(found, content_type=FHIR_JSON)

    def _expanded(given: dict[str, str]) -> Response:
        url = given.get("url", "")
        if not url:
            raise RefusedError(400, "required", "parameter `url`: expected the canonical of a value set")
        if "|" not in url and given.get("valueSetVersion"):
            url = f"{url}|{given['valueSetVersion']}"
        offset, count = _number(given, "offset") or 0, _number(given, "count")
        known = _or_404(forms.value_set(url), "value set")
        return _fhir(expanded(known, datetime.now(UTC), given.get("filter", ""), offset, count))

    for kind in _SEARCHED:
        _search_at(routes, kind, _searched)
    return routes


def _search_at(routes: Blueprint, kind: str, searched: Callable[[str, MultiDict[str, str]], Response]) -> None:
    @routes.get(f"/{kind}", endpoint=f"search_{kind}")
    def search_by_address() -> Response:
        return searched(kind, request.args)

    @routes.post(f"/{kind}/_search", endpoint=f"search_{kind}_posted")
    def search_by_body() -> Response:
        request.max_content_length = _LONGEST_QUERY
        return searched(kind, CombinedMultiDict([request.args, request.form]))


def _fhir(body: Any) -> Response:
    return Response(encode(body), content_type=FHIR_JSON)


def _today() -> Any:
    return datetime.now(UTC).date()


def _or_404(found: Any, what: str) -> Any:
    if found is None:
        raise RefusedError(404, "not-found", f"this {what} is not known here")
    return found


def _number(given: dict[str, str], name: str) -> int | None:
    text = given.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise RefusedError(400, "value", f"parameter `{name}`: expected a whole number")
    return int(text)


def _texts(body: Any) -> dict[str, str]:
    """The parameters of `$expand` by name."""
    given = body.get("parameter") if isinstance(body, dict) and body.get("resourceType") == "Parameters" else None
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise RefusedError(400, "structure", "expected a Parameters resource with an array of parameters")
    return {
        str(one.get("name")): str(value)
        for one in given
        for member, value in one.items()
        if member.startswith("value") and isinstance(value, str | int)
    }
