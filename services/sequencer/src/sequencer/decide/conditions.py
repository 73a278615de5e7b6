"""Whether a step's condition holds for a lead."""

from __future__ import annotations

from leadflow.records.common import SequenceStep
from sequencer.model import Enrollment, LeadRow

OF_A_MESSAGE = "message."


def unmet(row: LeadRow, enrollment: Enrollment, step: SequenceStep) -> dict[str, object] | None:
    """What the condition looked at if it does not hold, else None.

    `in` takes a list separated by commas; `gte` and `lte` compare numbers. A field that the
    lead does not have, and a comparison that makes no sense, do not hold. What became of an
    earlier message is `message.STEP_ID`: `eq opened` holds if it was opened, `ne opened` if not.
    """
    condition = step.condition
    if condition is None:
        return None
    if condition.field.startswith(OF_A_MESSAGE):
        outcomes = _outcomes(enrollment, condition.field.removeprefix(OF_A_MESSAGE))
        wanted_any = {each.strip() for each in condition.value.split(",")}
        if condition.op in ("eq", "in", "ne") and bool(wanted_any & outcomes) != (
            condition.op == "ne"
        ):
            return None
        return {
            "field": condition.field,
            "op": condition.op,
            "wanted": condition.value,
            "found": ",".join(sorted(outcomes)),
        }
    found = _field(row, condition.field)
    wanted = condition.value
    if found is not None and _holds(found, condition.op, wanted):
        return None
    return {"field": condition.field, "op": condition.op, "wanted": wanted, "found": found or ""}


def _outcomes(enrollment: Enrollment, step_id: str) -> set[str]:
    """What became of a step's message."""
    prefix = f"{step_id}:"
    return {each.removeprefix(prefix) for each in enrollment.outcomes if each.startswith(prefix)}


def _field(row: LeadRow, name: str) -> str | None:
    match name:
        case "temperature":
            return row.temperature
        case "urgency":
            return row.profile.urgency
        case "stage":
            return row.stage
        case "source":
            return row.source
        case "status":
            return row.status
        case "timezone":
            return row.profile.timezone
        case "language":
            return row.profile.language or ""
        case "service":
            return row.profile.service or ""
        case "owner":
            return row.owner or ""
        case "has_email":
            return "true" if row.profile.email else "false"
        case "has_phone":
            return "true" if row.profile.phone else "false"
        case _:
            return None


def _holds(found: str, op: str, wanted: str) -> bool:
    match op:
        case "eq":
            return found == wanted
        case "ne":
            return found != wanted
        case "in":
            return found in [each.strip() for each in wanted.split(",")]
        case "gte" | "lte":
            try:
                left, right = float(found), float(wanted)
            except ValueError:
                return False
            return left >= right if op == "gte" else left <= right
        case _:
            return False
