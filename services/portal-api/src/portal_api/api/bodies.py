"""What the routes take."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from leadflow.pacing import DEFAULT_PER_MINUTE

Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
LongText = Annotated[str, StringConstraints(max_length=20_000)]
Channel = Literal["email", "sms", "whatsapp", "call", "task", "wait", "condition", "stop"]
Rate = Annotated[int, Field(ge=1, le=100_000)]
IncidentKind = Literal[
    "credential", "webhook", "import", "delivery", "privacy", "compliance", "freshness",
    "data_quality",
]  # fmt: skip
Days = Annotated[int, Field(ge=0, le=366)]
Minutes = Annotated[int, Field(ge=0, le=60 * 24 * 366)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TriggerBody(Body):
    kind: Literal["stage", "event", "dormant", "manual"]
    value: Text = ""


class ReentryBody(Body):
    rule: Literal["never", "after_days", "always"]
    days: Annotated[int, Field(ge=0, le=3650)] = 0


class ConditionBody(Body):
    field: Name
    op: Literal["eq", "ne", "in", "gte", "lte"]
    value: Any


class ArmBody(Body):
    name: Name
    weight: Annotated[int, Field(ge=0, le=1000)] = 1
    template_name: Text = ""
    subject: Text = ""
    body: LongText = ""
    body_html: LongText = ""


class WindowBody(Body):
    start: Text
    end: Text
    days: list[Text] = []
    holidays: bool = True


class StepBody(Body):
    channel: Channel
    delay_minutes: Minutes = 0
    delay_from: Literal["enrollment", "previous"] = "enrollment"
    template_name: Text = ""
    template_subject: Text = ""
    template_body: LongText = ""
    template_html: LongText = ""
    condition: ConditionBody | None = None
    delay_days: Days = 0
    delay_business_days: Days = 0
    spread_minutes: Minutes = 0
    blocks: bool = False
    otherwise: Text = ""
    arms: list[ArmBody] = []
    step_order: Annotated[int, Field(ge=0)] | None = None


class StepChange(Body):
    channel: Channel | None = None
    delay_minutes: Minutes | None = None
    delay_from: Literal["enrollment", "previous"] | None = None
    template_name: Text | None = None
    template_subject: Text | None = None
    template_body: LongText | None = None
    template_html: LongText | None = None
    condition: ConditionBody | None = None
    delay_days: Days | None = None
    delay_business_days: Days | None = None
    spread_minutes: Minutes | None = None
    blocks: bool | None = None
    otherwise: Text | None = None
    arms: list[ArmBody] | None = None
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
    exclusive_group: Text | None = None
    window: WindowBody | None = None


class NewSequence(Rules):
    name: Name
    tenant_id: Text | None = None
    steps: list[StepBody] = []


class TemplateBody(Body):
    """A template as it is being written. `lead_id` is whom it is shown to; without one, somebody of
    whom nothing is known."""

    channel: Literal["email", "sms", "whatsapp", "call", "task"] = "email"
    subject: Text = ""
    body: LongText = ""
    body_html: LongText = ""
    template_name: Text = ""
    lead_id: Text | None = None
    tenant_id: Text | None = None


class TestSend(TemplateBody):
    """`to`: left out, it goes to whoever asks."""

    channel: Literal["email"] = "email"
    to: Text | None = None


class SequenceChange(Rules):
    """`version` is the one that was edited: another one by now is a conflict."""

    name: Name | None = None
    version: int | None = None
    reason: Text | None = None
    # To pause: the kind of incident that it is. To go on: what was verified, and how fast.
    kind: IncidentKind | None = None
    verified: Text | None = None
    rate_per_minute: Rate | None = None


class NewIncident(Body):
    """What is left out is the default of its kind; the owner is whoever asks."""

    kind: IncidentKind
    scope: Words
    reason: Words
    owner: Text = ""
    workflow: Text = ""
    rollback: Text = ""
    task: Text = ""


class IncidentChange(Body):
    kind: IncidentKind | None = None
    reason: Words | None = None
    owner: Words | None = None
    rollback: Words | None = None
    task: Words | None = None


class Verification(Body):
    """`note` says what was seen; `done` false takes a verification back."""

    done: bool = True
    note: Text | None = None


class Closing(Body):
    reason: Text | None = None
    rate_per_minute: Rate = DEFAULT_PER_MINUTE


class Enroll(Body):
    lead_ids: Annotated[list[Name], Field(min_length=1, max_length=500)]
    reason: Text | None = None


class EnrollmentChange(Body):
    action: Literal["pause", "resume", "unsubscribe", "migrate"]
    to_version: Annotated[int, Field(ge=1)] | None = None
    reason: Text | None = None


class Resend(Body):
    reason: Text | None = None


class SettleDoubt(Body):
    """What became of a message in doubt, and how that was found out."""

    outcome: Literal["sent", "failed"]
    reason: Words
    provider_id: Name | None = None


class Review(Body):
    decision: Literal["approved", "edited", "rejected"]
    text_hash: Name
    text: LongText | None = None
    reason: Text | None = None
