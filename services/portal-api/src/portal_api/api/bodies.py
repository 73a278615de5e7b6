"""What the routes take."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
LongText = Annotated[str, StringConstraints(max_length=20_000)]
Minutes = Annotated[int, Field(ge=0, le=60 * 24 * 366)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TriggerBody(Body):
    kind: Literal["stage", "event", "manual"]
    value: Text = ""


class ReentryBody(Body):
    rule: Literal["never", "after_days", "always"]
    days: Annotated[int, Field(ge=0, le=3650)] = 0


class ConditionBody(Body):
    field: Name
    op: Literal["eq", "ne", "in", "gte", "lte"]
    value: Any


class StepBody(Body):
    channel: Literal["email", "sms", "whatsapp", "call", "task", "wait"]
    delay_minutes: Minutes = 0
    delay_from: Literal["enrollment", "previous"] = "enrollment"
    template_name: Text = ""
    template_subject: Text = ""
    template_body: LongText = ""
    condition: ConditionBody | None = None
    step_order: Annotated[int, Field(ge=0)] | None = None


class StepChange(Body):
    channel: Literal["email", "sms", "whatsapp", "call", "task", "wait"] | None = None
    delay_minutes: Minutes | None = None
    delay_from: Literal["enrollment", "previous"] | None = None
    template_name: Text | None = None
    template_subject: Text | None = None
    template_body: LongText | None = None
    condition: ConditionBody | None = None
    step_order: Annotated[int, Field(ge=0)] | None = None


class Rules(Body):
    """What a new sequence may say and a change may change. `trigger_stage` is short for a
    trigger of kind stage."""

    description: Text | None = None
    trigger: TriggerBody | None = None
    trigger_stage: Text | None = None
    status: Literal["draft", "active", "paused", "archived"] | None = None
    owner: Text | None = None
    source: Text | None = None
    consent_rule: Text | None = None
    duplicate_rule: Text | None = None
    rollback_path: Text | None = None
    incident_owner: Text | None = None
    response_window: Text | None = None
    reentry: ReentryBody | None = None
    priority: Annotated[int, Field(ge=0, le=100)] | None = None
    stop_on: list[Text] | None = None


class NewSequence(Rules):
    name: Name
    tenant_id: Text | None = None
    steps: list[StepBody] = []


class SequenceChange(Rules):
    """`version` is the one that was edited: another one by now is a conflict."""

    name: Name | None = None
    version: int | None = None
    reason: Text | None = None


class Enroll(Body):
    lead_ids: Annotated[list[Name], Field(min_length=1, max_length=500)]
    reason: Text | None = None


class EnrollmentChange(Body):
    action: Literal["pause", "resume", "unsubscribe"]
    reason: Text | None = None


class Resend(Body):
    reason: Text | None = None


class Review(Body):
    decision: Literal["approved", "edited", "rejected"]
    text_hash: Name
    text: LongText | None = None
    reason: Text | None = None
