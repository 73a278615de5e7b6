"""What the dispatcher knows and decides: the states of a message, and values without behaviour.

The states of a message in the ledger, and what takes it from one to the next:

    (arrives)   queued       rendered, to be sent when it is due
    (arrives)   held         could not be rendered
    queued      claimed      a worker takes it for the length of a lease; its epoch grows by one
    claimed     claimed      the lease ended, another worker takes it: in doubt
    claimed     queued       refused for now, to be tried later; or given back untouched
    claimed     held         a pause covers it, consent is missing, the provider refuses us with it
    claimed     sent         the provider accepted it
    claimed     failed       the provider refused it for good, or once too often
    claimed     unknown      the provider may have accepted it and cannot be asked again
    claimed     suppressed   a stop, an opt-out or the suppression list forbids it
    claimed     recorded     for a person to do
    held        queued       what held it is over, or a reviewer let it out
    held        suppressed   a reviewer rejected it
    held        unknown      a reviewer rejected it, but a provider may have it already
    unknown     sent         a person, or the provider's own report, says that it went out
    unknown     failed       a person says that it did not

Everything from `claimed` on is written for the claim's own epoch only. What comes to an end is
added to its tenant's chain by the database (migrations/0010_whose.py), in the same statement.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from leadflow.pacing import DEFAULT_PER_MINUTE


class State(StrEnum):
    """Where a message is. What is not in TRANSITIONS cannot happen; the database holds it too."""

    QUEUED = "queued"  # to be sent when its time has come
    HELD = "held"  # waits for a person, a consent or the end of a pause
    CLAIMED = "claimed"  # one worker has it, for the length of a lease
    SENT = "sent"  # a provider accepted it
    FAILED = "failed"  # it will not go out
    UNKNOWN = "unknown"  # a provider may or may not have accepted it
    SUPPRESSED = "suppressed"  # it must not go out
    RECORDED = "recorded"  # written down for a person to do


TRANSITIONS: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        State.QUEUED: frozenset({State.CLAIMED}),
        State.CLAIMED: frozenset(
            {
                State.QUEUED,
                State.HELD,
                State.SENT,
                State.FAILED,
                State.UNKNOWN,
                State.SUPPRESSED,
                State.RECORDED,
            }
        ),
        State.HELD: frozenset({State.QUEUED, State.SUPPRESSED, State.UNKNOWN}),
        State.SENT: frozenset(),
        State.FAILED: frozenset(),
        State.UNKNOWN: frozenset({State.SENT, State.FAILED}),
        State.SUPPRESSED: frozenset(),
        State.RECORDED: frozenset(),
    }
)

# What is chained. A doubt is an end, too, until somebody settles it.
ENDS = frozenset({State.SENT, State.FAILED, State.UNKNOWN, State.SUPPRESSED, State.RECORDED})

# A message enters the ledger in one of these.
FIRST_STATES = frozenset({State.QUEUED, State.HELD})

CHANNELS = ("email", "sms", "whatsapp", "call", "task")
# For people to do: written down, never given to a provider.
RECORDED_CHANNELS = frozenset({"call", "task"})
# Nothing goes out on these unless the person said yes (library rule `channel_opt_in`).
OPT_IN_CHANNELS = frozenset({"sms", "whatsapp"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What is sent: rendered once, kept as these bytes, repeated as these bytes.

    `payload` is the canonical JSON of the send, the same for every provider; `sha256` its
    hash in hex.
    """

    payload: bytes
    sha256: str

    def send(self) -> dict[str, Any]:
        """`to` and `text`; `subject`, `from`, `html` and `headers` where the channel has them."""
        read: dict[str, Any] = json.loads(self.payload)
        return read


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A message as it enters the ledger. Without `content` it is held by `rule`."""

    message_id: str
    tenant_id: str
    lead_id: str
    owner: str | None
    enrollment_id: str | None
    sequence_id: str | None
    step_id: str | None
    channel: str
    attempt: int
    first_message_id: str | None
    recipient: str
    compliance_note: str
    enrolled_at: datetime | None
    stop_on: tuple[str, ...]
    due_at: datetime
    content: Content | None = None
    rule: str | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    answers: str | None = None  # the keyword that it answers by itself, and
    answers_event: str | None = None  # the raw event that brought it
    made_of: Mapping[str, str] = field(default_factory=dict)  # its purpose and the sender's values


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """What the log said of an enrollment (`halts.py`): what stopped it, when, and what that looked
    at; what it is paused by. None each where nothing does."""

    stopped_by: str | None = None
    stopped_at: datetime | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    paused_by: str | None = None


NOT_HALTED = Halt()


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the dispatcher had been told about a message's lead and address when it was claimed.

    `suppressed_by` is the reason on the list for its address and channel; `stops` says when
    each stop of its lead was last recorded; `consent` is None where nobody said anything;
    `timezone` is the IANA name of where the lead is, None where no profile was seen; `halt` is
    what stops or pauses its enrollment. Of a message
    that answers a keyword also how many such the address got within a day, how old the keyword is,
    and how long the answer has waited, in seconds.
    """

    suppressed_by: str | None = None
    stops: Mapping[str, datetime] = field(default_factory=dict)
    consent: bool | None = None
    timezone: str | None = None
    halt: Halt = NOT_HALTED
    answered: int = 0
    age_seconds: float = 0.0
    waited_seconds: float = 0.0


