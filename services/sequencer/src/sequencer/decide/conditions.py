"""Whether a step's condition holds for a lead."""

from __future__ import annotations

from leadflow.records.common import SequenceStep
from sequencer.model import LeadRow


def unmet(row: LeadRow, step: SequenceStep) -> dict[str, object] | None:
    """What the condition looked at if it does not hold, else None.

    `in` takes a list separated by commas; `gte` and `lte` compare numbers. A field that the
    lead does not have, and a comparison that makes no sense, do not hold.
    """
    condition = step.condition
    if condition is None:
        return None
    found = _field(row, condition.field)
    wanted = condition.value
    if found is not None and _holds(found, condition.op, wanted):
        return None
    return {"field": condition.field, "op": condition.op, "wanted": wanted, "found": found or ""}


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
