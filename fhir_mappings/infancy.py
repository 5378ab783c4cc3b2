"""Which results were taken in the first months of life, by the birth date: for tests of which the lab table says that
they mean something else then (`infancy_months`)."""

from collections.abc import Mapping

from msgspec.structs import replace

from cds_service.policy.dates import Span, months_after
from cds_service.policy.facts import Result
from fhir_mappings.labs import LabTable

Results = Mapping[str, tuple[Result, ...]]


def with_infancy(results: Results, birth: Span | None, labs: LabTable) -> Results:
    """The results, with the flag `newborn` on those that were or may have been taken so early."""
    if birth is None:
        return results
    marked = {
        test: tuple([_marked(result, birth, months) for result in found])
        for test, found in results.items()
        if found and (months := labs.test(test).infancy_months)
    }
    return {**results, **marked} if marked else results


def _marked(result: Result, birth: Span, months: int) -> Result:
    taken, until = result.date, months_after(birth.last, months)
    if taken is None or taken.first > until:
        return result
    early = "in the first month of life" if months == 1 else f"in the first {months} months of life"
    if taken.last < birth.first:
        early = "before the date of birth"
    elif taken.last > months_after(birth.first, months):
        early = f"perhaps {early}"
    return replace(result, display=f"{result.display}, {early}", flags=result.flags | {"newborn"})
