"""Which conditions of a step make sense: those that can hold for a lead. Pure.

The sequencer looks at them when a step is due, and one that makes no sense never holds: the step
would be skipped for everybody. tests/unit/test_conditions.py holds these names to the sequencer's.
"""

from __future__ import annotations

from collections.abc import Sequence

from leadflow.records import Condition, SequenceStep

FIELDS = (
    "temperature",
    "urgency",
    "stage",
    "source",
    "service",
    "language",
    "owner",
    "timezone",
    "status",
    "has_email",
    "has_phone",
)
# What such a field can say; the others say whatever a source or a tenant does, a stage is one of
# the tenant's pipeline. A lead that nobody has scored has no temperature, and none but an active
# one gets as far as a step.
VALUES = {
    "temperature": ("hot", "warm", "cold", ""),
    "urgency": ("urgent", "high", "normal", "low"),
    "status": ("active",),
    "has_email": ("true", "false"),
    "has_phone": ("true", "false"),
}
OPERATORS = ("eq", "ne", "in")
OUTCOMES = ("sent", "delivered", "opened", "clicked", "replied", "bounced", "failed")
OF_A_MESSAGE = "message."
WITHOUT_MESSAGE = ("wait", "condition", "stop")


def no_stage(condition: Condition, pipeline: Sequence[str]) -> str | None:
    """Why a condition on the stage can never hold in this pipeline, None if it may."""
    return _never_said(condition, pipeline) if condition.field == "stage" else None


def _never_said(condition: Condition, values: Sequence[str] | None) -> str | None:
    """What the condition wants and the field never says: none of its `values` if it has such."""
    wanted = [condition.value]
    if condition.op == "in":
        wanted = [each.strip() for each in condition.value.split(",")]
        if "" in wanted:
            return f"{condition.field}: one of the values of {condition.op} is empty"
    if condition.value != condition.value.strip():
        return f"{condition.field}: {condition.value!r} has blanks around it, and no field has"
    unknown = [each for each in wanted if values is not None and each not in values]
    if not unknown:
        return None
    return (
        f"{condition.field} is never {', '.join(map(repr, unknown))}, "
        f"it is one of {', '.join(each for each in values or () if each)}"
    )


def senseless(condition: Condition, before: Sequence[SequenceStep]) -> str | None:
    """Why a condition can never hold, None if it may. `before` are the steps above its own."""
    if condition.op in ("gte", "lte"):
        return f"{condition.op} compares numbers, and no field is one; use {', '.join(OPERATORS)}"
    if condition.op not in OPERATORS:
        return f"{condition.op} is no operator, they are {', '.join(OPERATORS)}"
    if not condition.field.startswith(OF_A_MESSAGE):
        if condition.field in FIELDS:
            return _never_said(condition, VALUES.get(condition.field))
        return f"{condition.field} is no field, they are {', '.join(FIELDS)} and message.STEP_ID"
    step_id = condition.field.removeprefix(OF_A_MESSAGE)
    if not any(each.step_id == step_id and each.channel not in WITHOUT_MESSAGE for each in before):
        return f"{condition.field}: {step_id!r} is no earlier step with a message"
    wanted = [each.strip() for each in condition.value.split(",")]
    if unknown := [each for each in wanted if each not in OUTCOMES]:
        return (
            f"{condition.field}: {', '.join(unknown) or 'nothing'} never becomes of a message, "
            f"that is {', '.join(OUTCOMES)}"
        )
    return None
