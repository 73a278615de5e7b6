"""Sequences as they are written: new ones, their steps, and the gate to `active`. Pure.

A published version never changes, so every edit is the next version.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from leadflow import ids
from leadflow.records import (
    Arm,
    Condition,
    SendWindow,
    SequencePublished,
    SequenceStep,
    Trigger,
)
from portal_api.conditions import WITHOUT_MESSAGE as WITHOUT_MESSAGE
from portal_api.conditions import no_stage, senseless

CHANNELS = ("email", "sms", "whatsapp", "call", "task", "wait", "condition", "stop")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
STATUSES = ("draft", "active", "paused", "archived")
EVENTS = (
    "lead_created",
    "lead_qualified",
    "call_missed",
    "quote_requested",
    "job_completed",
    "booking_made",
)
# These always stop a sequence; an editor cannot take them out.
ALWAYS_STOP = ("opt_out", "bounce", "complaint", "manual")
STOPS = ("reply", "booking", "won", "lost", "account_reply", *ALWAYS_STOP)
LONGEST_SILENCE_DAYS = 3_650


STEP_DEFAULTS: dict[str, Any] = {
    "delay_days": 0,
    "delay_business_days": 0,
    "spread_minutes": 0,
    "blocks": False,
    "otherwise": "",
    "arms": [],
    "body_html": "",
}


class Refused(Exception):
    """An edit that makes no valid sequence; `missing` lists what the activation gate wants."""

    def __init__(self, detail: str, missing: Sequence[str] = ()) -> None:
        super().__init__(detail)
        self.missing = tuple(missing)


def slug(name: str) -> str:
    """`First touch, v2` → `first-touch-v2`; empty if nothing is left."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60].strip("-")


def free_id(tenant_id: str, name: str, taken: Iterable[str]) -> str:
    """The sequence id for a name: `tenant.slug`, numbered if that is taken."""
    held = set(taken)
    base = f"{tenant_id}.{slug(name) or 'sequence'}"
    number, wanted = 1, base
    while wanted in held:
        number += 1
        wanted = f"{base}-{number}"
    return wanted


def published(sequence: SequencePublished, at: datetime) -> SequencePublished:
    """The record of this version, with the id and times that it is published under."""
    return replace(
        sequence,
        event_id=ids.derived_id(SequencePublished.TYPE, sequence.sequence_id, sequence.version),
        occurred_at=at,
        recorded_at=at,
    )


def next_version(sequence: SequencePublished, at: datetime, **changes: Any) -> SequencePublished:
    """The version after this one, with `changes`. Raises Refused if that makes no sense."""
    changed = replace(sequence, version=sequence.version + 1, source="portal-api", **changes)
    check(changed)
    return published(changed, at)


def check(sequence: SequencePublished) -> None:
    """Raises Refused, saying which part of the sequence does not hold."""
    if not sequence.name.strip():
        raise Refused("name: a sequence needs one")
    if sequence.status not in STATUSES:
        raise Refused(f"status: one of {', '.join(STATUSES)}")
    if sequence.trigger.kind not in ("stage", "event", "dormant", "manual"):
        raise Refused("trigger: its kind is stage, event, dormant or manual")
    if sequence.trigger.kind == "dormant" and not _is_days(sequence.trigger.value):
        raise Refused("trigger: dormant for how many days? A number from 1 on")
    if sequence.trigger.kind == "event" and sequence.trigger.value not in EVENTS:
        raise Refused(f"trigger: the event is one of {', '.join(EVENTS)}")
    _check_names(sequence)
    if unknown := sorted(set(sequence.stop_on) - {*STOPS, "stage_left"}):
        raise Refused(f"stop_on: {', '.join(unknown)} is no stop")
    names = [step.step_id for step in sequence.steps]
    if len(set(names)) != len(names):
        raise Refused("steps: two of them have the same id")
    for number, step in enumerate(sequence.steps):
        _check_step(step)
        _check_condition(sequence, number)
        if step.otherwise and step.otherwise not in names[number + 1 :]:
            raise Refused(f"otherwise: {step.otherwise} is no later step")
    if sequence.window is not None:
        _check_window(sequence.window)


def _check_names(sequence: SequencePublished) -> None:
    """They are compared as they stand. What is older than this may still be paused and archived."""
    if sequence.status in ("paused", "archived"):
        return
    source, group = sequence.trigger_source, sequence.exclusive_group
    if source != source.strip() or (source.lower() == "any" and source != "any"):
        raise Refused(f"source: {source!r} is no source; it is any, or one as leads say it")
    if group != group.strip():
        raise Refused(f"exclusive_group: {group!r} has blanks around it")


