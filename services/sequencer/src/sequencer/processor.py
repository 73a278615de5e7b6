"""One event of one lead, from bytes to durable effects.

The order is the guarantee (design.md, "Guarantees"): effects, then state, then the offset.
Whoever dies in between leaves a successor to repeat the effects with the same ids.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from typing import Any, Protocol

import structlog

from leadflow import metrics, topics
from leadflow.clock import Clock
from leadflow.codec import Codec
from leadflow.errors import LeadflowError, RecordRefused, is_retryable
from leadflow.kafka.dead_letters import DeadLetter, DeadLetters
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


class LeadProcessor:
    """Decides, and makes the decision durable. For one lead the next may only be decided when
    the one before is durable; other leads need not wait.

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
    ) -> None:
        self._codec = codec
        self._rows = rows
        self._producer = producer
        self._dead_letters = dead_letters
        self._due = due
        self._setting = setting
        self._clock = clock
        # Rows written last, decoded: the events of a lead come in bursts.
        self._recent: dict[bytes, LeadRow] = {}

    def event(self, message: Message) -> Durable | None:
        """Decide on one record. What is returned is to be awaited: it ends when everything
        that follows from the record is durable. None if nothing follows."""
        if not is_for(message, LOOP):
            return None
        key = message.key or b""
        stored = self._stored(message.partition, key)
        try:
            event = self._codec.decode(message.value)
            if not isinstance(event, LeadRecord):
                raise RecordRefused("not_about_a_lead", f"a {event.TYPE} in {message.topic}")
            if event.lead_id.encode() != key:
                raise RecordRefused("wrong_key", "the key is not the lead_id of the record")
            row = rowcodec.decode(key, stored) if isinstance(stored, bytes) else stored
            at = ReadUpTo(message.topic, message.offset, message.timestamp_ms)
            decision = decide(row, event, self._clock.now(), self._setting, at)
            return self._follow(message.partition, key, decision)
        except Exception as error:
            return self._bury(message, error)

    def due(self, partition: int, key: bytes) -> Durable | None:
        """Fire what is due for a lead, in the same way."""
        stored = self._stored(partition, key)
        if stored is None:
            return None
        try:
            row = rowcodec.decode(key, stored) if isinstance(stored, bytes) else stored
            decision = fire(row, self._clock.now(), self._setting)
            if not decision.changed:
                # Not due after all: its time was moved while it waited for its turn.
                self._note_due(partition, key, row)
            return self._follow(partition, key, decision)
        except Exception as error:
            # The lead stays as it is until its next event; its row is kept for inspection.
            row_bytes = self._rows.get(partition, key)
            letter = Message(self._rows.name, partition, -1, key, row_bytes, (), -1)
            return self._bury(letter, error)

    def forget(self) -> None:
        """Partitions are being dealt out anew: what is remembered may be somebody else's."""
        self._recent.clear()

    def _stored(self, partition: int, key: bytes) -> LeadRow | bytes | None:
        """The lead's row, decoded if it was written lately."""
        return self._recent.get(key) or self._rows.get(partition, key)

    def _follow(self, partition: int, key: bytes, decision: Decision) -> Durable | None:
        if decision.gone:
            return self._let_go(partition, key)
        if not decision.changed and not decision.effects:
            return None
        # Encoded before anything is sent: a row that cannot be written must not have effects.
        row = rowcodec.encode(decision.row) if decision.changed else None
        effects = self._encode(key, decision.effects)
        return self._make_durable(partition, key, decision.row, effects, row)

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

    async def _make_durable(
        self,
        partition: int,
        key: bytes,
        row: LeadRow,
        effects: list[Outgoing],
        encoded: bytes | None,
    ) -> None:
        if effects:
            await self._producer.send(effects)
        if encoded is not None:
            await self._rows.put(partition, key, encoded)
            self._remember(key, row)
            self._note_due(partition, key, row)

    async def _let_go(self, partition: int, key: bytes) -> None:
        await self._rows.delete(partition, key)
        self._recent.pop(key, None)
        self._due.put(partition, key, 0, held=False)

    def _remember(self, key: bytes, row: LeadRow) -> None:
        self._recent.pop(key, None)
        self._recent[key] = row
        if len(self._recent) > RECENT_ROWS:
            del self._recent[next(iter(self._recent))]

    def _note_due(self, partition: int, key: bytes, row: LeadRow) -> None:
        at = row.next_due()
        due_ms = 0 if at is None else rowcodec.to_ms(at)
        if (since := released(row, self._clock.now(), self._setting)) is not None:
            # The resume came while the row was on its way: nobody will ask for it again.
            due_ms = min(due_ms or rowcodec.to_ms(since), rowcodec.to_ms(since))
        self._due.put(partition, key, due_ms, held=row.is_held())

    async def _bury(self, message: Message, error: Exception) -> None:
        if is_retryable(error):
            raise error
        if not isinstance(error, LeadflowError):
            log.error("record failed", topic=message.topic, exc_info=error)
        await self._dead_letters.bury([DeadLetter(message, error)])
        metrics.DEAD_LETTERS.labels(LOOP).inc()
