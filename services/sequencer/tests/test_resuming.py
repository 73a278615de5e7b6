"""What waited for a resume goes on at its rate."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from leadflow.codec import Codec
from leadflow.records import AutomationPaused, AutomationResumed
from leadflow.records.base import changed
from sequencer import rowcodec
from sequencer.decide import decide
from sequencer.due import DueIndex
from sequencer.resuming import LOOKS, ROOM, Resuming

CODEC = Codec()
START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
PARTITIONS = 12
ALL = frozenset(range(PARTITIONS))
CHANNEL = "channel:acme:email"


class Desk:
    """Held leads of one worker, and the clock."""

    def __init__(self, story: Any, owned: frozenset[int] = ALL) -> None:
        self.story = story
        self.owned = owned
        self.index = DueIndex()
        self.rows: dict[bytes, bytes] = {}
        self.now = START + timedelta(hours=1)
        self.changes = 0
        self.resuming = Resuming(self.index, self, story.pauses, story.setting, PARTITIONS)

    def get(self, partition: int, key: bytes) -> bytes | None:
        return self.rows.get(key)

    def hold(self, numbers: Iterable[int]) -> list[bytes]:
        """Leads whose first step came due at minute `number`, while something was paused."""
        keys = []
        for number in numbers:
            lead_id = str(UUID(int=number + 1))
            event = self.story.event("LeadCreated", number / 60, lead_id=lead_id)
            row = decide(None, event, event.recorded_at, self.story.setting).row
            assert row.is_held()
            key = lead_id.encode()
            self.rows[key] = rowcodec.encode(row)
            self.index.put(number % PARTITIONS, key, 0, held=True)
            keys.append(key)
        return keys

    def control(self, scope: str, record: Any) -> None:
        self.story.pauses.apply(scope.encode(), None if record is None else CODEC.encode(record))
        self.changes += 1

    def pause(self, scope: str) -> None:
        about = common(scope)
        self.control(
            scope, AutomationPaused(**about, workflow="all", rollback="resume", paused_by="ops")
        )

    def resume(self, scope: str, rate: int | None = None) -> None:
        about = common(scope)
        self.control(scope, AutomationResumed(**about, resumed_by="ops", rate_per_minute=rate))

    def passes(self, seconds: int) -> int:
        """The worker's rounds of so many seconds; how many leads were let go in them."""
        let_go = 0
        for _ in range(seconds):
            self.now += timedelta(seconds=1)
            let_go += self.resuming.round(self.now, self.owned, self.changes)
        return let_go

    def asked(self) -> list[bytes]:
        """The leads that are due now, in no order, taken out."""
        found = []
        for partition in range(PARTITIONS):
            while (key := self.index.pop(partition, rowcodec.to_ms(self.now))) is not None:
                found.append(key)
        return found


def common(scope: str) -> dict[str, Any]:
    return {
        "event_id": f"control-{scope}",
        "tenant_id": "acme",
        "occurred_at": START,
        "recorded_at": START,
        "source": "portal-api",
        "scope": scope,
        "reason": "test",
        "verification_status": "open",
    }


@pytest.fixture
def desk(story: Any, words: Any) -> Callable[..., Desk]:
    def make(owned: frozenset[int] = ALL) -> Desk:
        story.publish("first-touch", words.step("hello"))
        made = Desk(story, owned)
        made.pause("everything")
        return made

    return make


def test_nothing_goes_on_while_its_scope_is_paused(desk: Callable[..., Desk]) -> None:
    here = desk()
    here.hold(range(20))
    assert here.passes(600) == 0


def test_a_resume_lets_as_many_go_each_minute_as_it_says(desk: Callable[..., Desk]) -> None:
    here = desk()
    here.hold(range(500))
    here.resume("everything", 120)
    assert 110 <= here.passes(60) <= 120
    assert 110 <= here.passes(60) <= 120
    assert here.passes(400) + 240 >= 500


def test_a_resume_without_a_rate_lets_sixty_go_a_minute(desk: Callable[..., Desk]) -> None:
    here = desk()
    here.hold(range(300))
    here.resume("everything")
    assert 55 <= here.passes(60) <= 60
    removed = desk()
    removed.hold(range(300))
    removed.control("everything", None)
    assert 55 <= removed.passes(60) <= 60


def test_the_longest_waiting_goes_first_and_nobody_twice(desk: Callable[..., Desk]) -> None:
    here = desk()
    keys = here.hold(range(30))
    here.resume("everything", 60)
    here.passes(6)
    first = here.asked()
    assert first == [] or set(first) == set(keys[: len(first)])
    assert len(first) >= 4
    # They have fired by now: their rows are not held any more.
    for key in first:
        here.rows.pop(key)
    here.passes(600)
    assert set(here.asked()) == set(keys) - set(first)