# Of an entry of which nobody has asked yet what is known.
NOT_LOOKED_UP = Known()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A claimed message.

    `epoch` grows with every claim: only the latest claim may record what came of it.
    `attempts` counts the judgements and silences of providers so far, `refusals` how often one
    refused us with it. `in_doubt`: an earlier claim may have been accepted by `provider` without
    our knowing, for `doubt_seconds` by now. `trying_seconds`: since a provider first could not
    take it. `resent`: a person asked for it, after a first one. `known` is looked up after the
    claim; without it nothing can be decided.
    """

    message_id: str
    tenant_id: str
    lead_id: str
    owner: str | None
    enrollment_id: str | None
    sequence_id: str | None
    step_id: str | None
    channel: str
    recipient: str
    enrolled_at: datetime | None
    stop_on: tuple[str, ...]
    content: Content
    epoch: int
    attempts: int
    in_doubt: bool
    provider: str | None
    known: Known = NOT_LOOKED_UP
    rule: str | None = None  # why it was put back, if it was
    answers: str | None = None  # the keyword that it answers by itself
    refusals: int = 0
    resent: bool = False
    doubt_seconds: float = 0.0
    trying_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Paused:
    """The scopes in which nothing goes out: everything, tenant:T, channel:T:C, sequence:T:ID,
    provider:NAME.

    `rates` are those of scopes that were resumed: how many messages a minute, over all workers.
    """

    scopes: frozenset[str] = frozenset()
    rates: Mapping[str, int] = field(default_factory=dict)

    def rate(self, scope: str) -> int:
        """How many of the messages that wait in a scope go on each minute."""
        return self.rates.get(scope, DEFAULT_PER_MINUTE)

    def covering(
        self, tenant_id: str, channel: str, sequence_id: str | None, provider: str = ""
    ) -> str | None:
        """The widest paused scope that this falls in."""
        for scope in (f"provider:{provider}", *scopes_of(tenant_id, channel, sequence_id)):
            if scope in self.scopes:
                return scope
        return None


def scopes_of(tenant_id: str, channel: str, sequence_id: str | None) -> tuple[str, ...]:
    """Every scope that a message falls in, the widest first."""
    scopes = ["everything", f"tenant:{tenant_id}", f"channel:{tenant_id}:{channel}"]
    if sequence_id is not None:
        scopes.append(f"sequence:{tenant_id}:{sequence_id}")
        # A sequence id begins with its tenant; people leave that out.
        scopes.append(f"sequence:{tenant_id}:{sequence_id.removeprefix(f'{tenant_id}.')}")
    return tuple(scopes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A provider's yes. `response` is kept for whoever has to look into it."""

    provider_id: str | None
    response: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A provider's no, or its silence.

    `retryable`: the same may be accepted later. `maybe_accepted`: it may have been accepted
    all the same. `judged`: the provider has looked at it. `patient`: it speaks against neither the
    message nor the provider, however long it lasts. `wait_seconds`: the provider asked for so long.
    """

    error_class: str
    reason: str
    retryable: bool
    maybe_accepted: bool
    wait_seconds: float | None = None
    judged: bool = True
    patient: bool = False


Answer = Accepted | Refused
