"""Whether a provider's report counts, and whether a person or a machine was at work (ADR 23).

Pure. The rules are made so that the order in which reports come does not matter to where a
message ends: what was told stays told, and what contradicts something stronger is not told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dispatcher.callbacks import Callback, Reported, bounce_type, is_about_another
from dispatcher.engagement_agents import by_agent, by_network
from dispatcher.model import State

# Between our clock and a provider's.
SKEW = timedelta(minutes=10)
# A clock that is ahead by more than that says nothing of when it was.
MOST_AHEAD = timedelta(days=1)
# For a message that is here and was not presented yet: nobody reports earlier than that.
EARLY = timedelta(minutes=5)
# For a message that is not here, or whose sending is not settled.
LONGEST_WAIT = timedelta(days=7)
# Opens and clicks are judged so much later, when what belongs to them is here as well.
HOLD = timedelta(seconds=5)
# Two links of one message within so long were followed by a machine.
BURST = timedelta(seconds=2)
# So soon after its delivery nobody has read a mail, and nobody at all in the minute before it:
# who looked at it then stands at the gate of the recipient's server.
PREFETCH = timedelta(seconds=2)
AT_THE_GATE = timedelta(minutes=1)
# Of one message: opens by people, opens by machines, clicks by either. The rest says nothing new.
MOST_TOLD = 20

SEEN_KINDS = frozenset({"opened", "clicked"})

HEAD_REQUEST = "head_request"
PREFETCHED = "prefetch"
IN_BURST = "burst"

# What the names of the routes begin with that a source of signed reports may speak for. Any
# other source speaks for the provider of its own name, and may name messages by our own id.
SIGNED = {
    "twilio": ("twilio",),
    "resend": ("resend",),
    # Whoever takes part in Standard Webhooks: our own webhook's receiver, a mail relay, an API of
    # no provider's in particular.
    "standard": ("standard", "webhook", "smtp", "email-api", "sms-api", "whatsapp-api"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far the message is. `accepted_at` is None until a provider said yes."""

    state: State
    in_doubt: bool
    created_at: datetime
    accepted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Tell:
    """The report counts. `what` names it among those of its message, `at` is when it happened,
    `automated` by what a machine is known, None for a person."""

    what: str
    at: datetime
    automated: str | None = None


@dataclass(frozen=True, slots=True)
class Refuse:
    """The report changes nothing, by this rule."""

    rule: str


@dataclass(frozen=True, slots=True)
class Wait:
    """It is too early to say."""


Verdict = Tell | Refuse | Wait


def speaks_for(source: str, provider: str | None, *, by_our_id: bool) -> bool:
    """Whether a report of `source` may be about a message that went out over `provider`."""
    if provider is None:
        return False
    if source not in SIGNED and by_our_id:
        return True
    families = SIGNED.get(source, (source,))
    return any(provider == family or provider.startswith(f"{family}-") for family in families)


@dataclass(frozen=True, slots=True)
class Judged:
    """A report with its verdict; `message` is the one that a Tell is about."""

    callback: Callback
    message: Reported | None
    verdict: Verdict


def judge_in_turn(
    due: Iterable[tuple[Callback, Sequence[tuple[Reported, Standing]]]],
    told: Mapping[str, Mapping[str, datetime]],
    around: Mapping[str, Sequence[Callback]],
    now: datetime,
) -> list[Judged]:
    """Verdicts on reports, one after the other: what one of them tells is told for the next."""
    so_far = {message_id: dict(known) for message_id, known in told.items()}
    judged = []
    for callback, messages in due:
        message, verdict = judge_all(callback, messages, so_far, around, now)
        if isinstance(verdict, Tell) and message is not None:
            so_far[message.message_id][verdict.what] = verdict.at
        judged.append(Judged(callback, message, verdict))
    return judged


def judge_all(
    callback: Callback,
    messages: Sequence[tuple[Reported, Standing]],
    told: Mapping[str, Mapping[str, datetime]],
    around: Mapping[str, Sequence[Callback]],
    now: datetime,
) -> tuple[Reported | None, Verdict]:
    """What becomes of a report that may be about any of `messages`, all of its tenant.

    Several have the same provider's id where two providers gave it: the report is about the one
    whose provider its source speaks for. The message is that of a Tell.
    """
    if not messages:
        return None, _nobody_yet(callback, now)
    waits: Verdict | None = None
    refused: Verdict = Refuse("other_provider")
    for message, standing in messages:
        about = message.message_id
        verdict = judge(callback, message, standing, told[about], around.get(about, ()), now)
        match verdict:
            case Tell():
                return message, verdict
            case Wait():
                waits = verdict
            case Refuse(rule) if rule != "other_provider":
                refused = verdict
    return None, waits or refused


def _nobody_yet(callback: Callback, now: datetime) -> Verdict:
    return Refuse("unknown_message") if now - callback.received_at > LONGEST_WAIT else Wait()


