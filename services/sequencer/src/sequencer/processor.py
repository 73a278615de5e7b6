"""One event of one lead, from bytes to durable effects.

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
Cause = Message | None
"""What is decided on: a record, or (`TIMER`) that the lead's time has come."""
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
    """What is decided for one lead, one cause after the other, and becomes durable together.

    `row` is None where there is none, or none any more; bytes as long as nobody needed it.
    """

    partition: int
    key: bytes
    row: LeadRow | bytes | None
    effects: list[Outgoing] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    changed: bool = False
    looked_at: bool = False

    def decoded(self) -> LeadRow | None:
        if isinstance(self.row, bytes):
            self.row = rowcodec.decode(self.key, self.row)
        return self.row

    def add(self, decision: Decision, effects: Sequence[Outgoing]) -> None:
        """What follows from one more decision."""
        self.effects.extend(effects)
        if decision.gone:
            self.row, self.changed = None, True
        elif decision.changed:
            self.row, self.changed = decision.row, True


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

    def decide(
        self, partition: int, key: bytes, causes: Sequence[Cause]
    ) -> tuple[int, Durable | None]:
        """Decide on what waits of a lead, one after the other, each upon the row that the one
        before it left; as far as to the first from which effects follow (ADR 34). Returns how
        many that are, and what is to be awaited: it ends when everything that follows is durable,
        by one write of the row. None if nothing follows."""
        draft = self.begin(partition, key)
        taken = 0
        while taken < len(causes) and not draft.effects:
            cause = causes[taken]
            taken += 1
            if cause is TIMER:
                self.due(draft)
            else:
                self.event(draft, cause)
        try:
            # Encoded before anything is sent: a row that cannot be written has no effects.
            row = draft.decoded() if draft.changed else None
            encoded = None if row is None else rowcodec.encode(row)
        except Exception as error:
            if taken > 1:
                return taken, self._one_by_one(partition, key, causes[:taken])
            draft, encoded = self.begin(partition, key), None
            self._refuse(draft, causes[0], error)
        if draft.changed or draft.effects or draft.letters:
            return taken, self._make_durable(draft, encoded)
        self._note_due(draft)
        return taken, None

    def begin(self, partition: int, key: bytes) -> Draft:
        """Nothing decided yet, upon the row as it is."""
        return Draft(partition, key, self._recent.get(key) or self._rows.get(partition, key))

    def event(self, draft: Draft, message: Message) -> None:
        """Decide on one record."""
        if not is_for(message, LOOP):
            return
        try:
            event = self._codec.decode(message.value)
            if not isinstance(event, LeadRecord):
                raise RecordRefused("not_about_a_lead", f"a {event.TYPE} in {message.topic}")
            if event.lead_id.encode() != draft.key:
                raise RecordRefused("wrong_key", "the key is not the lead_id of the record")
            at = ReadUpTo(message.topic, message.offset, message.timestamp_ms)
            decision = decide(draft.decoded(), event, self._clock.now(), self._setting, at)
            draft.add(decision, self._encode(draft.key, decision.effects))
        except Exception as error:
            self._refuse(draft, message, error)

    def due(self, draft: Draft) -> None:
        """Fire what is due for the lead, in the same way."""
        try:
            row = draft.decoded()
            if row is None:
                return
            decision = fire(row, self._clock.now(), self._setting)
            draft.add(decision, self._encode(draft.key, decision.effects))
            # It was taken out of the index; if not due after all, it has to go back.
            draft.looked_at = True
        except Exception as error:
            self._refuse(draft, TIMER, error)

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

    async def _one_by_one(self, partition: int, key: bytes, causes: Sequence[Cause]) -> None:
        """Together they make a row that cannot be written: only who makes it so is refused."""
        for cause in causes:
            _, work = self.decide(partition, key, (cause,))
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
            self._recent.pop(draft.key, None)
        self._note_due(draft)

    def _remember(self, draft: Draft) -> None:
        self._recent.pop(draft.key, None)
        if (row := draft.decoded()) is not None:
            self._recent[draft.key] = row
        if len(self._recent) > RECENT_ROWS:
            del self._recent[next(iter(self._recent))]

    def _note_due(self, draft: Draft) -> None:
        if not (draft.changed or draft.looked_at):
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

    def _refuse(self, draft: Draft, cause: Cause, error: Exception) -> None:
        if is_retryable(error):
            raise error
        if cause is TIMER:
            # The lead stays as it is until its next event; its row is kept for inspection.
            row_bytes = self._rows.get(draft.partition, draft.key)
            cause = Message(self._rows.name, draft.partition, -1, draft.key, row_bytes, (), -1)
        if not isinstance(error, LeadflowError):
            log.error("record failed", topic=cause.topic, exc_info=error)
        draft.letters.append(DeadLetter(cause, error))
