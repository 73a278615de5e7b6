"""Rules and what they looked at, in words. Pure.

Every decision not to do something names its rule with its inputs (design.md, "Guarantees", 7);
here is what that means to the person who asks why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

Say = Callable[[datetime], str]  # how a time is shown

_WORDS = {
    # moved to another time
    "quiet_hours": "where the lead is ({zone}) this channel is quiet outside {hours}",
    "window": "the sequence's window is {hours} where the lead is ({zone}), and may close on "
    "holidays",
    "spread": "it is spread over {spread_minutes} minutes, so that not all go out at once",
    "cap": "the lead had its {messages} messages in {days} days, over all sequences",
    "out_of_office": "an automatic answer said that the person is away",
    # skipped
    "condition": "its condition did not hold: {field} {op} {wanted}, but it was {found}",
    "jumped_over": "the condition {from} did not hold and led past it",
    "left_behind": "the lead was moved from version {from_version} to {to_version}, where the step "
    "comes before the place at which it goes on",
    "no_recipient": "the lead has no address for {channel}",
    "consent_refused": "the lead refused {channel}",
    "consent_missing": "the lead has not agreed to {channel}, and the sequence's rule is {rule}",
    "unknown_channel": "there is no channel {channel}",
    # not sent again
    "enrollment_paused": "its enrollment is paused: {by}",
    "not_sent_yet": "it has not been sent a first time",
    # asked for in vain
    "not_enrolled": "the lead never was in it",
    "already_paused": "it was paused by hand already",
    "same_version": "it was in version {version} already",
    "unknown_version": "version {version} is not published",
    # stopped
    "reply": "the lead replied by {channel}",
    "account_reply": "another contact of the same account replied",
    "booking": "the lead booked an appointment",
    "won": "the lead was won",
    "lost": "the lead was lost",
    "opt_out": "the lead opted out of {channel}",
    "bounce": "a message to the lead bounced for good",
    "complaint": "the lead called a message spam",
    "manual": "{requested_by} asked for it",
    "stage_left": "the lead left the stage {from} for {to}",
    "superseded": "{by} took over, of the same exclusive group {group}",
    "stop_step": "the step {step} ends the sequence",
    # did not enter
    "unknown_lead": "the lead was not known yet",
    "lead_not_active": "the lead was {status}",
    "already_active": "the lead was in it already",
    "exclusive": "the lead was in {held_by}, of the same exclusive group {group}, whose priority "
    "{their_priority} is not below {priority}",
    "sequence_not_active": "the sequence was not active",
    # paused
    # Resumed, it goes on at a rate: then too it waits until its turn.
    "automation_paused": "automation was paused ({scope}), and this has not gone on yet",
    "sequence_paused": "the sequence is paused",
    "definition_missing": "the definition of this version cannot be read",
    "task_open": "the task {step} is not done yet",
    "lead_merged": "the lead was merged into another",
    "lead_quarantined": "the lead is in quarantine",
    # the dispatcher's
    "paused": "automation was paused ({scope}), and this has not gone on yet",
    "no_consent": "the lead has not agreed to {channel}",
    "credential_refused": "the provider takes nothing from us ({answer}), and is asked again",
    "provider_refuses": "{provider} takes others and refuses this one, time after time ({answer})",
    "quota_exceeded": "what may be sent over the provider is used up for now ({answer})",
    "suppression_list": "the address is on the suppression list of {channel}: {reason}",
    "stop_confirmed_before": "the person had said stop before, and gets one confirmation",
    "answer_too_late": "it answers a {keyword} and was not out within {latest_seconds} seconds",
    "too_many_answers": "the address got {most_a_day} automatic answers within a day",
    "consent_awaited": "it answers a START whose consent was still on its way",
    "template_value_missing": "its template has no value for {value}, and no fallback",
    "template_variable_unknown": "its template names {value}, which there is not",
    "template_tag_unknown": "its template has the tag {tag}, which there is not",
    "template_filter_unknown": "its template has the filter {filter}, which there is not",
    "compliance_footer_missing": "an e-mail of a sequence needs {missing}",
    "template_empty": "its template came out empty",
    "template_limit": "its template is over a limit: {limit}",
    "template_error": "its template cannot be filled: {error}",
    "recipient_malformed": "the lead's address for {channel} is malformed",
    "review": "a person has to approve it first",
}


class _Inputs(dict[str, Any]):
    """A rule may not have looked at what its words would name."""

    def __missing__(self, name: str) -> str:
        return "unknown"


def because(rule: str, inputs: Mapping[str, str], say: Say) -> str:
    """A rule with its inputs in words, without a full stop; times among the inputs are said by
    `say`. A rule that is not known here is told as it stands."""
    told = _Inputs({name: _shown(value, say) for name, value in inputs.items()})
    if rule == "condition" and "found" in told:
        told["found"] = told["found"] or "nothing"
    if rule == "out_of_office" and "returns_on" in told:
        return f"an automatic answer said that the person is back on {told['returns_on']}"
    if rule == "out_of_office" and "back_at" in told:
        return f"an automatic answer said that the person is away until {told['back_at']}"
    if rule == "cap" and "until" in told:
        return f"{_WORDS[rule].format_map(told)}, and may get the next from {told['until']} on"
    if rule == "enrollment_over":
        return "it was over before" + (f" ({told['outcome']})" if "outcome" in told else "")
    if rule == "not_paused":
        if "held_by" not in told:
            return "it was not paused"
        return f"nobody paused it by hand: {told['held_by']} holds it"
    if rule == "reentry":
        again = (
            f"may enter again {told['days']} days after that"
            if told["reentry"] == "after_days"
            else "enters it once only"
        )
        return f"the lead was in it before, until {told['ended_at']}, and {again}"
    if rule.startswith("stopped_by_"):
        stop = rule.removeprefix("stopped_by_")
        # What the stop looked at is not among the inputs: the channel is said where it was.
        words = because(stop, inputs, say).replace(" by unknown", "").replace(" of unknown", "")
        return f"{words} before it was sent, at {told['stopped_at']}"
    if rule in _WORDS:
        return _WORDS[rule].format_map(told)
    looked_at = ", ".join(f"{name} {value}" for name, value in sorted(told.items()))
    return f"{rule} ({looked_at})" if looked_at else rule


def _shown(value: str, say: Say) -> str:
    if len(value) < len("2026-11-21T00:00:00") or value[10:11] != "T":
        return value
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return value
    return value if at.tzinfo is None else say(at)