def judge(
    callback: Callback,
    message: Reported,
    standing: Standing,
    told: Mapping[str, datetime],
    around: Sequence[Callback],
    now: datetime,
) -> Verdict:
    """What becomes of a report about a message of the same tenant.

    `told` is what was told of the message so far (`Tell.what`) and when that happened, `around`
    the deliveries, opens and clicks that were reported of it, this one among them.
    """
    by_our_id = callback.message_id is not None
    held = _not_presented(callback, standing, now)
    if held is not None:
        return held
    if not speaks_for(callback.source, message.provider, by_our_id=by_our_id):
        return Refuse("other_provider")
    if (rule := _misdated(callback, standing)) is not None:
        return Refuse(rule)
    if callback.kind in SEEN_KINDS:
        return _seen(callback, message, standing, told, around)
    if is_about_another(callback, message):
        return Refuse("other_recipient")
    what = callback.kind
    if callback.kind == "bounced":
        what = f"bounced:{bounce_type(callback.details)}"
    if what in told:
        return Refuse("repeat")
    at = happened_at(callback)
    # What a server took and another one sent back was delivered first, whichever is told first.
    if what == "delivered" and "bounced:hard" in told and told["bounced:hard"] <= at:
        return Refuse("after_hard_bounce")
    if what == "bounced:soft":
        if "bounced:hard" in told:
            return Refuse("after_hard_bounce")
        if "delivered" in told:
            return Refuse("after_delivery")
    return Tell(what, at)


def _misdated(callback: Callback, standing: Standing) -> str | None:
    """The rule by which nothing that happened then is told of the message, if any."""
    if callback.occurred_at < standing.created_at - SKEW:
        return "before_the_message"
    if callback.occurred_at > callback.received_at + MOST_AHEAD:
        return "in_the_future"
    return None


def happened_at(callback: Callback) -> datetime:
    """When it happened: not after we heard of it, whatever the clock of the provider says."""
    return min(callback.occurred_at, callback.received_at)


def _not_presented(callback: Callback, standing: Standing, now: datetime) -> Verdict | None:
    """Reports are about what a provider was given; None where it was."""
    match standing.state:
        case State.SENT | State.UNKNOWN:
            return None
        case State.SUPPRESSED | State.RECORDED | State.FAILED:
            return Refuse("never_sent")
        case State.QUEUED | State.HELD if not standing.in_doubt:
            waited = now - max(callback.received_at, standing.created_at)
            return Refuse("never_sent") if waited > EARLY else Wait()
        case _:  # a provider has it, or may have it
            return _nobody_yet(callback, now)


def _seen(
    callback: Callback,
    message: Reported,
    standing: Standing,
    told: Mapping[str, datetime],
    around: Sequence[Callback],
) -> Verdict:
    automated = machine(callback, message, standing, around)
    which = fingerprint(callback)
    if any(each.endswith(which) for each in told):
        return Refuse("repeat")
    prefix = f"{callback.kind}:{'person' if automated is None else 'machine'}:"
    if sum(each.startswith(prefix) for each in told) >= MOST_TOLD:
        return Refuse("told_often_enough")
    return Tell(prefix + which, happened_at(callback), automated)


def machine(
    callback: Callback, message: Reported, standing: Standing, around: Sequence[Callback]
) -> str | None:
    """By what an open or a click is known for a machine's; None for a person's.

    Only mails are opened by scanners and proxies: the read receipt of WhatsApp is the person's.
    """
    if message.channel != "email":
        return None
    details = callback.details
    known = by_agent(details.get("user_agent"))
    if known is None and callback.kind == "opened":
        known = by_network(details.get("ip"))
    if known is not None:
        return known
    if details.get("method", "").upper() == "HEAD":
        return HEAD_REQUEST
    # What would be refused by itself says nothing about others.
    genuine = [
        each
        for each in around
        if speaks_for(each.source, message.provider, by_our_id=each.message_id is not None)
        and _misdated(each, standing) is None
    ]
    if _in_burst(callback, [each for each in genuine if each.kind == "clicked"]):
        return IN_BURST
    # Of several reports of the delivery the first: one that comes late makes no person a machine.
    # And none whose clock is ahead: when that was, nobody knows.
    deliveries = (
        happened_at(each)
        for each in genuine
        if each.kind == "delivered" and each.occurred_at <= each.received_at + SKEW
    )
    arrived = min(deliveries, default=None)
    for at in (standing.accepted_at, arrived):
        if at is not None and at - AT_THE_GATE <= happened_at(callback) < at + PREFETCH:
            return PREFETCHED
    return None


def _in_burst(callback: Callback, clicks: Sequence[Callback]) -> bool:
    """Whether it is one of several links that were followed at once, or an open beside them."""
    near = [each for each in clicks if _together(each, callback)]
    if callback.kind == "clicked":
        return any(_link(each) != _link(callback) for each in near)
    return any(
        _link(one) != _link(other) and _together(one, other) for one in near for other in clicks
    )


def _together(one: Callback, other: Callback) -> bool:
    return abs(happened_at(one) - happened_at(other)) <= BURST


def _link(callback: Callback) -> str:
    return callback.details.get("url", "")


def fingerprint(callback: Callback) -> str:
    """The same open or click, whatever the id that it was reported under."""
    parts = [
        callback.kind,
        str(int(callback.occurred_at.timestamp())),
        *(callback.details.get(name, "") for name in ("url", "user_agent", "ip")),
    ]
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:24]