def _is_days(value: str) -> bool:
    return value.isascii() and value.isdecimal() and 0 < int(value) <= LONGEST_SILENCE_DAYS


def check_pipeline(sequence: SequencePublished, pipeline: Sequence[str]) -> None:
    """Raises Refused if the trigger or a condition names a stage that the pipeline lacks."""
    if sequence.trigger.kind == "stage" and sequence.trigger.value not in pipeline:
        raise Refused(
            f"trigger: the pipeline has no stage {sequence.trigger.value!r}, "
            f"it has {', '.join(pipeline)}"
        )
    for number, step in enumerate(sequence.steps, 1):
        if step.condition is not None and (reason := no_stage(step.condition, pipeline)):
            raise Refused(f"condition of step {number}: {reason}")


def is_forgotten_first(trigger: Trigger, retention_days: int) -> bool:
    """Whether every lead is forgotten before it is dormant for so long; 0 days of retention are
    for good."""
    return trigger.kind == "dormant" and 0 < retention_days <= int(trigger.value)


def check_retention(sequence: SequencePublished, retention_days: int) -> None:
    """Raises Refused if the sequence waits for a silence that no lead is remembered for."""
    if is_forgotten_first(sequence.trigger, retention_days):
        raise Refused(
            f"trigger: nobody is ever dormant for {sequence.trigger.value} days, for a lead is "
            f"forgotten after {retention_days} (retention_days); say fewer"
        )


def missing_for_activation(sequence: SequencePublished) -> list[str]:
    """What the activation gate (product.md, seed 000) still wants; empty when it is open.

    The source is always said: an empty one stands for all of them.
    """
    wanted = {
        "trigger": sequence.trigger.kind == "manual" or sequence.trigger.value,
        "owner": sequence.owner,
        "consent rule": sequence.consent_rule,
        "duplicate rule": sequence.duplicate_rule,
        "rollback path": sequence.rollback_path,
        "incident owner": sequence.incident_owner,
        "at least one step": sequence.steps,
    }
    missing = [name for name, value in wanted.items() if not value]
    missing += [
        f"text of step {number}"
        for number, step in enumerate(sequence.steps, 1)
        if step.channel not in WITHOUT_MESSAGE
        and not all(
            (body + html).strip()
            for body, html in [(arm.body, arm.body_html) for arm in step.arms]
            or [(step.body, step.body_html)]
        )
    ]
    return missing


def check_activation(sequence: SequencePublished) -> None:
    """Raises Refused, listing everything that is missing, if an active sequence lacks it."""
    if sequence.status != "active":
        return
    if missing := missing_for_activation(sequence):
        raise Refused(f"It cannot be active yet: it needs {', '.join(missing)}.", missing)


def with_step(
    sequence: SequencePublished, step: SequenceStep, position: int | None = None
) -> tuple[SequenceStep, ...]:
    """The steps with one more: at `position`, else where its time puts it.

    A step that counts from the one before has no time of its own and goes to the end.
    """
    steps = list(sequence.steps)
    if position is None:
        position = len(steps)
        if step.delay_from == "enrollment":
            later = (
                at
                for at, each in enumerate(steps)
                if each.delay_from == "enrollment" and _minutes(each) > _minutes(step)
            )
            position = next(later, position)
    steps.insert(max(0, min(position, len(steps))), step)
    return tuple(steps)


def _minutes(step: SequenceStep) -> int:
    """About when a step comes; of seven days five are business days."""
    days = step.delay_days + step.delay_business_days * 7 / 5
    return step.delay_minutes + round(days * 1440)


def replace_step(sequence: SequencePublished, step: SequenceStep) -> tuple[SequenceStep, ...]:
    """The steps with the one of this id replaced; moved where its new time puts it.

    Raises KeyError if there is none.
    """
    old = step_of(sequence, step.step_id)
    if (_minutes(old), old.delay_from) == (_minutes(step), step.delay_from):
        return tuple(step if each.step_id == step.step_id else each for each in sequence.steps)
    return with_step(replace(sequence, steps=without_step(sequence, step.step_id)), step)


def without_step(sequence: SequencePublished, step_id: str) -> tuple[SequenceStep, ...]:
    """The steps without one. Raises KeyError if there is none of this id."""
    gone = step_of(sequence, step_id)
    return tuple(each for each in sequence.steps if each is not gone)


