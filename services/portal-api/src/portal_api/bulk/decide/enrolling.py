"""Whether a lead is expected to enter a sequence, and whether its first message would go out.

The rules carry the names that the sequencer gives them, in the order in which it asks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from leadflow.records import SequencePublished, SequenceStep
from portal_api.bulk.model import LIVE, Candidate, Outlook, Word

NEEDS_GRANT = frozenset({"sms", "whatsapp"})
TO_THE_LEAD = NEEDS_GRANT | {"email"}


def outlook(
    lead: Candidate, sequence: SequencePublished, paused: Collection[str], now: datetime
) -> Outlook:
    """What to expect when the lead is to enter `sequence`; `paused` are the paused scopes."""
    if not lead.status:
        return Outlook(refused="unknown_lead", asked=False)
    refusal = _refusal(lead, sequence, now)
    if refusal is not None:
        rule, inputs = refusal
        return Outlook(refused=rule, inputs={name: str(each) for name, each in inputs.items()})
    return Outlook(plan=_first_step(lead, sequence, paused))


def _refusal(
    lead: Candidate, sequence: SequencePublished, now: datetime
) -> tuple[str, Mapping[str, object]] | None:
    if lead.status != "active":
        return "lead_not_active", {"status": lead.status}
    if (live := lead.live_in(sequence.sequence_id)) is not None:
        return "already_active", {"enrollment_id": live.enrollment_id}
    for rival in lead.passages:
        if (
            sequence.exclusive_group
            and rival.group == sequence.exclusive_group
            and rival.sequence_id != sequence.sequence_id
            and rival.status in LIVE
            and rival.priority >= sequence.priority
        ):
            return "exclusive", {
                "group": sequence.exclusive_group,
                "held_by": rival.sequence_id,
                "priority": sequence.priority,
                "their_priority": rival.priority,
            }
    word = next((each for each in lead.words if each.channel == "all"), None)
    if (
        sequence.consent_rule != "internal"
        and word is not None
        and not word.granted
        and not any(each.granted and each.at > word.at for each in lead.words)
    ):
        return "consent_refused", {"channel": "all", "at": word.at.isoformat()}
    return _reentry(lead, sequence, now)


def _reentry(
    lead: Candidate, sequence: SequencePublished, now: datetime
) -> tuple[str, Mapping[str, object]] | None:
    past = [each for each in lead.passages if each.sequence_id == sequence.sequence_id]
    ends = [each.ended_at for each in past if each.ended_at is not None]
    if not ends or sequence.reentry_rule == "always":
        return None
    ended_at = max(ends)
    after_days = sequence.reentry_rule == "after_days"
    if after_days and now >= ended_at + timedelta(days=sequence.reentry_days):
        return None
    inputs: dict[str, object] = {
        "reentry": sequence.reentry_rule,
        "entries": len(past),
        "ended_at": ended_at.isoformat(),
    }
    return "reentry", inputs | ({"days": sequence.reentry_days} if after_days else {})


def _first_step(
    lead: Candidate, sequence: SequencePublished, paused: Collection[str]
) -> dict[str, Any]:
    if not sequence.steps:
        return {}
    step = sequence.steps[0]
    plan: dict[str, Any] = {"next_step": step.step_id, "channel": step.channel}
    if step.channel in TO_THE_LEAD and (rule := _unsendable(lead, sequence, step)):
        plan["skipped"] = rule
    if (scope := holding(paused, sequence, step.channel)) is not None:
        plan["held_by"] = scope
    return plan


def _unsendable(lead: Candidate, sequence: SequencePublished, step: SequenceStep) -> str:
    """The rule by which a step would be skipped for this lead; empty if it would go out."""
    word = last_word(lead, step.channel)
    if word is not None and not word.granted:
        return "consent_refused"
    if not (lead.email if step.channel == "email" else lead.phone):
        return "no_recipient"
    needed = step.channel in NEEDS_GRANT or sequence.consent_rule == "channel_opt_in"
    return "consent_missing" if word is None and needed else ""


def last_word(lead: Candidate, channel: str) -> Word | None:
    """The newest word on the channel or on all of them; at the same moment a refusal wins."""
    words = [each for each in lead.words if each.channel in (channel, "all")]
    return max(words, key=lambda each: (each.at, not each.granted), default=None)


def holding(paused: Collection[str], sequence: SequencePublished, channel: str) -> str | None:
    """The paused scope that covers such a step, or None."""
    tenant, name = sequence.tenant_id, sequence.sequence_id
    scopes = (
        "everything",
        f"tenant:{tenant}",
        f"channel:{tenant}:{channel}",
        f"sequence:{tenant}:{name}",
        f"sequence:{tenant}:{name.removeprefix(f'{tenant}.')}",
    )
    return next((scope for scope in scopes if scope in paused), None)
