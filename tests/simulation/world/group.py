"""The consumer group of the sequencers: who is a member, who owns what, what is committed.

A member that has not been heard of for its session is one no more. Partitions are dealt when
every member has given back what it had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from aiokafka.protocol.group import HeartbeatRequest

from leadflow.kafka.port import TopicPartition
from sequencer.member import SESSION_SECONDS

from .durable import PARTITIONS, Durable, Process

GROUP = "sequencer"
SESSION = timedelta(seconds=SESSION_SECONDS)
KNOWN, UNKNOWN_MEMBER, REBALANCE_IN_PROGRESS = 0, 25, 27
HEARTBEAT = HeartbeatRequest(GROUP, 1, "member")


class Coordinator:
    """The broker's side of it. Members are processes."""

    def __init__(self, durable: Durable) -> None:
        self._durable = durable
        self._heard: dict[Process, Any] = {}
        self._joined: dict[Process, Callable[[frozenset[int]], None]] = {}
        self._owned: dict[Process, frozenset[int]] = {}
        self.dealing = False

    def join(self, member: Process, dealt: Callable[[frozenset[int]], None]) -> None:
        """It has given back what it had; `dealt` is called with what it is to own."""
        self._heard[member] = self._durable.clock.now()
        if not self.dealing:
            self.dealing = True
            self._joined.clear()
        self._joined[member] = dealt

    def leave(self, member: Process) -> None:
        """It is dead: nobody can tell how long it took until that was seen."""
        if self._heard.pop(member, None) is not None:
            self._joined.pop(member, None)
            self._owned.pop(member, None)
            if not self.dealing:
                self.dealing = True
                self._joined.clear()

    def knows(self, member: Process) -> bool:
        return member in self._heard

    def wants(self, member: Process) -> bool:
        """Whether it has to give back and join again."""
        return self.dealing and member in self._heard and member not in self._joined

    def hear(self, member: Process) -> int:
        """What a heartbeat is answered."""
        if member not in self._heard:
            return UNKNOWN_MEMBER
        self._heard[member] = self._durable.clock.now()
        return REBALANCE_IN_PROGRESS if self.wants(member) else KNOWN

    def expire(self) -> None:
        """Give up members that were not heard of. Who waits to be dealt to, is."""
        now = self._durable.clock.now()
        for member, heard in tuple(self._heard.items()):
            if member not in self._joined and now - heard >= SESSION:
                self._durable.note("the group gives up", member.name)
                self.leave(member)
            elif self.dealing and member in self._joined:
                self._heard[member] = now

    def deal(self) -> bool:
        """Deal, if everybody is there."""
        if not self.dealing or not self._joined or self._joined.keys() != self._heard.keys():
            return False
        self.dealing = False
        members = list(self._joined)
        self._durable.rng.shuffle(members)
        now = self._durable.clock.now()
        for number, member in enumerate(members):
            mine = frozenset(range(number, PARTITIONS, len(members)))
            self._owned[member] = mine
            self._heard[member] = now
            self._durable.note("deals", sorted(mine), "to", member.name)
            self._joined[member](mine)
        self._joined = dict.fromkeys(members, lambda _: None)
        return True

    def commit(self, member: Process, offsets: Mapping[TopicPartition, int]) -> bool:
        """Take offsets of what the member owns, or has not given back yet."""
        owned = self._owned.get(member, frozenset())
        if not {place.partition for place in offsets} <= owned:
            return False
        for place, offset in offsets.items():
            self._durable.committed[GROUP, place] = offset
        return True


class Switch:
    """Ends the process at a set time. Implements `sequencer.lease.Switch`."""

    def __init__(self, durable: Durable, process: Process) -> None:
        self._durable = durable
        self._process = process
        self._at: float | None = None

    def now(self) -> float:
        return self._durable.clock.monotonic()

    def set(self, at: float) -> None:
        self._at = at
        if self.is_over():
            self._process.kill()

    def clear(self) -> None:
        self._at = None

    def is_set(self) -> bool:
        return self._at is not None

    def is_over(self) -> bool:
        return self._at is not None and self.now() >= self._at


class Link:
    """What aiokafka has of the coordinator, as far as a lease follows it."""

    def __init__(self, durable: Durable, process: Process, coordinator: Coordinator) -> None:
        self._durable = durable
        self._process = process
        self._coordinator = coordinator
        self._beating = False
        self._send_req: Callable[[Any], Any] = self._send
        self.reset_generation: Callable[[], None] = self._reset

    async def beat(self) -> None:
        """One heartbeat at a time."""
        if self._beating:
            return
        self._beating = True
        answer = await self._send_req(HEARTBEAT)
        self._beating = False
        if answer.error_code == UNKNOWN_MEMBER:
            self.reset_generation()

    async def _send(self, _request: Any) -> Any:
        code = await self._durable.gate(
            self._process, "beats", lambda: self._coordinator.hear(self._process)
        )
        return SimpleNamespace(error_code=code)

    def _reset(self) -> None:
        """A process that held nothing joins anew: here, another one does."""
        self._process.kill()


class Consumer:
    """Implements `sequencer.member.Group`."""

    def __init__(self, durable: Durable, process: Process, coordinator: Coordinator) -> None:
        self._durable = durable
        self._process = process
        self._coordinator = coordinator
        self.positions: dict[TopicPartition, int] = {}
        self.jumped = False  # over records, ever

    def assign(self, topics: Iterable[str], partitions: frozenset[int]) -> None:
        self.positions = {
            TopicPartition(topic, number): 0 for topic in topics for number in sorted(partitions)
        }

    def assignment(self) -> list[TopicPartition]:
        return list(self.positions)

    def end(self, place: TopicPartition) -> int | None:
        return self._durable.end(place)

    async def position(self, place: TopicPartition) -> int:
        return self.positions[place]

    async def seek(self, place: TopicPartition, offset: int) -> None:
        if place in self.positions:
            self.positions[place] = offset

    async def seek_all(self, starts: Mapping[TopicPartition, int]) -> None:
        for place, offset in starts.items():
            await self.seek(place, offset)

    async def committed(self) -> Mapping[TopicPartition, int | None]:
        return {place: self._durable.committed.get((GROUP, place)) for place in self.positions}

    async def earliest(self, places: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(places, 0)

    async def ends(self, places: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        return {place: self._durable.end(place) for place in places}

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> bool:
        taken: bool = await self._durable.gate(
            self._process, "commits", lambda: self._coordinator.commit(self._process, offsets)
        )
        return taken
