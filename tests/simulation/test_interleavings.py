"""Every order of a stop, its reading and a send: no message goes out whose stop was in the log
before its claim.

The real sender, fence and decision, with a log, a ledger and a provider whose every step waits
for its turn; all turns are tried, one run after the other, with deaths of the reader among them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dispatcher.controls import Controls
from dispatcher.decide import Retries
from dispatcher.fence import Fence
from dispatcher.halts import PASSED_OVER, halted
from dispatcher.ledger import Settled
from dispatcher.model import NOT_LOOKED_UP, Accepted, Answer, Content, Entry, Known
from dispatcher.pace import Wakeup
from dispatcher.worker import Pace, Route, Sender
from leadflow.codec import Codec
from leadflow.health import Health
from leadflow.kafka.loop import Received
from leadflow.kafka.port import Message
from leadflow.records import AutomationPaused, EnrollmentPaused, EnrollmentStopped
from sequencer.decide.resending import OWN_ENDS

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
CODEC = Codec()
LEAD = "lead-1"
PAUSE = CODEC.encode(
    AutomationPaused(
        event_id="p-1",
        tenant_id="acme",
        occurred_at=NOW,
        recorded_at=NOW,
        source="portal-api",
        scope="tenant:acme",
        workflow="",
        reason="an incident",
        rollback="",
        verification_status="open",
        paused_by="olga",
    )
)


def halt(record_type: type[EnrollmentStopped | EnrollmentPaused], rule: str) -> Known:
    """What is known once the sequencer's word on the enrollment has been read."""
    word = record_type(
        event_id="w-1",
        tenant_id="acme",
        occurred_at=NOW,
        recorded_at=NOW,
        source="sequencer",
        lead_id=LEAD,
        enrollment_id="e-1",
        sequence_id="acme.first-touch",
        sequence_version=1,
        rule=rule,
    )
    message = Message("enrollment-events", 0, 0, LEAD.encode(), CODEC.encode(word), (), 0)
    (read,) = halted([Received(message, CODEC.decode(message.value))])
    return Known(halt=read.halt, timezone="UTC")


# What is said of one enrollment is in enrollment-events.
OF_ENROLLMENTS: Mapping[str, Known] = {
    "stopped by hand": halt(EnrollmentStopped, "manual"),
    "stage left": halt(EnrollmentStopped, "stage_left"),
    "superseded": halt(EnrollmentStopped, "superseded"),
    "paused by hand": halt(EnrollmentPaused, "manual"),
    "merged": halt(EnrollmentPaused, "lead_merged"),
    "quarantined": halt(EnrollmentPaused, "lead_quarantined"),
}
KNOWN: Mapping[str, Known] = {
    **OF_ENROLLMENTS,
    "reply": Known(stops={"reply": NOW}, timezone="UTC"),
    "booking": Known(stops={"booking": NOW}, timezone="UTC"),
    "account_reply": Known(stops={"account_reply": NOW}, timezone="UTC"),
    "opt_out": Known(stops={"opt_out": NOW}, consent=False, timezone="UTC"),
    "no consent": Known(consent=False, timezone="UTC"),
    "suppression": Known(suppressed_by="manual", timezone="UTC"),
}


# What is said on topics of their own, about anybody; the rest is in lead-events.
OF_OTHERS = ("suppression", "pause")


class Silence:
    """The progress of a topic in which nothing is said."""

    async def partitions(self) -> int:
        return 1

    async def ends(self) -> Mapping[int, int]:
        return {}

    async def reached(self) -> Mapping[int, int]:
        return {}


