"""The index of what is due: the same promises whether its rest is on disk or in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from sequencer.due import DueIndex
from sequencer.rocks import Databases
from sequencer.spill import Spill, SpillInMemory, SpillOnDisk

ROOMS = (2, 3, 8, 8_192)
"""From one that nearly everything is too much for to one that nothing is."""

Make = Callable[..., DueIndex]


@pytest.fixture(params=["memory", "disk"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Makes an index with so much room; the test ends with its files gone."""
    made = 0

    def spill() -> Spill:
        nonlocal made
        if request.param == "memory":
            return SpillInMemory()
        made += 1
        return SpillOnDisk(tmp_path / str(made), Databases(8))

    return lambda room=8_192: DueIndex(spill(), room)


def release(index: DueIndex, now_ms: int, limit: int | None = None) -> int:
    """Make leads due that wait for a resume; how many that were."""
    taken = index.take_held(limit)
    for partition, key in taken:
        index.put(partition, key, now_ms, held=False)
    return len(taken)


def pop_all(index: DueIndex, partition: int, now_ms: int) -> list[bytes]:
    found = []
    while (key := index.pop(partition, now_ms)) is not None:
        found.append(key)
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_what_is_due_comes_in_the_order_of_its_time_and_only_once(make: Make, room: int) -> None:
    index = make(room)
    for key, due in ((b"e", 50), (b"b", 20), (b"d", 40), (b"a", 10), (b"c", 30)):
        index.put(0, key, due, held=False)
    assert pop_all(index, 0, 9) == []
    assert not index.due(0, 9)
    assert index.due(0, 10)
    assert pop_all(index, 0, 20) == [b"a", b"b"]
    assert pop_all(index, 0, 49) == [b"c", b"d"]
    assert pop_all(index, 0, 99) == [b"e"]
    assert not index.due(0, 99)


@pytest.mark.parametrize("room", ROOMS)
def test_what_is_put_before_those_in_memory_comes_before_them(make: Make, room: int) -> None:
    index = make(room)
    for due in range(100, 200, 5):
        index.put(0, f"{due}".encode(), due, held=False)
    assert index.pop(0, 150) == b"100"
    index.put(0, b"early", 7, held=False)
    index.put(0, b"late", 199, held=False)
    found = pop_all(index, 0, 999)
    assert found == [b"early", *(f"{due}".encode() for due in range(105, 200, 5)), b"late"]


def test_an_entry_in_memory_that_was_moved_or_taken_back_is_dropped(make: Make) -> None:
    index = make()
    index.put(0, b"moved", 10, held=False)
    index.put(0, b"moved", 50, held=False)
    index.put(0, b"stopped", 10, held=False)
    index.put(0, b"stopped", 0, held=False)
    assert pop_all(index, 0, 40) == []
    assert pop_all(index, 0, 50) == [b"moved"]


def test_partitions_are_kept_apart_and_forgotten_unless_they_are_kept(make: Make) -> None:
    index = make(2)
    for number in range(9):
        for partition, name in enumerate((b"a%d", b"b%d", b"c%d")):
            index.put(partition, name % number, 10, held=True)
    assert pop_all(index, 1, 99) == [b"b%d" % number for number in range(9)]
    index.keep({2})
    assert pop_all(index, 0, 99) == []
    assert pop_all(index, 2, 99) == [b"c%d" % number for number in range(9)]
    assert sorted(index.take_held()) == [(2, b"c%d" % number) for number in range(9)]
    index.put(0, b"again", 5, held=False)
    assert pop_all(index, 0, 99) == [b"again"]


@pytest.mark.parametrize("room", ROOMS)
def test_a_deal_ends_a_pass_so_that_the_next_one_asks_all_that_wait(make: Make, room: int) -> None:
    index = make(room)
    keys = [b"held%d" % number for number in range(10)]
    for key in keys:
        index.put(0, key, 0, held=True)
    taken = index.take_held(4)
    index.keep({0})
    for place in taken:
        index.hold(*place)
    assert sorted(key for _, key in index.take_held()) == keys


def test_a_lead_of_a_partition_that_was_forgotten_is_not_held(make: Make) -> None:
    index = make()
    index.put(0, b"held", 0, held=True)
    (place,) = index.take_held()
    index.keep(())
    index.hold(*place)
    assert index.take_held() == []


