"""Break one guarantee, and the simulation says so: a net without a hole where it counts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from heapq import heappop, heappush
from typing import Any

import pytest

import dispatcher.worker
import sequencer.processor
from crm_sync.model import Contact, Item
from crm_sync.sync import Synchronizer
from crm_sync.work import LeadWork
from dispatcher.halts import Halted
from dispatcher.model import NOT_HALTED
from leadflow.kafka.port import TopicPartition
from leadflow.records import LeadRecord
from sequencer.decide import (
    ahead,
    calendar,
    conditions,
    decide,
    dormancy,
    fire,
    messages,
    outcomes,
    resending,
    retention,
    timing,
)
from sequencer.due import DueIndex
from sequencer.model import Decision, LeadRow, ReadUpTo, Setting
from sequencer.offsets import Offsets, Reading
from sequencer.pipeline import Pipeline
from sequencer.processor import Draft, LeadProcessor

from .world.intake import MemoryStore
from .world.run import first_seed
from .world.sequencer import Parts
from .world.sequences import RETENTION_DAYS

SEEDS = 2000


class OffsetFirst(Pipeline):
    """Counts a record as done when it is read."""

    class Counting(Offsets):
        def begin(self, place: TopicPartition, offset: int) -> Reading:
            reading = super().begin(place, offset)
            reading.done = True
            return reading

    def __init__(self, processor: LeadProcessor, due: DueIndex) -> None:
        super().__init__(processor, due)
        self.offsets = self.Counting()


class RowFirst(LeadProcessor):
    """Writes the row, then sends the effects."""

    async def _make_durable(self, draft: Draft, encoded: bytes | None) -> None:
        effects, draft.effects = draft.effects, []
        await super()._make_durable(draft, encoded)
        if effects:
            await self._producer.send(effects)


class AllAtOnce(LeadProcessor):
    """Writes one row for several decisions that tell of something."""

    def _may_join(self, draft: Draft, decision: Decision) -> bool:
        return True


class EveryEntry(DueIndex):
    """Gives out every time that was ever noted for a lead, whatever came after."""

    def __init__(self, *, room: int) -> None:
        super().__init__(room=room)
        self.noted: dict[int, list[tuple[int, bytes]]] = {}

    def put(self, partition: int, key: bytes, due_ms: int, *, held: bool) -> None:
        super().put(partition, key, due_ms, held=held)
        if due_ms:
            heappush(self.noted.setdefault(partition, []), (due_ms, key))

    def due(self, partition: int, now_ms: int) -> bool:
        noted = self.noted.get(partition)
        return bool(noted) and noted is not None and noted[0][0] <= now_ms

    def pop(self, partition: int, now_ms: int) -> bytes | None:
        if not self.due(partition, now_ms):
            return None
        return heappop(self.noted[partition])[1]


class NoLocks(MemoryStore):
    """Two workers decide at the same time who somebody is."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with super().transaction() as transaction:
            transaction.lock = self._nothing
            yield transaction

    async def _nothing(self, *_keys: object) -> None: ...


class Hasty(Synchronizer):
    """Writes into the CRM without settling first what it does not know the outcome of."""

    async def run(
        self, contacts: dict[str, Contact], items: dict[str, list[Item]]
    ) -> list[LeadWork]:
        forgotten = {
            lead: replace(each, pending=None, pending_event="") for lead, each in contacts.items()
        }
        return await super().run(forgotten, items)


def without_asking(row: LeadRow, now: datetime, setting: Setting) -> Decision:
    """Fires what the index says, though the row says later."""
    return fire(row, max(now, row.next_due() or now), setting)


def without_versions(
    row: LeadRow | None, event: LeadRecord, now: datetime, setting: Setting, _at: ReadUpTo
) -> Decision:
    """Applies a record again, for the row never says which it has seen."""
    return decide(None if row is None else replace(row, applied=b""), event, now, setting)


def fired_early(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sequencer.processor, "fire", without_asking)


def forgets_what_it_applied(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sequencer.processor, "decide", without_versions)


def ignores_the_hours(patch: pytest.MonkeyPatch) -> None:
    """Goes by the time that was fixed when the step was scheduled."""
    patch.setattr(timing, "shift", lambda *_: None)


def counts_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(timing, "count", lambda *_: None)