class Turns:
    """Lets one of those who wait go on at a time, as `choices` say; past their end the first."""

    def __init__(self, choices: Sequence[int]) -> None:
        self.made: list[int] = []
        self.options: list[int] = []
        self.steps: list[str] = []
        self._choices = choices
        self._waiting: list[tuple[str, asyncio.Future[None]]] = []

    async def gate(self, label: str) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((label, turn))
        await turn
        self.steps.append(label)

    async def play(self, *processes: asyncio.Task[None]) -> None:
        while not all(process.done() for process in processes):
            for _ in range(20):  # until everybody waits for a turn or for another
                await asyncio.sleep(0)
            for process in processes:
                if process.done() and not process.cancelled():
                    process.result()
            if not self._waiting:
                continue
            number = len(self.made)
            choice = self._choices[number] if number < len(self._choices) else 0
            self.made.append(choice)
            self.options.append(len(self._waiting))
            self._waiting.pop(choice)[1].set_result(None)


@dataclass
class World:
    """`said_at`, `claimed_at` and `accepted` are numbers of steps."""

    turns: Turns
    stop: str
    fenced: bool
    deaths: int
    forgetful: bool = False  # decides by what was known when it claimed
    of_leads_alone: bool = False  # does not wait for enrollment-events
    log: list[str] = field(default_factory=list)
    committed: int = 0
    applied: bool = False
    said_at: int | None = None
    claimed_at: int | None = None
    accepted: int | None = None
    said: asyncio.Event = field(default_factory=asyncio.Event)
    controls: Controls = field(default_factory=lambda: Controls(CODEC))

    # --- the log and its reader ---

    async def person(self) -> None:
        await self.turns.gate("says it")
        self.log.append(self.stop)
        self.said_at = len(self.turns.steps)
        self.said.set()

    async def reader(self) -> None:
        """Reads, applies, commits; may die in between, and another begins where it committed."""
        await self.said.wait()
        while True:
            await self.turns.gate("reads")
            self._apply()
            if not self.deaths:
                await self.turns.gate("commits")
                self.committed = 1
                return
            self.deaths -= 1

    def _apply(self) -> None:
        self.applied = True
        if self.stop == "pause":
            self.controls.apply(b"tenant:acme", PAUSE)

    async def partitions(self) -> int:
        return 1

    async def ends(self) -> Mapping[int, int]:
        await self.turns.gate("asks for the end")
        return {0: len(self.log)}

    async def reached(self) -> Mapping[int, int]:
        await self.turns.gate("asks how far")
        return {0: self.committed}

    # --- the ledger and the provider ---

    async def claim(self, *_: Any, **__: Any) -> list[Entry]:
        await self.turns.gate("claims")
        self.claimed_at = len(self.turns.steps)
        self._claimed = self._facts()
        return [replace(ENTRY, known=self._facts() if not self.fenced else ENTRY.known)]

    async def look_up(self, entries: Sequence[Entry]) -> list[Entry]:
        await self.turns.gate("looks up")
        if self.forgetful:
            return [replace(entry, known=self._claimed) for entry in entries]
        return [replace(entry, known=self._facts()) for entry in entries]

    async def settle(self, outcomes: Sequence[Settled]) -> int:
        await self.turns.gate("settles")
        return len(outcomes)

    def _facts(self) -> Known:
        return KNOWN.get(self.stop, Known()) if self.applied else Known(timezone="UTC")

    name = "fake"
    keyed = True
    key_seconds = 23 * 3600.0
    batch = 1
    at_once = 1

    async def send(self, _messages: Sequence[Any]) -> Sequence[Answer]:
        await self.turns.gate("calls")
        self.accepted = len(self.turns.steps)
        return [Accepted(provider_id=None, response="")]

    async def close(self) -> None: ...

    # --- the clock, which stands still but for waiting ---

    at = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.at)

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += 1.0  # a look or two, then the message is given back

    async def sender(self) -> None:
        ledger: Any = self
        provider: Any = self
        made = Sender(
            Route(channel="email", provider=provider),
            ledger=ledger,
            controls=self.controls,
            codec=CODEC,
            clock=self,
            health=Health(),
            pace=Pace(lease_seconds=20.0, timeout_seconds=8.0, retries=Retries()),
            to_send=Wakeup(),
            to_publish=Wakeup(),
            fence=self._fence() if self.fenced else None,
        )
        await made.round()

    def _fence(self) -> Fence:
        if self.stop in OF_OTHERS:
            return Fence([Silence(), Silence()], [self], self)
        if self.of_leads_alone:
            return Fence([Silence()], [Silence()], self)
        if self.stop in OF_ENROLLMENTS:
            return Fence([Silence(), self], [Silence()], self)
        return Fence([self, Silence()], [Silence()], self)