@pytest.mark.parametrize("room", ROOMS)
def test_all_that_is_held_is_due_once_released(make: Make, room: int) -> None:
    index = make(room)
    keys = [b"held%d" % number for number in range(10)]
    for key in keys:
        index.put(0, key, 0, held=True)
    assert not index.due(0, 99)
    assert release(index, 50) == len(keys)
    assert sorted(pop_all(index, 0, 50)) == keys
    assert release(index, 60) == 0


@pytest.mark.parametrize("room", ROOMS)
def test_a_pass_of_releases_asks_each_lead_once_though_it_has_to_wait_again(
    make: Make, room: int
) -> None:
    index = make(room)
    keys = {b"held%d" % number for number in range(10)}
    for key in keys:
        index.put(hash(key) % 3, key, 0, held=True)
    asked: list[bytes] = []
    counts = []
    for now in range(1, 5):
        counts.append(release(index, now, 3))
        for partition in range(3):
            for key in pop_all(index, partition, now):
                asked.append(key)
                index.put(partition, key, 0, held=True)
    assert counts == [3, 3, 3, 1]
    assert len(asked) == len(keys)
    assert set(asked) == keys
    assert release(index, 9) == len(keys), "the next pass asks them again"


def test_many_moves_do_not_make_the_memory_grow_without_bound(make: Make) -> None:
    index = make(100)
    for due in range(1, 10_000):
        index.put(0, b"a", due, held=False)
    assert len(index._partitions[0].heap) <= 100
    assert pop_all(index, 0, 10_000) == [b"a"]


def test_no_more_than_the_room_is_in_memory(make: Make) -> None:
    index = make(100)
    chance = Random(4)
    for number in range(3_000):
        index.put(0, b"%d" % number, chance.randrange(1, 10_000), held=number % 2 == 0)
        entries = index._partitions[0]
        assert len(entries.heap) <= 100
        assert len(entries.due) <= 100
        assert len(entries.held) <= 100
    assert len(index) >= 3_000
    assert len(pop_all(index, 0, 10_000)) == 3_000


class Rows:
    """What rows would say, and the promises of the index about them."""

    def __init__(self, index: DueIndex) -> None:
        self.index = index
        self.rows: dict[tuple[int, bytes], tuple[int, bool]] = {}

    def put(self, partition: int, key: bytes, due_ms: int, *, held: bool) -> None:
        self.rows[partition, key] = (due_ms, held)
        self.index.put(partition, key, due_ms, held=held)

    def fire(self, now_ms: int) -> set[tuple[int, bytes]]:
        """Take out all that is due, ask the row, put back what is not due: who was due."""
        fired = set()
        for partition in range(3):
            while (key := self.index.pop(partition, now_ms)) is not None:
                due_ms, held = self.rows[partition, key]
                if 0 < due_ms <= now_ms:
                    assert (partition, key) not in fired, "given out twice"
                    fired.add((partition, key))
                    due_ms = 0
                self.put(partition, key, due_ms, held=held)
        return fired

    def due(self, now_ms: int) -> set[tuple[int, bytes]]:
        return {each for each, (due_ms, _) in self.rows.items() if 0 < due_ms <= now_ms}

    def held(self) -> set[tuple[int, bytes]]:
        return {each for each, (_, held) in self.rows.items() if held}


@pytest.mark.parametrize("seed", range(60))
def test_whatever_is_put_moved_held_and_released_exactly_what_is_due_comes_out(
    make: Make, seed: int
) -> None:
    chance = Random(seed)
    model = Rows(make(chance.choice((2, 5, 16))))
    now = 1
    for _ in range(400):
        match chance.randrange(20):
            case 0 | 1:
                now += chance.randrange(40)
                due = model.due(now)
                assert model.fire(now) == due
            case 2:
                held = model.held()
                asked = set(model.index.take_held())
                assert held <= asked
                for partition, key in asked:
                    due_ms, waits = model.rows[partition, key]
                    if waits and chance.random() < 0.5:
                        model.index.hold(partition, key)
                    else:
                        model.put(partition, key, due_ms, held=False)
            case 3 if chance.random() < 0.1:
                kept = chance.sample(range(3), chance.randrange(4))
                model.index.keep(kept)
                for (partition, key), (due_ms, waits) in model.rows.items():
                    if partition not in kept and (due_ms or waits):
                        model.index.put(partition, key, due_ms, held=waits)
            case _:
                due_ms = chance.choice((0, now + chance.randrange(1, 200)))
                key = b"lead%d" % chance.randrange(60)
                model.put(chance.randrange(3), key, due_ms, held=chance.random() < 0.2)
    due = model.due(now + 1_000)
    assert model.fire(now + 1_000) == due
