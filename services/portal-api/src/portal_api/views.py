"""What the API answers about a sequence, a lead, a message: rows into JSON. Pure."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from leadflow.records import SequencePublished, SequenceStep
from portal_api.editing import missing_for_activation
from portal_api.wording import filled

Counts = Mapping[str, int]

ENROLLMENT_NAMES = ("active", "paused", "completed", "stopped", "unsubscribed")
MESSAGE_NAMES = (
    "scheduled", "queued", "held", "unknown", "sent", "recorded", "failed", "suppressed",
    "skipped", "cancelled", "delivered", "opened", "clicked", "replied", "bounced",
)  # fmt: skip


class Counted:
    """Rows of `counters`, ordered for reading."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._by_step: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
        self._by_sequence: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for row in rows:
            self._by_step[row["sequence_id"], row["step_id"]][row["name"]] = int(row["n"])
            self._by_sequence[row["sequence_id"]][row["name"]] += int(row["n"])

    def step(self, sequence_id: str, step_id: str) -> Counts:
        return self._by_step.get((sequence_id, step_id), {})

    def sequence(self, sequence_id: str) -> Counts:
        return self._by_sequence.get(sequence_id, {})


def delay_label(step: SequenceStep) -> str:
    """T+0h, T+24h, T+72h, T+7d as seed 003 writes it, T+2d for two days by the calendar, T+2bd
    for two business days; without the T for a step that counts from the one before."""
    start = "T+" if step.delay_from == "enrollment" else "+"
    days = [
        f"{n}{unit}" for n, unit in ((step.delay_days, "d"), (step.delay_business_days, "bd")) if n
    ]
    if days and not step.delay_minutes:
        return start + "+".join(days)
    return start + "+".join([*days, _minutes_label(step.delay_minutes)])


def _minutes_label(minutes: int) -> str:
    if minutes % 1440 == 0 and minutes > 3 * 1440:
        return f"{minutes // 1440}d"
    if minutes % 60 == 0:
        return f"{minutes // 60}h"
    if minutes < 60:
        return f"{minutes}m"
    return f"{minutes // 60}h{minutes % 60}m"


def step_status(counts: Counts) -> str:
    """The furthest that any message of the step came: sent, recorded, queued, scheduled, or
    idle where nobody was due yet."""
    for status, names in (
        ("sent", ("sent",)),
        ("recorded", ("recorded",)),
        ("queued", ("queued", "held", "unknown")),
        ("scheduled", ("scheduled",)),
    ):
        if any(counts.get(name) for name in names):
            return status
    return "idle"


def rate(part: int, whole: int) -> float | None:
    """A share between 0 and 1, None of nothing."""
    return None if whole == 0 else round(min(1.0, part / whole), 4)


def stats(counts: Counts, steps: int) -> dict[str, Any]:
    """Rollups over the enrollments and messages of a sequence (seed 003, "Engagement model").

    Only e-mails can be opened, so they alone are the base of the open rate. The progress is
    the share of all steps of all enrollments that is done; an ended enrollment has no more.
    """
    moved = {
        name.removeprefix("moved:"): n for name, n in counts.items() if name.startswith("moved:")
    }
    enrolled = counts.get("enrolled", 0)
    ended = sum(counts.get(name, 0) for name in ("completed", "stopped", "unsubscribed"))
    done = counts.get("live_steps_done", 0) + ended * steps
    return {
        "steps": steps,
        "enrolled": enrolled,
        "running": counts.get("active", 0),
        **{name: counts.get(name, 0) for name in ENROLLMENT_NAMES},
        **{name: counts.get(name, 0) for name in MESSAGE_NAMES},
        "sent_email": counts.get("sent_email", 0),
        "open_rate": rate(counts.get("opened", 0), counts.get("sent_email", 0)),
        "click_rate": rate(counts.get("clicked", 0), counts.get("sent_email", 0)),
        "reply_rate": rate(counts.get("replied", 0), counts.get("sent", 0)),
        "moved": {"count": sum(moved.values()), "of": enrolled, "to": moved},
        "progress_pct": min(100, round(100 * done / (enrolled * steps))) if enrolled * steps else 0,
    }