def asks_no_cap_of_what_waited(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(dispatcher.worker, "full", lambda *_: None)


def another_arm_each_step(patch: pytest.MonkeyPatch) -> None:
    """Draws by the step's own name."""
    patch.setattr(
        messages,
        "arm_of",
        lambda case, kept, sequence, step: (
            step.arms[calendar.pick((1, 1), case.row.lead_id, step.step_id)] if step.arms else None
        ),
    )


def asks_for_nothing(patch: pytest.MonkeyPatch) -> None:
    """Does every step, whatever its condition says."""
    patch.setattr(conditions, "unmet", lambda *_: None)


def forgets_what_became_of_messages(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(outcomes, "note", lambda *_: True)


def sends_again_whatever_became_of_it(patch: pytest.MonkeyPatch) -> None:
    """Also what was stopped, is paused, or would go out at night."""
    patch.setattr(resending, "_refusal", lambda *_: None)


def wakes_whoever_said_no(patch: pytest.MonkeyPatch) -> None:
    """Takes everybody who is silent for dormant, the won and those who complained as well."""
    patch.setattr(dormancy, "since", lambda row: row.responded_at if row.created else None)


def forgets_too_soon(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(retention, "_time", lambda _: timedelta(days=RETENTION_DAYS / 2))


def forgets_stops_of_what_has_not_begun(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ahead, "keep", lambda *_: {})


def sends_whatever_was_halted(patch: pytest.MonkeyPatch) -> None:
    """The dispatcher does not heed enrollment-events."""
    patch.setattr(Halted, "halt", NOT_HALTED)


def nothing(patch: pytest.MonkeyPatch) -> None:
    """The mutation is in the parts alone."""


@pytest.mark.parametrize(
    ("parts", "mutate", "words", "takes_part"),
    [
        pytest.param(Parts(pipeline=OffsetFirst), nothing, ("LOST", "ROW"), "", id="offset-first"),
        pytest.param(Parts(processor=RowFirst), nothing, ("LOST",), "", id="row-before-effect"),
        pytest.param(Parts(processor=AllAtOnce), nothing, ("NOBODY'S",), "", id="one-row-for-all"),
        pytest.param(Parts(index=EveryEntry), fired_early, ("EARLY",), "", id="index-not-checked"),
        pytest.param(
            Parts(), forgets_what_it_applied, ("NOBODY'S", "ROW"), "", id="no-applied-ids"
        ),
        pytest.param(
            Parts(), ignores_the_hours, ("AT THE WRONG HOUR",), "hours", id="hours-unasked"
        ),
        pytest.param(Parts(), counts_nothing, ("MORE THAN THE CAP",), "cap", id="cap-not-counted"),
        pytest.param(
            Parts(), asks_no_cap_of_what_waited, ("SENT OVER",), "cap", id="cap-asked-once"
        ),
        pytest.param(Parts(), another_arm_each_step, ("ARMS",), "arms", id="arm-by-step"),
        pytest.param(Parts(), asks_for_nothing, ("UNMEANT",), "conditions", id="condition-unasked"),
        pytest.param(
            Parts(),
            forgets_what_became_of_messages,
            ("LOST",),
            "conditions",
            id="outcome-forgotten",
        ),
        pytest.param(
            Parts(), sends_again_whatever_became_of_it, ("UNMEANT",), "resends", id="resend-unasked"
        ),
        pytest.param(Parts(), wakes_whoever_said_no, ("WOKEN",), "silence", id="dormant-whoever"),
        pytest.param(Parts(), forgets_too_soon, ("FORGOTTEN",), "silence", id="forgotten-too-soon"),
        pytest.param(
            Parts(), forgets_stops_of_what_has_not_begun, ("UNMEANT",), "silence", id="stop-lost"
        ),
        pytest.param(Parts(intake_store=NoLocks), nothing, ("TWO LEADS",), "intake", id="no-locks"),
        pytest.param(
            Parts(), sends_whatever_was_halted, ("SENT although its",), "", id="halts-unheeded"
        ),
        pytest.param(
            Parts(synchronizer=Hasty), nothing, ("INVERTED", "WRONG"), "crm", id="crm-inverted"
        ),
    ],
)
def test_a_guarantee_that_is_broken_on_purpose_is_found(
    parts: Parts,
    mutate: Callable[[pytest.MonkeyPatch], None],
    words: tuple[str, ...],
    takes_part: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mutate(monkeypatch)
    assert first_seed(range(SEEDS), words, parts, takes_part) is not None
