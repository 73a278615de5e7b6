"""Break what keeps one worker from another's partitions, and the simulation says so."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from leadflow.kafka.port import Message, TopicPartition
from sequencer.member import Member
from sequencer.once import OncePerMessage
from sequencer.owned import OwnedRows
from sequencer.turns import Turns

from .world.group import Switch
from .world.run import first_seed
from .world.sequencer import Parts

SEEDS = 2000


class NoFence(Switch):
    """Nothing ends a frozen worker: it goes on until the group tells it that it is no member."""

    def set(self, at: float) -> None: ...


class LooksNowhere(OncePerMessage):
    """Queues what it decides, whoever has queued it before."""

    async def look(self, partitions: Iterable[int]) -> None: ...


class HereFirst(OwnedRows):
    """Writes the local row before the broker has it, as Faust's own table does."""

    async def _write(self, partition: int, key: bytes, row: bytes | None) -> None:
        follows = int(self._copies.follows(partition) or -1)
        self._copies.write(partition, key, row, follows)
        await super()._write(partition, key, row)


class Undrained(Member):
    """Gives partitions back while their records are under way."""

    async def settle(self) -> None:
        self._deal += 1
        self._pipeline.offsets.close()
        self.turns.forget()
        await self._commit()
        self._pipeline.offsets.forget()


class AsRead(Member):
    """Handles what lies in the log in the order in which it happens to be read."""

    async def take(self, message: Message) -> None:
        self._causes.forget()
        await super().take(message)


class AnyTurn(Turns):
    """Takes records as they come, also behind some that never did."""

    def is_next(self, place: TopicPartition, offset: int) -> bool:
        wanted = self._offsets.next(place)
        return wanted is not None and offset >= wanted


class OutOfTurn(Member):
    def __init__(self, **parts: object) -> None:
        super().__init__(**parts)  # type: ignore[arg-type]
        self.turns.__class__ = AnyTurn


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        pytest.param(Parts(switch=NoFence), ("ROW", "LOST"), id="no-fence"),
        pytest.param(Parts(once=LooksNowhere), ("QUEUED TWICE",), id="not-looked-before-queued"),
        pytest.param(Parts(rows=HereFirst), ("ROW", "LOST"), id="local-row-first"),
        pytest.param(Parts(member=Undrained), ("ROW", "LOST"), id="given-back-undrained"),
        pytest.param(Parts(member=AsRead), ("BEFORE ITS CAUSE",), id="answer-before-cause"),
        pytest.param(Parts(member=OutOfTurn), ("LOST", "ROW"), id="records-passed-over"),
    ],
)
def test_a_takeover_that_is_broken_on_purpose_is_found(
    parts: Parts, words: tuple[str, ...]
) -> None:
    assert first_seed(range(SEEDS), words, parts) is not None