def sequence(
    record: SequencePublished,
    row: Mapping[str, Any],
    counted: Counted,
    paused: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """A sequence with its steps and what was counted; `paused` are the paused scopes."""
    scope = f"sequence:{record.tenant_id}:{record.sequence_id}"
    hold = paused.get(scope)
    status = record.status
    if status == "active" and hold is not None:
        status = "paused"
    return {
        "id": record.sequence_id,
        "tenant_id": record.tenant_id,
        "name": record.name,
        "description": record.description,
        "status": status,
        "paused_reason": None if hold is None else hold["reason"],
        "version": record.version,
        "trigger": {"kind": record.trigger.kind, "value": record.trigger.value},
        "trigger_stage": record.trigger.value if record.trigger.kind == "stage" else None,
        "owner": record.owner,
        "source": record.trigger_source or "any",
        "consent_rule": record.consent_rule,
        "duplicate_rule": record.duplicate_rule,
        "rollback_path": record.rollback_path,
        "incident_owner": record.incident_owner,
        "response_window": record.response_window,
        "reentry": {"rule": record.reentry_rule, "days": record.reentry_days},
        "priority": record.priority,
        "stop_on": list(record.stop_on),
        "exclusive_group": record.exclusive_group,
        "window": None if record.window is None else record.window.to_avro(),
        "missing": missing_for_activation(record),
        "created_at": row["created_at"],
        "updated_at": row["published_at"],
        "stats": stats(counted.sequence(record.sequence_id), len(record.steps)),
        "steps": [
            step(each, order, counted.step(record.sequence_id, each.step_id))
            for order, each in enumerate(record.steps)
        ],
    }


def step(each: SequenceStep, order: int, counts: Counts) -> dict[str, Any]:
    return {
        "id": each.step_id,
        "step_order": order,
        "channel": each.channel,
        "delay_minutes": each.delay_minutes,
        "delay_from": each.delay_from,
        "delay_days": each.delay_days,
        "delay_business_days": each.delay_business_days,
        "delay_label": delay_label(each),
        "spread_minutes": each.spread_minutes,
        "blocks": each.blocks,
        "otherwise": each.otherwise,
        "arms": _arms(each),
        "template_name": each.template_name,
        "template_subject": each.subject,
        "template_body": each.body,
        "template_html": each.body_html,
        "condition": None if each.condition is None else each.condition.to_avro(),
        "status": step_status(counts),
        "counts": {name: counts.get(name, 0) for name in MESSAGE_NAMES},
    }


def _arms(each: SequenceStep) -> list[dict[str, Any]]:
    """The variants of a step, with the share of the leads that each gets."""
    weights = sum(arm.weight for arm in each.arms)
    return [{**arm.to_avro(), "share": rate(arm.weight, weights)} for arm in each.arms]


def lead(row: Mapping[str, Any]) -> dict[str, Any]:
    """A lead under the names of design.md, and the rest of its profile."""
    status = "merged" if row["merged_into"] else row["status"]
    consents = row.get("consents") or {}
    reasons = row["quarantine_reasons"] if row["status"] == "quarantined" else row["qualification"]
    return {
        "lead_id": row["lead_id"],
        "tenant_id": row["tenant_id"],
        "source": row["source"],
        "external_id": row["external_id"],
        **{
            name: row[name]
            for name in (
                "first_name", "last_name", "email", "phone", "company", "title", "address",
                "service", "message", "urgency", "budget", "timezone", "timezone_from",
                "language", "attribution", "temperature", "stage", "owner", "next_action",
            )
        },
        "scores": None if row["fit"] is None else {"fit": row["fit"], "intent": row["intent"]},
        "consent": {channel: said["granted"] for channel, said in consents.items()},
        "consent_details": consents,
        "status": status,
        "merged_into": row["merged_into"],
        "reasons": reasons or [],
        "revision": row["revision"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "received": as_json(row["received"]),
        "extra": as_json(row["extra"]),
    }  # fmt: skip


def as_json(value: Any) -> Any:
    """What a record carries as JSON text, as JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def person(row: Mapping[str, Any]) -> dict[str, Any]:
    """The lead of an enrollment or a message, in short."""
    name = " ".join(part for part in (row["first_name"], row["last_name"]) if part)
    return {
        "id": row["lead_id"],
        "name": name or row["email"] or row["phone"] or "Unknown lead",
        "owner": row["owner"],
        "stage": row["stage"],
    }


def enrollment(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": row["enrollment_id"],
        "sequence_id": row["sequence_id"],
        "sequence_version": row["sequence_version"],
        "lead_id": row["lead_id"],
        "lead": person(row),
        "enrolled_at": row["enrolled_at"],
        "enrolled_by": row["enrolled_by"],
        "status": row["status"],
        "held_by": row["held_by"] or None,
        "current_step_index": row["steps_done"] or 0,
        "next_due_at": row["next_due_at"] if row["status"] == "active" else None,
        "completed_at": row["ended_at"] if row["status"] == "completed" else None,
        "ended_at": row["ended_at"],
        "stop_rule": row["stop_rule"],
        "unsubscribe_reason": row["stop_rule"] if row["status"] == "unsubscribed" else None,
        "moved_to": row["moved_to"],
    }


def message_status(row: Mapping[str, Any]) -> str:
    """One word for a message: its state, or how far the recipient went with it (seed 003)."""
    if row["state"] in (None, "sent"):
        for status, at in (
            ("replied", "replied_at"),
            ("clicked", "clicked_at"),
            ("opened", "opened_at"),
            ("bounced", "bounced_at"),
        ):
            if row[at] is not None:
                return status
    return str(row.get("shown", row["state"]) or "queued")


def message(row: Mapping[str, Any]) -> dict[str, Any]:
    variables = row["variables"] or {}
    return {
        "id": row["message_id"],
        "tenant_id": row["tenant_id"],
        "enrollment_id": row["enrollment_id"],
        "sequence_id": row["sequence_id"],
        "step_id": row["step_id"],
        "channel": row["channel"],
        "lead_id": row["lead_id"],
        "lead": person(row),
        "recipient": row["recipient"],
        "subject": filled(row["subject"] or "", variables),
        "message_body": filled(row["body"] or "", variables),
        "state": row.get("shown", row["state"]),
        "status": message_status(row),
        "held_by": row.get("held_by"),
        "rule": row["rule"],
        "inputs": row["inputs"],
        "failed_reason": row["reason"],
        "scheduled_for": row["scheduled_for"],
        "sent_at": row["sent_at"],
        "attempt": row["attempt"],
        "provider": row["provider"],
        "engagement_data": {
            "delivered_at": row["delivered_at"],
            "opened_at": row["opened_at"],
            "clicked_at": row["clicked_at"],
            "clicked_links": [row["clicked_url"]] if row["clicked_url"] else [],
            "replied_at": row["replied_at"],
            "bounced_at": row["bounced_at"],
        },
    }


def doubt(message_id: str, said: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Since when a message is or was in doubt, and what was found out: the first word counts, as
    in the dispatcher. None where `said`, oldest first, knows of no doubt."""
    found: dict[str, Any] | None = None
    for each in said:
        data = each["data"]
        if data["message_id"] != message_id:
            continue
        found = found or {"since": each["at"], "provider_id": None, "word": None}
        if each["type"] == "MessageUnknown":
            found["provider_id"] = data.get("provider_id")
        elif found["word"] is None:
            found["word"] = {
                "outcome": data["outcome"],
                "by": data["settled_by"],
                "reason": data["reason"],
                "provider_id": data.get("provider_id"),
                "at": each["at"],
            }
    return found
