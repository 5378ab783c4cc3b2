"""order-dispatch: signed orders go to a performer (CDS Hooks library, order-dispatch 1.0 and 1.1).

Both shapes are read: `order` and `task` of 1.0, `dispatchedOrders` and `fulfillmentTasks` of 1.1 (its page's example
spells it `fulfillment-tasks`). They carry references; the orders come by prefetch or are read.
"""

from typing import Any

from hooks import members
from hooks.bundles import is_patient
from hooks.hook import PATIENT, Context, Hook, Member, Subjects
from hooks.refusals import Refusal, wrong_type


def read(context: dict[str, Any], body: bytes) -> Context:
    """The dispatched orders are asked about (CRD hook-30)."""
    patient_id = members.patient(context)
    if context.get("dispatchedOrders") is not None:
        orders = members.references(context["dispatchedOrders"], "context.dispatchedOrders")
    else:
        orders = (members.reference(context.get("order"), "context.order"),)
    performer = members.reference(context.get("performer"), "context.performer")
    _check_tasks(context, patient_id)
    user = members.user(context) if context.get("userId") is not None else ""
    named = tuple(dict.fromkeys(orders))
    return Context(patient_id, user, members.encounter(context), Subjects(named=named, performer=performer))


def _check_tasks(context: dict[str, Any], patient_id: str) -> None:
    for name in ("task", "fulfillmentTasks", "fulfillment-tasks"):
        found = context.get(name)
        if found is None:
            continue
        path = f"context.{name}"
        if name == "task":
            _check_task(found, path, patient_id)
            continue
        if not isinstance(found, list):
            raise wrong_type(path, "an array of Tasks", found)
        for index, task in enumerate(found):
            _check_task(task, f"{path}[{index}]", patient_id)


def _check_task(task: Any, path: str, patient_id: str) -> None:
    if not isinstance(task, dict):
        raise wrong_type(path, "a Task", task)
    if task.get("resourceType") != "Task":
        raise Refusal(400, "value", f"{path}.resourceType: expected 'Task'", f"{path}.resourceType")
    whose = task.get("for")
    reference = whose.get("reference") if isinstance(whose, dict) else None
    if reference is not None and not is_patient(reference, patient_id):
        raise Refusal(400, "value", f"{path}.for: the task is for another patient", f"{path}.for")


HOOK = Hook(
    "order-dispatch",
    "Judges dispatched drug orders against the chart before a performer fulfills them.",
    (
        PATIENT,
        Member("order", "reference", False, "the dispatched order (version 1.0 of the hook)"),
        Member("dispatchedOrders", "references", False, "the dispatched orders (version 1.1)"),
        Member("performer", "reference", True, "whom the orders go to"),
        Member("task", "task", False, "the fulfillment Task (version 1.0)"),
        Member("fulfillmentTasks", "tasks", False, "the fulfillment Tasks (version 1.1)"),
    ),
    read,
    documentation=True,
    numbers=True,
    again="dispatch it again",
)
