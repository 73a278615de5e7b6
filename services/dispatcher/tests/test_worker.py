"""One round of the send loop, on a ledger and a provider that only remember."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import pytest

from dispatcher.controls import Controls
from dispatcher.decide import Retries
from dispatcher.fence import Fence
from dispatcher.gate import Admission, Gate, OpenGate, Wait
from dispatcher.ledger import Ledger, Settled
from dispatcher.model import Accepted, Answer, Entry, Known, State
from dispatcher.pace import Wakeup
from dispatcher.providers.base import Busy, NoAnswer, Outbound, Provider, Unauthorized
from dispatcher.worker import Pace, Route, Sender
from leadflow.codec import Codec
from leadflow.errors import BrokerError
from leadflow.health import Health

Make = Callable[..., Entry]


class FakeLedger:
    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = list(entries)
        self.settled: list[Settled] = []

    async def claim(
        self, channel: str, provider: str, *, limit: int, lease_seconds: float
    ) -> list[Entry]:
        claimed, self.entries = self.entries[:limit], self.entries[limit:]
        return claimed

    async def look_up(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        return entries

    async def settle(self, outcomes: Sequence[Settled]) -> int:
        self.settled.extend(outcomes)
        return len(outcomes)


class FakeProvider:
    name = "email-api"
    keyed = True
    key_seconds = 82_800.0
    batch = 100
    at_once = 4

    def __init__(self, silent: bool = False) -> None:
        self.calls: list[list[str]] = []
        self.silent = silent

    async def send(self, messages: Sequence[Outbound]) -> Sequence[Answer]:
        self.calls.append([message.message_id for message in messages])
        if self.silent:
            raise NoAnswer("email-api: ReadTimeout")
        return [Accepted(provider_id="p", response="{}") for _ in messages]

    async def close(self) -> None: ...


class FakeClock:
    def __init__(self, now: datetime) -> None:
        self._now = now
        self.elapsed = [0.0]

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self.elapsed.pop(0) if len(self.elapsed) > 1 else self.elapsed[0]

    async def sleep(self, seconds: float) -> None: ...


@pytest.fixture
def clock(now: datetime) -> FakeClock:
    return FakeClock(now)


def sender(
    ledger: FakeLedger,
    provider: FakeProvider | None,
    clock: FakeClock,
    health: Health | None = None,
    to_send: Wakeup | None = None,
    fence: Fence | None = None,
    gate: Gate | None = None,
    lease_seconds: float = 20,
) -> Sender:
    codec = Codec()
    return Sender(
        Route(channel="email", provider=cast("Provider | None", provider)),
        ledger=cast(Ledger, ledger),
        controls=Controls(codec),
        codec=codec,
        clock=clock,
        health=health or Health(),
        pace=Pace(lease_seconds=lease_seconds, timeout_seconds=8, retries=Retries()),
        to_send=to_send or Wakeup(),
        to_publish=Wakeup(),
        fence=fence,
        gate=gate,
    )


def states(ledger: FakeLedger) -> dict[str, State]:
    return {each.entry.message_id: each.decision.state for each in ledger.settled}


def doubts(ledger: FakeLedger) -> dict[str, bool]:
    return {each.entry.message_id: each.decision.in_doubt for each in ledger.settled}


async def test_first_tries_go_together_and_second_tries_alone(
    make_entry: Make, clock: FakeClock
) -> None:
    ledger = FakeLedger(
        [
            make_entry(message_id="a"),
            make_entry(message_id="b", attempts=1),
            make_entry(message_id="c"),
        ]
    )
    provider = FakeProvider()
    assert await sender(ledger, provider, clock).round() == 3
    assert provider.calls == [["a", "c"], ["b"]]
    assert set(states(ledger).values()) == {State.SENT}


async def test_what_a_provider_did_not_look_at_stays_a_batch_and_what_it_refused_goes_alone(
    make_entry: Make, clock: FakeClock
) -> None:
    class Limited(FakeProvider):
        async def send(self, messages: Sequence[Outbound]) -> Sequence[Answer]:
            await super().send(messages)
            raise Busy("email-api answered 429", 1.0)

    ledger, provider = FakeLedger([make_entry(message_id=each) for each in "abc"]), Limited()
    sends = sender(ledger, provider, clock)
    await sends.round()
    assert [each.decision.presented for each in ledger.settled] == [False] * 3
    # As the ledger gives them out again; one was refused because of its sender in the meantime.
    ledger.entries = [
        replace(each.entry, trying_seconds=5.0, refusals=int(each.entry.message_id == "b"))
        for each in ledger.settled
    ]
    await sends.round()
    assert provider.calls == [["a", "b", "c"], ["a", "c"], ["b"]]


async def test_a_route_that_refuses_us_is_held_and_its_messages_stay_in_the_queue(
    make_entry: Make, clock: FakeClock
) -> None:
    class Revoked(FakeProvider):
        batch = 1

        async def send(self, messages: Sequence[Outbound]) -> Sequence[Answer]:
            await super().send(messages)
            raise Unauthorized("email-api answered 401")

    class Told(OpenGate):
        async def refused(self, provider: str, reason: str) -> None:
            told.append(reason)

    told: list[str] = []
    ledger, provider = FakeLedger([make_entry(message_id=f"m-{n}") for n in range(20)]), Revoked()
    sends = sender(ledger, provider, clock, gate=Told())
    assert [await sends.round() for _ in range(3)] == [4, 0, 0]
    assert len(provider.calls) == 4
    assert set(states(ledger).values()) == {State.HELD}
    assert told == ["email-api answered 401"]
    clock.elapsed = [5.0]
    assert await sends.round() == 1, "one message asks whether it still is refused"
    assert len(told) == 2


async def test_a_message_that_waits_for_a_limit_is_looked_for_when_its_turn_comes(
    make_entry: Make, clock: FakeClock
) -> None:
    class Limiting(OpenGate):
        async def admit(self, provider: str, entries: Sequence[Entry]) -> Admission:
            waits = [Wait(entry=each, rule="limit:tenant:acme", seconds=0.2) for each in entries]
            return Admission(go=(), wait=waits)

    class Waits(Wakeup):
        async def wait(self, ticket: asyncio.Event, seconds: float) -> None:
            waited.append(seconds)
            clock.elapsed = [clock.elapsed[0] + seconds]
            if len(waited) == 2:
                stop.set()

    waited: list[float] = []
    stop, health = asyncio.Event(), Health()
    doubted = make_entry(in_doubt=True, provider="email-api")
    ledger = FakeLedger([doubted, make_entry(message_id="m-2")])
    await sender(ledger, FakeProvider(), clock, health, Waits(), gate=Limiting()).run(stop)
    assert waited == [pytest.approx(0.2), 0.5]
    # It may be out already: without its doubt a provider without keys would send it again.
    assert {each.decision.rule for each in ledger.settled} == {"limit:tenant:acme"}
    assert doubts(ledger) == {"m-1": True, "m-2": False}


async def test_what_is_suppressed_never_reaches_the_provider(
    make_entry: Make, clock: FakeClock
) -> None:
    ledger = FakeLedger(
        [
            make_entry(message_id="a", known=Known(suppressed_by="opt_out")),
            make_entry(message_id="b"),
        ]
    )
    provider = FakeProvider()
    await sender(ledger, provider, clock).round()
    assert provider.calls == [["b"]]
    assert states(ledger) == {"a": State.SUPPRESSED, "b": State.SENT}


async def test_a_silence_puts_every_message_of_the_call_back_in_doubt(
    make_entry: Make, clock: FakeClock
) -> None:
    ledger = FakeLedger([make_entry(message_id="a"), make_entry(message_id="b")])
    await sender(ledger, FakeProvider(silent=True), clock).round()
    assert states(ledger) == {"a": State.QUEUED, "b": State.QUEUED}
    assert all(each.decision.in_doubt and each.event is None for each in ledger.settled)


async def test_a_lease_that_could_end_during_the_call_is_given_back(
    make_entry: Make, clock: FakeClock
) -> None:
    clock.elapsed = [0.0, 12.5]  # claimed at 0 for 20 s; the call may take 8
    ledger, provider = FakeLedger([make_entry()]), FakeProvider()
    await sender(ledger, provider, clock).round()
    assert provider.calls == []
    assert states(ledger) == {"m-1": State.QUEUED}
    assert not ledger.settled[0].decision.presented


async def test_what_a_first_wave_of_calls_does_not_take_is_looked_at_again_before_it_is_sent(
    make_entry: Make, clock: FakeClock
) -> None:
    again = [make_entry(message_id=f"m-{number}", attempts=1) for number in range(6)]
    ledger, provider = FakeLedger(again), FakeProvider()
    await sender(ledger, provider, clock).round()
    assert provider.calls == [["m-0"], ["m-1"], ["m-2"], ["m-3"]]
    assert [each.entry.message_id for each in ledger.settled if not each.decision.presented] == [
        "m-4",
        "m-5",
    ]
    assert states(ledger)["m-4"] is State.QUEUED


async def test_nothing_is_sent_while_pauses_cannot_be_read(
    make_entry: Make, clock: FakeClock
) -> None:
    part = "automation-controls"

    class Looks(Wakeup):
        async def wait(self, ticket: asyncio.Event, seconds: float) -> None:
            calls.append(list(provider.calls))
            health.ready(part)
            if len(calls) == 2:
                stop.set()

    calls: list[list[list[str]]] = []
    stop, health, provider = asyncio.Event(), Health((part,)), FakeProvider()
    await sender(FakeLedger([make_entry()]), provider, clock, health, Looks()).run(stop)
    assert calls == [[], [["m-1"]]]


async def test_who_may_have_been_spoken_of_since_waits_and_the_others_go(
    make_entry: Make, clock: FakeClock
) -> None:
    class Behind:
        async def behind(self, lead_ids: set[str], seconds: float) -> frozenset[str]:
            return frozenset({"lead-1"} & lead_ids)

    doubted = make_entry(message_id="m-3", in_doubt=True, provider="email-api")
    ledger = FakeLedger([make_entry(), make_entry(message_id="m-2", lead_id="l-2"), doubted])
    provider = FakeProvider()
    fenced: Any = Behind()
    await sender(ledger, provider, clock, fence=fenced).round()
    assert provider.calls == [["m-2"]]
    assert states(ledger) == {"m-1": State.QUEUED, "m-2": State.SENT, "m-3": State.QUEUED}
    assert doubts(ledger) == {"m-1": False, "m-2": False, "m-3": True}, "a wait settles none"


async def test_a_short_lease_does_not_end_for_the_others_while_one_lead_is_waited_for(
    make_entry: Make, clock: FakeClock
) -> None:
    class Slow:
        async def behind(self, lead_ids: set[str], seconds: float) -> frozenset[str]:
            clock.elapsed = [seconds]
            return frozenset({"lead-1"})

    ledger = FakeLedger([make_entry(), make_entry(message_id="m-2", lead_id="l-2")])
    provider = FakeProvider()
    slow: Any = Slow()
    await sender(ledger, provider, clock, fence=slow, lease_seconds=9).round()
    assert provider.calls == [["m-2"]]


async def test_nothing_comes_into_doubt_while_it_cannot_be_asked_what_was_said(
    make_entry: Make, clock: FakeClock
) -> None:
    """Left to their leases they would be unknown where a provider has no key."""

    class Away:
        async def behind(self, lead_ids: set[str], seconds: float) -> frozenset[str]:
            raise BrokerError("cannot read offsets")

    waited = "limit:tenant:acme"
    entries = [make_entry(rule=waited), make_entry(message_id="m-2", in_doubt=True)]
    ledger, provider = FakeLedger(entries), FakeProvider()
    fenced: Any = Away()
    with pytest.raises(BrokerError):
        await sender(ledger, provider, clock, fence=fenced).round()
    assert provider.calls == []
    decisions = [each.decision for each in ledger.settled]
    assert [each.state for each in decisions] == [State.QUEUED] * 2
    assert [(each.in_doubt, each.presented) for each in decisions] == [
        (False, False),
        (True, False),
    ]
    assert decisions[0].rule == waited, "it has waited for its turn"


async def test_an_answer_is_written_down_though_the_breaker_cannot_be_told(
    make_entry: Make, clock: FakeClock
) -> None:
    class Broken(OpenGate):
        async def observe(self, provider: str, answers: Sequence[Answer]) -> None:
            raise ConnectionError

    ledger = FakeLedger([make_entry(message_id="a"), make_entry(message_id="b", attempts=1)])
    await sender(ledger, FakeProvider(), clock, gate=Broken()).round()
    assert states(ledger) == {"a": State.SENT, "b": State.SENT}


async def test_the_gate_is_asked_only_for_what_is_called(
    make_entry: Make, clock: FakeClock
) -> None:
    """What is admitted is counted, and a limit's tokens are not given back."""

    class Counting(OpenGate):
        async def admit(self, provider: str, entries: Sequence[Entry]) -> Admission:
            asked.extend(each.message_id for each in entries)
            return Admission(go=entries)

    asked: list[str] = []
    again = [make_entry(message_id=f"m-{number}", attempts=1) for number in range(6)]
    provider = FakeProvider()
    await sender(FakeLedger(again), provider, clock, gate=Counting()).round()
    assert asked == [message_id for call in provider.calls for message_id in call]