def test_workers_share_the_rate_by_the_partitions_that_they_own(desk: Callable[..., Desk]) -> None:
    let_go = 0
    for owned in (frozenset(range(3)), frozenset(range(3, 12))):
        here = desk(owned)
        here.hold(range(600))
        here.resume("everything", 120)
        let_go += here.passes(60)
    assert 105 <= let_go <= 122


def test_what_another_pause_holds_takes_nothing_of_the_rate(desk: Callable[..., Desk]) -> None:
    here = desk()
    here.resume("everything", 60)
    here.pause(CHANNEL)
    here.hold(range(3 * LOOKS))
    here.resume(CHANNEL, 60)
    here.pause("everything")
    mine = here.hold(range(9_000, 9_010))
    here.pause(CHANNEL)
    here.resume("everything", 600)
    # Three thousand wait for the channel; only the ten that everything held are asked.
    assert here.passes(10) == 10
    assert set(here.asked()) == set(mine)


def test_what_is_asked_in_vain_is_asked_again_after_the_next_resume(
    desk: Callable[..., Desk],
) -> None:
    here = desk()
    here.hold(range(ROOM + LOOKS))
    here.resume("everything", 60_000)
    let_go = here.passes(3)
    here.pause("everything")
    here.passes(30)
    here.resume("everything", 60_000)
    assert let_go + here.passes(30) == ROOM + LOOKS


def test_a_scope_that_is_paused_again_keeps_what_has_not_gone_on(
    desk: Callable[..., Desk],
) -> None:
    here = desk()
    here.hold(range(200))
    here.resume("everything", 60)
    gone = here.passes(30)
    here.pause("everything")
    assert here.passes(600) == 0
    here.resume("everything", 60)
    # No rate was saved up meanwhile.
    assert here.passes(10) <= 11
    assert gone <= 31


def test_a_long_wait_in_one_scope_keeps_no_other_waiting(desk: Callable[..., Desk]) -> None:
    here = desk()
    here.hold(range(ROOM + LOOKS))
    here.resume("everything", 6)
    here.passes(15)
    here.pause(CHANNEL)
    mine = here.hold(range(2 * ROOM, 2 * ROOM + 5))
    here.resume(CHANNEL, 600)
    here.passes(30)
    assert set(mine) <= set(here.asked())


def test_what_was_taken_out_goes_back_when_partitions_are_dealt_out_anew(
    desk: Callable[..., Desk],
) -> None:
    here = desk()
    here.hold(range(60))
    here.resume("everything", 600)
    gone = here.passes(2)
    assert 0 < gone < 60
    here.owned = frozenset()
    assert here.passes(60) == 0
    here.index.keep(range(PARTITIONS))
    here.owned = frozenset(range(PARTITIONS))
    assert here.passes(60) == 60 - gone


def test_what_was_recovered_after_its_resume_is_looked_at(desk: Callable[..., Desk]) -> None:
    here = desk()
    here.resume("everything", 600)
    here.passes(5)
    here.pause("everything")
    here.owned = frozenset()
    here.hold(range(50))
    here.resume("everything", 600)
    assert here.passes(60) == 0
    here.owned = frozenset(range(PARTITIONS))
    assert here.passes(60) == 50


def test_a_row_that_cannot_be_read_is_asked_and_so_becomes_a_dead_letter(
    desk: Callable[..., Desk],
) -> None:
    here = desk()
    here.rows[b"broken"] = b"\x00"
    here.index.put(0, b"broken", 0, held=True)
    assert here.passes(1) == 1
    assert here.asked() == [b"broken"]


def test_what_is_not_held_any_more_when_its_turn_comes_is_forgotten(
    desk: Callable[..., Desk],
) -> None:
    """It has replied, or was deleted, while it waited: nobody need ask for it ever again."""
    here = desk()
    keys = here.hold(range(40))
    here.resume("everything", 60)
    here.passes(1)
    for key in keys[::2]:
        row = rowcodec.decode(key, here.rows[key])
        here.rows[key] = rowcodec.encode(changed(row, live=()))
    for key in keys[1::2]:
        del here.rows[key]
    assert here.passes(120) == 0
    assert len(here.index) == 0


def test_a_round_looks_at_a_bounded_number_of_rows_when_a_scope_is_paused_again(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = desk()
    here.hold(range(3 * LOOKS))
    here.resume("everything", 60)
    here.passes(6)
    here.pause("everything")
    looked_at: list[bytes] = []
    get = here.get

    def note_and_get(partition: int, key: bytes) -> bytes | None:
        looked_at.append(key)
        return get(partition, key)

    monkeypatch.setattr(here, "get", note_and_get)
    assert here.passes(1) == 0
    assert len(looked_at) <= 2 * LOOKS
    assert here.passes(60) == 0
    here.resume("everything", 60_000)
    assert here.passes(60) >= 3 * LOOKS - 10
