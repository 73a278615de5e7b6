"""The local databases."""

from pathlib import Path

import pytest

from sequencer.rocks import Databases

CAPACITY, USAGE = "rocksdb.block-cache-capacity", "rocksdb.block-cache-usage"


def test_all_databases_share_one_bound_which_unwritten_rows_count_against(tmp_path: Path) -> None:
    databases = Databases(64)
    one, two = (databases.open(tmp_path / name) for name in ("one", "two"))
    assert one.property_int_value(CAPACITY) == two.property_int_value(CAPACITY) == 64 * 2**20
    before = two.property_int_value(USAGE) or 0
    for number in range(2_000):
        one.put(b"%d" % number, bytes(1_000))
    assert (two.property_int_value(USAGE) or 0) - before >= 2_000 * 1_000
    one.close()
    two.close()


def test_a_worker_does_not_open_what_it_may_not_write(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="writes"):
        Databases(32).open(tmp_path, read_only=True)
