"""The consumer loop: what is committed when, and where a record goes that cannot be processed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from leadflow.errors import BrokerError, DeadLetterError, Malformed, RecordRefused
from leadflow.health import Health
from leadflow.kafka.dead_letters import DeadLetters
from leadflow.kafka.loop import ConsumerLoop, Received, Stateless
from leadflow.kafka.memory import MemoryBroker, MemoryConsumer, MemoryProducer
from leadflow.kafka.port import Message, Outgoing, TopicPartition
from leadflow.records import Record, Tick

START = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass
class StillClock:
    """Time moves only when somebody sleeps or a test says so."""

    at: datetime = START

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        # Every look takes a while, so that waiting ends without real time.
        self.at += timedelta(milliseconds=50)
        return self.at.timestamp()

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def decode(message: Message) -> Record:
    if message.value == b"junk":
        raise Malformed("junk")
    return Tick(
        event_id=(message.value or b"").decode(),
        tenant_id="t",
        occurred_at=START,
        recorded_at=START,
        source="test",
        partition=message.partition,
    )


@dataclass
class Recorder(Stateless):
    """Keeps what it handled; fails as often and as the test wants."""

    behave: Callable[[Sequence[str]], None] = lambda _names: None
    handled: list[str] = field(default_factory=list)

    async def handle(self, batch: Sequence[Received]) -> None:
        names = [received.record.event_id for received in batch]
        self.behave(names)
        self.handled += names


class Rig:
    def __init__(
        self,
        handler: Recorder,
        gate: Callable[[Message], datetime | None] | None = None,
        wanted: Callable[[Message], bool] | None = None,
    ):
        self.broker = MemoryBroker({"in": 2, "svc-dlq": 1})
        self.producer = MemoryProducer(self.broker)
        self.clock = StillClock()
        self.health = Health(("loop",))
        self.handler = handler
        self.stop = asyncio.Event()
        self.loop = ConsumerLoop(
            name="loop",
            consumer=MemoryConsumer(self.broker, "group"),
            topics=["in"],
            decode=decode,
            handler=handler,
            dead_letters=DeadLetters("svc", self.producer, self.clock),
            clock=self.clock,
            health=self.health,
            gate=gate,
            wanted=wanted,
        )

    def put(self, *values: bytes, partition: int = 0) -> None:
        for value in values:
            self.broker.append(Outgoing("in", b"k", value, (("h", b"1"),), partition))

    def committed(self, partition: int = 0) -> int:
        return self.broker.committed.get(("group", TopicPartition("in", partition)), 0)

    @property
    def dead(self) -> list[Message]:
        return self.broker.logs[TopicPartition("svc-dlq", 0)]

    async def run_until(self, condition: Callable[[], bool]) -> None:
        async def watch() -> None:
            while not condition():
                self.clock.at += timedelta(seconds=1)
                self.broker.arrived.set()
                await asyncio.sleep(0)
            self.stop.set()

        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            group.create_task(watch())
            group.create_task(self.loop.run(self.stop))


async def test_offsets_are_committed_after_the_handler_returned() -> None:
    rig = Rig(Recorder())
    seen: list[int] = []
    rig.handler.behave = lambda _names: seen.append(rig.committed())
    rig.put(b"a", b"b")
    await rig.run_until(lambda: rig.committed() == 2)
    assert rig.handler.handled == ["a", "b"]
    assert seen == [0]


async def test_a_passing_failure_is_repeated_until_it_passes_and_nothing_is_committed() -> None:
    left = [BrokerError("down"), TimeoutError(), ConnectionRefusedError()]
    committed: list[int] = []

    def behave(_names: Sequence[str]) -> None:
        committed.append(rig.committed())
        if left:
            raise left.pop()

    rig = Rig(Recorder(behave))
    rig.put(b"a", b"b", b"c")
    await rig.run_until(lambda: rig.committed() == 3)
    assert rig.handler.handled == ["a", "b", "c"]
    assert committed == [0, 0, 0, 0]
    assert rig.dead == []


async def test_a_service_is_not_ready_while_it_retries() -> None:
    tries: list[dict[str, str]] = []

    def behave(_names: Sequence[str]) -> None:
        tries.append(rig.health.waiting())
        if len(tries) == 1:
            raise BrokerError("the broker is away")

    rig = Rig(Recorder(behave))
    rig.put(b"a")
    await rig.run_until(lambda: rig.committed() == 1)
    assert tries == [{}, {"loop": "the broker is away"}]


async def test_only_the_refused_record_goes_to_the_dead_letter_topic() -> None:
    def behave(names: Sequence[str]) -> None:
        if "bad" in names:
            raise RecordRefused("no_such_lead", "nobody has this id")

    rig = Rig(Recorder(behave))
    rig.put(b"a", b"bad", b"c")
    await rig.run_until(lambda: rig.committed() == 3)
    assert rig.handler.handled == ["a", "c"]
    [letter] = rig.dead
    assert (letter.key, letter.value) == (b"k", b"bad")
    expected = {
        "h": b"1",
        "dlq-service": b"svc",
        "dlq-topic": b"in",
        "dlq-partition": b"0",
        "dlq-offset": b"1",
        "dlq-error": b"RecordRefused",
        "dlq-reason": b"no_such_lead: nobody has this id",
    }
    assert {name: letter.header(name) for name in expected} == expected


async def test_an_unexpected_error_ends_in_the_dead_letter_topic_without_its_text() -> None:
    def behave(names: Sequence[str]) -> None:
        if "bad" in names:
            raise ValueError("jane@example.com")

    rig = Rig(Recorder(behave))
    rig.put(b"bad", b"next")
    await rig.run_until(lambda: rig.committed() == 2)
    [letter] = rig.dead
    assert letter.header("dlq-reason") == b"ValueError"
    assert rig.handler.handled == ["next"]


async def test_bytes_that_are_no_record_are_kept_as_they_came() -> None:
    rig = Rig(Recorder())
    rig.put(b"a", b"junk", b"c")
    await rig.run_until(lambda: rig.committed() == 3)
    assert rig.handler.handled == ["a", "c"]
    assert [letter.value for letter in rig.dead] == [b"junk"]


async def test_the_process_ends_when_the_dead_letter_topic_fails_too() -> None:
    rig = Rig(Recorder())
    rig.put(b"junk")
    rig.producer.fail_next = 1
    with pytest.raises(DeadLetterError):
        await rig.loop.run(rig.stop)
    assert rig.committed() == 0


async def test_a_record_that_is_not_due_waits_with_all_behind_it_and_others_go_on() -> None:
    due = START + timedelta(minutes=5)
    handled_at: dict[str, datetime] = {}
    rig = Rig(Recorder(), gate=lambda message: due if message.value == b"later" else None)
    rig.handler.behave = lambda names: handled_at.update(dict.fromkeys(names, rig.clock.at))
    rig.put(b"first", b"later", b"behind")
    rig.put(b"other", partition=1)
    await rig.run_until(lambda: rig.committed() == 3)
    assert rig.handler.handled.index("later") < rig.handler.handled.index("behind")
    assert set(rig.handler.handled[:2]) == {"first", "other"}
    assert handled_at["other"] < due <= handled_at["later"]


async def test_a_stop_while_retrying_leaves_the_batch_to_the_next_member() -> None:
    def behave(_names: Sequence[str]) -> None:
        rig.stop.set()
        raise BrokerError("down")

    rig = Rig(Recorder(behave))
    rig.put(b"a")
    async with asyncio.timeout(10):
        await rig.loop.run(rig.stop)
    assert rig.committed() == 0
    assert rig.dead == []


async def test_what_is_replayed_for_another_service_is_passed_over() -> None:
    rig = Rig(Recorder())
    for name, service in ((b"mine", b"svc"), (b"theirs", b"other")):
        rig.broker.append(Outgoing("in", b"k", name, (("replay-for", service),), 0))
    rig.put(b"last")
    await rig.run_until(lambda: rig.committed() == 3)
    assert rig.handler.handled == ["mine", "last"]
    assert rig.dead == []


async def test_what_is_not_wanted_is_passed_over_undecoded_and_committed() -> None:
    """A value that nobody can read is no concern of whoever does not want it."""
    rig = Rig(Recorder(), wanted=lambda message: message.value != b"bad")
    rig.put(b"bad", b"a", b"bad")
    await rig.run_until(lambda: rig.committed() == 3)
    assert rig.handler.handled == ["a"]
    assert rig.dead == []


async def test_of_what_nobody_can_say_whether_it_is_wanted_becomes_a_dead_letter() -> None:
    def wanted(message: Message) -> bool:
        if message.value == b"?":
            raise Malformed("no frame")
        return True

    rig = Rig(Recorder(), wanted=wanted)
    rig.put(b"?", b"a")
    await rig.run_until(lambda: rig.committed() == 2)
    assert rig.handler.handled == ["a"]
    assert [letter.value for letter in rig.dead] == [b"?"]