PAYLOAD = b'{"subject":"Hello","text":"Hi","to":"ann@example.com"}'
ENTRY = Entry(
    message_id="m-1",
    tenant_id="acme",
    lead_id=LEAD,
    owner=None,
    enrollment_id="e-1",
    sequence_id="acme.first-touch",
    step_id="hello",
    channel="email",
    recipient="ann@example.com",
    enrolled_at=NOW - timedelta(days=1),
    stop_on=("reply", "booking", "account_reply"),
    content=Content(payload=PAYLOAD, sha256=""),
    epoch=1,
    attempts=0,
    in_doubt=False,
    provider=None,
    known=NOT_LOOKED_UP,
)


async def run(
    stop: str, choices: Sequence[int], *, fenced: bool, deaths: int, **more: Any
) -> World:
    world = World(Turns(choices), stop, fenced, deaths, **more)
    processes = [
        asyncio.ensure_future(each()) for each in (world.person, world.reader, world.sender)
    ]
    await world.turns.play(*processes)
    return world


async def every_order(
    stop: str, *, fenced: bool, deaths: int, look: Callable[[World], None], **more: Any
) -> int:
    """Depth first over all choices; returns how many orders there were."""
    choices: list[int] = []
    number = 0
    while True:
        world = await run(stop, choices, fenced=fenced, deaths=deaths, **more)
        look(world)
        number += 1
        made, options = world.turns.made, world.turns.options
        while made and made[-1] + 1 >= options[len(made) - 1]:
            made.pop()
        if not made:
            return number
        choices = [*made[:-1], made[-1] + 1]


def is_broken(world: World) -> bool:
    return (
        world.accepted is not None
        and world.said_at is not None
        and world.claimed_at is not None
        and world.said_at < world.claimed_at
    )


@pytest.mark.parametrize("deaths", [0, 1, 2])
@pytest.mark.parametrize("stop", [*KNOWN, "pause"])
async def test_no_order_lets_a_message_out_whose_stop_was_in_the_log_before_its_claim(
    stop: str, deaths: int
) -> None:
    ends: set[bool] = set()

    def look(world: World) -> None:
        assert not is_broken(world), world.turns.steps
        ends.add(world.accepted is not None)

    orders = await every_order(stop, fenced=True, deaths=deaths, look=look)
    assert orders > 90
    assert ends == {True, False}, "some go out, for nothing had been said, and some do not"


@pytest.mark.parametrize(
    ("stop", "mistake"),
    [
        ("reply", {"fenced": False}),
        ("reply", {"fenced": True, "forgetful": True}),
        ("stopped by hand", {"fenced": False}),
        ("stopped by hand", {"fenced": True, "of_leads_alone": True}),
        ("paused by hand", {"fenced": True, "of_leads_alone": True}),
        ("paused by hand", {"fenced": True, "forgetful": True}),
    ],
)
async def test_without_the_fence_or_with_what_was_known_before_it_some_order_lets_one_out(
    stop: str, mistake: dict[str, bool]
) -> None:
    broken: list[list[str]] = []

    def look(world: World) -> None:
        if is_broken(world):
            broken.append(world.turns.steps)

    await every_order(stop, deaths=0, look=look, **mistake)
    assert broken


def test_what_was_queued_before_its_sequence_ended_by_itself_goes_out() -> None:
    """An enrollment that is completed is not told of as stopped."""
    assert PASSED_OVER[EnrollmentStopped] == OWN_ENDS - {"completed"}
