"""The cap at the moment of sending: of a lead's messages no more than the tenant said go out within
so many days, over all sequences, however they came to wait (product.md, "Sequencer").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from dispatcher import events
from dispatcher.caps import Cap, Full, Others, cap_for, full
from dispatcher.controls import Controls
from dispatcher.decide import Retries, before_sending
from dispatcher.hours import Closed
from dispatcher.ledger import Ledger, Settled
from dispatcher.model import Accepted, Answer, Entry, Known, Paused, State
from dispatcher.pace import Wakeup
from dispatcher.providers.base import Outbound
from dispatcher.worker import Pace, Route, Sender
from leadflow.clock import SystemClock
from leadflow.codec import Codec
from leadflow.health import Health
from leadflow.tenants import Tenant

Make = Callable[..., Entry]
DAY = timedelta(days=1)
NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
TWO_A_WEEK = Cap(messages=2, days=7)
CAPPED = Tenant(tenant_id="acme", message_cap=2, cap_days=7)
AN_INSTANT = timedelta(microseconds=1)


def others(*accepted: timedelta, **more: int) -> Others:
    """What was accepted so long ago."""
    return Others(asked_at=NOW, accepted=tuple(NOW - ago for ago in accepted), **more)


@pytest.mark.parametrize(
    ("had", "until"),
    [
        (others(), None),
        (others(1 * DAY), None),
        (others(1 * DAY, 3 * DAY), NOW + 4 * DAY),
        # It leaves the window to the instant.
        (others(1 * DAY, 7 * DAY - AN_INSTANT), NOW + AN_INSTANT),
        (others(1 * DAY, 7 * DAY), None),
        (others(7 * DAY, 8 * DAY), None),
        # More than the cap, from before there was one: the oldest of the last two has to leave.
        (others(1 * DAY, 2 * DAY, 3 * DAY, 6 * DAY), NOW + 5 * DAY),
        (others(6 * DAY, 1 * DAY, 3 * DAY), NOW + 4 * DAY),
    ],
)
def test_a_lead_that_had_its_messages_gets_none_until_the_oldest_of_them_is_old_enough(
    had: Others, until: datetime | None
) -> None:
    found = full(TWO_A_WEEK, had)
    assert (None if found is None else found.until) == until
    if found is not None and until is not None:
        assert NOW + timedelta(seconds=found.seconds) == until


@pytest.mark.parametrize(
    ("had", "seconds"),
    [
        (others(claimed=1), None),
        (others(claimed=2), 1.0),
        (others(DAY, claimed=1), 1.0),
        # Of two that meet the later waits longer, so that they do not meet again and again.
        (others(DAY, claimed=1, ahead=1), 3.0),
        (others(DAY, doubts=1), 300.0),
        (others(8 * DAY, doubts=1), None),
        (others(doubts=1, claimed=1), 1.0),
    ],
)
def test_what_may_be_out_has_its_place_until_that_is_known(
    had: Others, seconds: float | None
) -> None:
    found = full(TWO_A_WEEK, had)
    assert (None if found is None else (found.until, found.seconds)) == (
        None if seconds is None else (None, seconds)
    )


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ({}, True),
        ({"channel": "sms"}, True),
        ({"channel": "whatsapp"}, True),
        ({"in_doubt": True}, True),
        ({"channel": "task"}, False),
        ({"channel": "call"}, False),
        ({"enrollment_id": None, "sequence_id": None}, False),
        ({"enrollment_id": None, "channel": "sms", "answers": "STOP"}, False),
        ({"resent": True}, False),
        ({"tenant_id": "none-of-ours"}, False),
        ({"tenant_id": "beta"}, False),
    ],
)
def test_the_cap_is_asked_for_messages_of_enrollments_that_go_to_the_lead(
    make_entry: Make, changes: dict[str, Any], asked: bool
) -> None:
    tenants = {"acme": CAPPED, "beta": Tenant(tenant_id="beta")}
    entry = make_entry(**changes)
    cap = cap_for(tenants.get(entry.tenant_id), entry)
    assert cap == (TWO_A_WEEK if asked else None)


FULL = Full(cap=TWO_A_WEEK, until=NOW + 4 * DAY, seconds=4 * 86_400.0)
SOON = Full(cap=TWO_A_WEEK, until=None, seconds=1.0)


def test_what_is_too_much_waits_in_its_place_and_the_event_names_rule_and_inputs(
    make_entry: Make, now: datetime
) -> None:
    entry = make_entry()
    decision = before_sending(entry, Paused(), provider="email-api", keyed=True, full=FULL)
    assert (decision.state, decision.delay_seconds) == (State.QUEUED, 4 * 86_400.0)
    assert not decision.presented
    event = events.of_decision(entry, decision, now, provider="email-api")
    assert event is not None
    assert (event.TYPE, event.to_avro()["rule"]) == ("MessageHeld", "cap")
    assert event.to_avro()["inputs"] == {
        "messages": "2",
        "days": "7",
        "until": "2026-11-25T09:00:00+00:00",
    }


def test_a_wait_for_what_becomes_of_others_is_short_and_not_told(
    make_entry: Make, now: datetime
) -> None:
    entry = make_entry()
    decision = before_sending(entry, Paused(), provider="email-api", keyed=True, full=SOON)
    assert (decision.state, decision.delay_seconds) == (State.QUEUED, 1.0)
    assert events.of_decision(entry, decision, now, provider="email-api") is None


@pytest.mark.parametrize("found", [FULL, SOON])
def test_a_doubt_stays_one_while_its_message_waits_for_the_cap(
    make_entry: Make, found: Full
) -> None:
    entry = make_entry(in_doubt=True, provider="email-api")
    decision = before_sending(entry, Paused(), provider="email-api", keyed=True, full=found)
    assert (decision.state, decision.in_doubt) == (State.QUEUED, True)
    decision = before_sending(make_entry(), Paused(), provider="email-api", keyed=True, full=found)
    assert not decision.in_doubt


def test_what_must_not_go_out_and_what_wakes_somebody_does_not_ask_for_the_cap_first(
    make_entry: Make,
) -> None:
    def rule(entry: Entry, paused: Paused = Paused(), closed: Closed | None = None) -> str:  # noqa: B008
        return before_sending(
            entry, paused, provider="email-api", keyed=True, closed=closed, full=FULL
        ).rule

    assert rule(make_entry(known=Known(suppressed_by="opt_out"))) == "suppression_list"
    assert rule(make_entry(), Paused(frozenset({"everything"}))) == "paused"
    night = Closed(zone="UTC", hours="10:00-21:00", until=NOW + DAY / 24, seconds=3600.0)
    assert rule(make_entry(), closed=night) == "quiet_hours"
    assert rule(make_entry()) == "cap"


# --- the loop --------------------------------------------------------------------------------


class FakeLedger:
    """Gives out everything at once, and says the same of each."""

    def __init__(self, entries: Sequence[Entry], had: Mapping[str, Others]) -> None:
        self.entries = list(entries)
        self.had = had
        self.asked: list[dict[str, Cap]] = []
        self.settled: list[Settled] = []

    async def claim(self, channel: str, provider: str, **_: Any) -> list[Entry]:
        claimed, self.entries = self.entries, []
        return claimed

    async def others(self, caps: Mapping[str, Cap]) -> dict[str, Others]:
        self.asked.append(dict(caps))
        return {message_id: self.had[message_id] for message_id in caps}

    async def settle(self, outcomes: Sequence[Settled]) -> int:
        self.settled.extend(outcomes)
        return len(outcomes)


class FakeProvider:
    name = "email-api"
    keyed = True
    key_seconds = 82_800.0
    batch = 100
    at_once = 4

    async def send(self, messages: Sequence[Outbound]) -> Sequence[Answer]:
        return [Accepted(provider_id="p", response="{}") for _ in messages]

    async def close(self) -> None: ...


def sender(ledger: FakeLedger, *tenants: Tenant) -> Sender:
    codec = Codec()
    return Sender(
        Route(channel="email", provider=FakeProvider()),
        ledger=cast(Ledger, ledger),
        controls=Controls(codec),
        codec=codec,
        clock=SystemClock(),
        health=Health(),
        pace=Pace(lease_seconds=30, timeout_seconds=8, retries=Retries()),
        to_send=Wakeup(),
        to_publish=Wakeup(),
        tenants={tenant.tenant_id: tenant for tenant in tenants},
    )


async def test_a_batch_is_asked_once_for_those_alone_whose_tenant_has_a_cap(
    make_entry: Make,
) -> None:
    entries = [
        make_entry(message_id="full"),
        make_entry(message_id="free", lead_id="lead-2"),
        make_entry(message_id="beta's", tenant_id="beta"),
        make_entry(message_id="again", lead_id="lead-3", resent=True),
    ]
    ledger = FakeLedger(entries, {"full": others(DAY, 2 * DAY), "free": others(DAY)})
    assert await sender(ledger, CAPPED, Tenant(tenant_id="beta")).round() == 4
    assert ledger.asked == [{"full": TWO_A_WEEK, "free": TWO_A_WEEK}]
    became = {each.entry.message_id: each.decision for each in ledger.settled}
    assert {name: decision.state for name, decision in became.items()} == {
        "full": State.QUEUED,
        "free": State.SENT,
        "beta's": State.SENT,
        "again": State.SENT,
    }
    assert became["full"].rule == "cap"


async def test_where_no_tenant_has_a_cap_nothing_is_asked(make_entry: Make) -> None:
    ledger = FakeLedger([make_entry()], {})
    assert await sender(ledger, Tenant(tenant_id="acme")).round() == 1
    assert ledger.asked == []
    assert [each.decision.state for each in ledger.settled] == [State.SENT]