def step_of(sequence: SequencePublished, step_id: str) -> SequenceStep:
    """Raises KeyError if there is no such step."""
    for step in sequence.steps:
        if step.step_id == step_id:
            return step
    raise KeyError(step_id)


def free_step_id(sequence: SequencePublished, name: str) -> str:
    """An id that no step of the sequence has."""
    held = {step.step_id for step in sequence.steps}
    base = slug(name) or "step"
    number, wanted = 1, base
    while wanted in held:
        number += 1
        wanted = f"{base}-{number}"
    return wanted


def _check_step(step: SequenceStep) -> None:
    if step.channel not in CHANNELS:
        raise Refused(f"channel: one of {', '.join(CHANNELS)}")
    for name in ("delay_minutes", "delay_days", "delay_business_days", "spread_minutes"):
        if getattr(step, name) < 0:
            raise Refused(f"{name}: 0 or more")
    if step.channel == "condition" and step.condition is None:
        raise Refused("condition: a step of that kind needs one")
    if step.otherwise and step.channel != "condition":
        raise Refused("otherwise: only a condition leads elsewhere")
    if step.blocks and step.channel not in ("call", "task"):
        raise Refused("blocks: only work for a person can hold the next step")
    if step.arms and not any(arm.weight > 0 for arm in step.arms):
        raise Refused("arms: one of them needs a weight above 0")
    if len({arm.name for arm in step.arms}) != len(step.arms):
        raise Refused("arms: two of them have the same name")
    if step.delay_from not in ("enrollment", "previous"):
        raise Refused("delay_from: enrollment or previous")
    html = step.body_html or any(arm.body_html for arm in step.arms)
    if step.channel != "email" and html:
        raise Refused("template_html: only an e-mail has an HTML part")
    if "\n" in step.subject:
        raise Refused("template_subject: one line")


def _check_condition(sequence: SequencePublished, number: int) -> None:
    """What is older than this rule may still be paused and archived."""
    condition = sequence.steps[number].condition
    if condition is None or sequence.status in ("paused", "archived"):
        return
    if (reason := senseless(condition, sequence.steps[:number])) is not None:
        raise Refused(f"condition of step {number + 1}: {reason}")


def _check_window(window: SendWindow) -> None:
    if not CLOCK.fullmatch(window.start):
        raise Refused("window: start is HH:MM")
    if window.end != "24:00" and not CLOCK.fullmatch(window.end):
        raise Refused("window: end is HH:MM, or 24:00")
    if window.start == window.end:
        raise Refused("window: it would never be open")
    if unknown := sorted(set(window.days) - set(DAYS)):
        raise Refused(f"window: {', '.join(unknown)} is no day, days are {', '.join(DAYS)}")


def from_definition(data: dict[str, Any]) -> SequencePublished:
    """The record that `SequencePublished.to_avro` was stored of, times as ISO texts. What was
    stored before a field existed has its default."""
    values = {"exclusive_group": "", "window": None, **data}
    values["steps"] = [{**STEP_DEFAULTS, **step} for step in data["steps"]]
    for step in values["steps"]:
        step["arms"] = [{"body_html": "", **arm} for arm in step["arms"]]
    for name in ("occurred_at", "recorded_at"):
        values[name] = datetime.fromisoformat(values[name])
    return SequencePublished.from_avro(values)


def condition_of(data: dict[str, Any] | None) -> Condition | None:
    """A condition as the API and the library write it; a list of values is joined by commas."""
    if not data:
        return None
    return Condition(field=str(data["field"]), op=str(data["op"]), value=as_text(data["value"]))


def as_text(value: Any) -> str:
    """A condition's value in the one form that the record has."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ",".join(as_text(each) for each in value)
    return str(value)


def trigger_of(kind: str, value: str | int | None) -> Trigger:
    return Trigger(kind=kind, value="" if value is None else str(value))


def window_of(data: dict[str, Any] | None) -> SendWindow | None:
    """A send window as the API and the library write it."""
    if not data:
        return None
    return SendWindow(
        start=str(data["start"]),
        end=str(data["end"]),
        days=tuple(data.get("days") or ()),
        holidays=bool(data.get("holidays", True)),
    )


def arm_of(data: dict[str, Any]) -> Arm:
    return Arm(
        name=str(data["name"]),
        weight=int(data.get("weight", 1)),
        template_name=str(data.get("template_name") or ""),
        subject=str(data.get("subject") or ""),
        body=str(data.get("body") or ""),
        body_html=str(data.get("body_html") or ""),
    )
