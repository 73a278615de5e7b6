"""The cap at the moment of sending: how many messages a lead gets within some days, over all of
its sequences (design.md, "Guarantees", 6).

The sequencer asks its cap when a step falls due; what a pause or a limit kept back for days may
come up all at once. Asked here are the messages of enrollments that go to the lead. What a person
sends again is counted, and was asked when the person asked. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from dispatcher.model import CHANNELS, RECORDED_CHANNELS, Entry
from leadflow.tenants import Tenant

# The sequencer counts the same: a test holds the two together.
TO_THE_LEAD = frozenset(CHANNELS) - RECORDED_CHANNELS
# Others that are with a provider now will have been accepted or not very soon. Whoever came later
# waits longer, so that two that met do not meet again.
TAKEN_SECONDS, FOR_EACH_AHEAD_SECONDS = 1.0, 2.0
# A doubt about another may last for hours.
DOUBT_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Cap:
    """At most so many messages within so many days."""

    messages: int
    days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Others:
    """What the ledger had of a lead, besides one claimed message, at `asked_at`.

    `accepted`: when providers took the last ones within the cap's days, or may have, the latest
    first, no more than the cap. `claimed`: how many others somebody holds a claim of, `ahead` of
    them came before it. `doubts`: how many wait that may be out already, in doubt before it was.
    """

    asked_at: datetime
    accepted: tuple[datetime, ...] = ()
    claimed: int = 0
    ahead: int = 0
    doubts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Full:
    """The lead has had its messages `until` then, UTC; None where that depends on what becomes of
    others that may be out. To be asked again in `seconds`."""

    cap: Cap
    until: datetime | None
    seconds: float

    @property
    def inputs(self) -> Mapping[str, str]:
        return {
            "messages": str(self.cap.messages),
            "days": str(self.cap.days),
            **({} if self.until is None else {"until": self.until.isoformat()}),
        }


def cap_for(tenant: Tenant | None, entry: Entry) -> Cap | None:
    """What a message is held to; None where nothing is to be asked."""
    if tenant is None or tenant.message_cap <= 0 or entry.channel not in TO_THE_LEAD:
        return None
    if entry.enrollment_id is None or entry.answers is not None or entry.resent:
        return None
    return Cap(tenant.message_cap, tenant.cap_days)


def full(cap: Cap, others: Others) -> Full | None:
    """None if one more may go out now. A message leaves the window `days` after its acceptance,
    to the instant, as in the sequencer."""
    window = timedelta(days=cap.days)
    within = sorted((at for at in others.accepted if at + window > others.asked_at), reverse=True)
    if len(within) >= cap.messages:
        until = within[cap.messages - 1] + window
        return Full(cap=cap, until=until, seconds=(until - others.asked_at).total_seconds())
    if len(within) + others.doubts >= cap.messages:
        return Full(cap=cap, until=None, seconds=DOUBT_SECONDS)
    if len(within) + others.doubts + others.claimed >= cap.messages:
        seconds = TAKEN_SECONDS + FOR_EACH_AHEAD_SECONDS * others.ahead
        return Full(cap=cap, until=None, seconds=seconds)
    return None