async def test_every_outcome_but_a_retry_has_its_event(make_entry: Make, clock: FakeClock) -> None:
    ledger = FakeLedger([make_entry()])
    await sender(ledger, FakeProvider(), clock).round()
    event = ledger.settled[0].event
    assert event is not None
    record = Codec().decode(event)
    assert record.TYPE == "MessageSent"
    assert record.to_avro()["body_hash"] == make_entry().content.sha256


async def test_without_a_provider_it_is_recorded(make_entry: Make, clock: FakeClock) -> None:
    ledger = FakeLedger([make_entry(channel="task")])
    await sender(ledger, None, clock).round()
    assert states(ledger) == {"m-1": State.RECORDED}


async def test_an_error_of_ours_in_one_call_is_a_doubt_and_takes_no_other_answer_along(
    make_entry: Make, clock: FakeClock
) -> None:
    class Odd(FakeProvider):
        batch = 1

        async def send(self, messages: Sequence[Outbound]) -> Sequence[Answer]:
            if messages[0].message_id == "m-1":
                raise TypeError("an answer that nobody expected")
            return await super().send(messages)

    ledger = FakeLedger([make_entry(), make_entry(message_id="m-2", lead_id="l-2")])
    await sender(ledger, Odd(), clock).round()
    assert states(ledger) == {"m-1": State.QUEUED, "m-2": State.SENT}
    [doubted] = [each for each in ledger.settled if each.entry.message_id == "m-1"]
    assert doubted.decision.in_doubt
