"""The index of what is due."""

from sequencer.due import DueIndex


def pop_all(index: DueIndex, partition: int, now_ms: int) -> list[bytes]:
    found = []
    while (key := index.pop(partition, now_ms)) is not None:
        found.append(key)
    return found


def test_what_is_due_comes_out_the_longest_due_first() -> None:
    index = DueIndex()
    for key, due in ((b"c", 30), (b"a", 10), (b"b", 20)):
        index.put(0, key, due, held=False)
    assert not index.due(0, 9)
    assert pop_all(index, 0, 20) == [b"a", b"b"]
    assert pop_all(index, 0, 30) == [b"c"]
    assert len(index) == 0


def test_an_entry_that_was_moved_or_taken_back_is_dropped_when_it_is_met() -> None:
    index = DueIndex()
    index.put(0, b"moved", 10, held=False)
    index.put(0, b"moved", 50, held=False)
    index.put(0, b"stopped", 10, held=False)
    index.put(0, b"stopped", 0, held=False)
    assert pop_all(index, 0, 40) == []
    assert pop_all(index, 0, 50) == [b"moved"]


def test_partitions_are_kept_apart_and_forgotten_together() -> None:
    index = DueIndex()
    index.put(0, b"a", 10, held=False)
    index.put(1, b"b", 10, held=False)
    assert pop_all(index, 1, 99) == [b"b"]
    index.clear()
    assert pop_all(index, 0, 99) == []


def test_what_is_held_is_due_again_once_released() -> None:
    index = DueIndex()
    index.put(0, b"held", 0, held=True)
    assert not index.due(0, 99)
    index.release(50)
    assert pop_all(index, 0, 50) == [b"held"]


def test_many_moves_do_not_make_the_heap_grow_without_bound() -> None:
    index = DueIndex()
    for due in range(1, 10_000):
        index.put(0, b"a", due, held=False)
    assert len(index._partitions[0].heap) < 100
    assert pop_all(index, 0, 10_000) == [b"a"]
