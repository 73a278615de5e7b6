"""What waits of one lead, from bytes to durable effects.

The order is the guarantee (design.md, "Guarantees"): effects, then state, then the offset.
Whoever dies in between leaves a successor to repeat the effects with the same ids.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from leadflow import metrics, topics
from leadflow.clock import Clock
from leadflow.codec import MAX_BYTES, Codec
from leadflow.errors import LeadflowError, RecordRefused, is_retryable
from leadflow.kafka.dead_letters import DeadLetter, DeadLetters
from leadflow.kafka.murmur2 import partition_of
from leadflow.kafka.port import Message, Outgoing, Producer
from leadflow.kafka.replay import is_for
from leadflow.records import LeadRecord, MessageQueued
from sequencer import rowcodec
from sequencer.decide import decide, fire, released
from sequencer.due import DueIndex
from sequencer.model import Decision, LeadRow, ReadUpTo, Setting

log = structlog.get_logger()

LOOP = "sequencer"
RECENT_ROWS = 5_000

Durable = Coroutine[Any, Any, None]
"""To be awaited: ends when what was decided is durable."""
Item = Message | None
"""What waits of a lead: a record, or (`TIMER`) that its time has come."""
TIMER = None


class Rows(Protocol):
    """The rows of the leads in the partitions that this worker owns."""

    name: str

    def get(self, partition: int, key: bytes) -> bytes | None:
        """The row as it was last put."""

    async def put(self, partition: int, key: bytes, row: bytes) -> None:
        """Return once the broker has the row and the local copy has it too.

        Raises BrokerError if the broker did not take it.
        """

    async def delete(self, partition: int, key: bytes) -> None:
        """In the same way, return once there is no row any more."""


@dataclass(slots=True)
class Draft:
    """What is decided for one lead, one item after the other, and becomes durable together.

    `row` is None where there is none, or none any more; bytes as long as nobody needed it.
    """

    partition: int
    key: bytes
    row: LeadRow | bytes | None
    effects: list[Outgoing] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    changed: bool = False
    timed: bool = False
    """Its timer was asked, so its time has to go into the index again."""

    def decoded(self) -> LeadRow | None:
        if isinstance(self.row, bytes):
            self.row = rowcodec.decode(self.key, self.row)
        return self.row

    def add(self, decision: Decision, effects: Sequence[Outgoing]) -> None:
        """What follows from one more decision; `effects` are its effects, encoded."""
        self.effects.extend(effects)
        if decision.gone:
            self.row, self.changed = None, True
        elif decision.changed:
            self.row, self.changed = decision.row, True


def _fitting(row: bytes) -> bytes:
    """Raises RecordRefused for a row that its changelog would not take, ever."""
    if len(row) > MAX_BYTES:
        raise RecordRefused("too_large", f"a row of {len(row)} bytes")
    return row


class LeadProcessor:
    """Decides, and makes durable what was decided. For one lead no more may be decided until
    that is done; other leads need not wait.

    What cannot be processed goes to the dead-letter topic. Every error that it raises is one
    after which the process has to end: going on would skip a record.
    """

    def __init__(
        self,
        *,
        codec: Codec,
        rows: Rows,
        producer: Producer,
        dead_letters: DeadLetters,
        due: DueIndex,
        setting: Setting,
        clock: Clock,
        partitions: int = topics.LEAD_EVENTS.partitions,
    ) -> None:
        self._codec = codec
        self._partitions = partitions
        self._rows = rows
        self._producer = producer
        self._dead_letters = dead_letters
        self._due = due
        self._setting = setting
        self._clock = clock
        # Rows written last, decoded: the events of a lead come in bursts.
        self._recent: dict[tuple[int, bytes], LeadRow] = {}

    def decide(
        self, partition: int, key: bytes, items: Sequence[Item]
    ) -> tuple[int, Durable | None]:
        """Decide on what waits of a lead, one after the other, each upon the row that the one
        before it left, as much as may share a write of the row (ADR 34). Returns how many items
        that are, and what is to be awaited: it ends when everything that follows from them is
        durable. None if nothing follows."""
        draft = self.begin(partition, key)
        taken = 0
        while taken < len(items) and self._take(draft, items[taken]):
            taken += 1
        try:
            # Encoded before anything is sent: a row that cannot be written has no effects.
            row = draft.decoded() if draft.changed else None
            encoded = None if row is None else _fitting(rowcodec.encode(row))
        except Exception as error:
            if taken > 1:
                return taken, self._one_by_one(partition, key, items[:taken])
            draft, encoded = self.begin(partition, key), None
            self._refuse(draft, items[0], error)
        if draft.changed or draft.effects or draft.letters:
            return taken, self._make_durable(draft, encoded)
        self._note_due(draft)
        return taken, None

    def begin(self, partition: int, key: bytes) -> Draft:
        """Nothing decided yet, upon the row as it is."""
        row = self._recent.get((partition, key)) or self._rows.get(partition, key)
        return Draft(partition, key, row)

    def _take(self, draft: Draft, item: Item) -> bool:
        """Decide on one more; False if that has to wait until the others are durable."""
        try:
            decision = self._fire(draft) if item is TIMER else self._handle(draft, item)
            if decision is None:
                return True
            if not self._may_join(draft, decision):
                return False
            draft.add(decision, self._encode(draft.key, decision.effects))
            draft.timed = draft.timed or item is TIMER
        except Exception as error:
            self._refuse(draft, item, error)
        return True

    def _may_join(self, draft: Draft, decision: Decision) -> bool:
        """What is told rests on what is written: after a crash the rest may be decided anew, and
        otherwise."""
        return not (decision.effects and draft.changed)

    def _handle(self, draft: Draft, message: Message) -> Decision | None:
        """What follows from a record; None if it is not for us."""
        if not is_for(message, LOOP):
            return None
        event = self._codec.decode(message.value)
        if not isinstance(event, LeadRecord):
            raise RecordRefused("not_about_a_lead", f"a {event.TYPE} in {message.topic}")
        if event.lead_id.encode() != draft.key:
            raise RecordRefused("wrong_key", "the key is not the lead_id of the record")
        if draft.row is None and partition_of(draft.key, self._partitions) != draft.partition:
            # Its row is elsewhere, and so is what would stop it. Where there is one it is right.
            raise RecordRefused("wrong_partition", "the partition is not that of the key")
        at = ReadUpTo(message.topic, message.offset, message.timestamp_ms)
        return decide(draft.decoded(), event, self._clock.now(), self._setting, at)

    def _fire(self, draft: Draft) -> Decision | None:
        """What is due for the lead; None if it is gone."""
        row = draft.decoded()
        return None if row is None else fire(row, self._clock.now(), self._setting)

    def forget(self) -> None:
        """Partitions are being dealt out anew: what is remembered may be somebody else's."""
        self._recent.clear()

    def _encode(self, key: bytes, effects: Iterable[LeadRecord]) -> list[Outgoing]:
        return [
            Outgoing(
                topics.MESSAGES.name
                if isinstance(effect, MessageQueued)
                else topics.ENROLLMENT_EVENTS.name,
                key,
                self._codec.encode(effect),
            )
            for effect in effects
        ]

    async def _one_by_one(self, partition: int, key: bytes, items: Sequence[Item]) -> None:
        """Together they make a row that cannot be written: only who makes it so is refused."""
        for item in items:
            _, work = self.decide(partition, key, (item,))
            if work is not None:
                await work

    async def _make_durable(self, draft: Draft, encoded: bytes | None) -> None:
        if draft.letters:
            await self._dead_letters.bury(draft.letters)
            metrics.DEAD_LETTERS.labels(LOOP).inc(len(draft.letters))
        if draft.effects:
            await self._producer.send(draft.effects)
        if encoded is not None:
            await self._rows.put(draft.partition, draft.key, encoded)
            self._remember(draft)
        elif draft.changed:
            await self._rows.delete(draft.partition, draft.key)
            self._recent.pop((draft.partition, draft.key), None)
        self._note_due(draft)

    def _remember(self, draft: Draft) -> None:
        place = draft.partition, draft.key
        self._recent.pop(place, None)
        if (row := draft.decoded()) is not None:
            self._recent[place] = row
        if len(self._recent) > RECENT_ROWS:
            del self._recent[next(iter(self._recent))]

    def _note_due(self, draft: Draft) -> None:
        if not (draft.changed or draft.timed):
            return
        row = draft.decoded()
        if row is None:
            self._due.put(draft.partition, draft.key, 0, held=False)
            return
        at = row.next_due()
        due_ms = 0 if at is None else rowcodec.to_ms(at)
        if (since := released(row, self._clock.now(), self._setting)) is not None:
            # The resume came while the row was on its way: nobody will ask for it again.
            due_ms = min(due_ms or rowcodec.to_ms(since), rowcodec.to_ms(since))
        self._due.put(draft.partition, draft.key, due_ms, held=row.is_held())

    def _refuse(self, draft: Draft, item: Item, error: Exception) -> None:
        if is_retryable(error):
            raise error
        if item is TIMER:
            # The lead stays as it is until its next event; its row is kept for inspection.
            row_bytes = self._rows.get(draft.partition, draft.key)
            item = Message(self._rows.name, draft.partition, -1, draft.key, row_bytes, (), -1)
        if not isinstance(error, LeadflowError):
            log.error("record failed", topic=item.topic, exc_info=error)
        draft.letters.append(DeadLetter(item, error))
