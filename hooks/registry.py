"""Every hook of this service by the id of its service."""

from collections.abc import Mapping

from hooks import (
    appointment_book,
    encounter_discharge,
    encounter_start,
    order_dispatch,
    order_select,
    order_sign,
)
from hooks.hook import Hook

HOOKS: tuple[Hook, ...] = (
    order_sign.HOOK,
    order_select.HOOK,
    order_dispatch.HOOK,
    appointment_book.HOOK,
    encounter_start.HOOK,
    encounter_discharge.HOOK,
)
HOOK_OF: Mapping[str, Hook] = {hook.service_id: hook for hook in HOOKS}
