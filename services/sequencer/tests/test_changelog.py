"""A changelog that is shorter than it was is nobody's to guess about."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError

from leadflow.errors import BrokerError
from sequencer.changelog import CatchUp, Gap, Progress, gap


def never() -> int:
    raise AssertionError("not asked")


class EndOfPartition:
    """What librdkafka hands over when there is no more."""

    def __init__(self, offset: int) -> None:
        self._offset = offset

    def partition(self) -> int:
        return 3

    def offset(self) -> int:
        return self._offset

    def error(self) -> Any:
        return KafkaError(KafkaError._PARTITION_EOF)


class Database:
    def __init__(self) -> None:
        self.written = 0

    def write(self, _batch: Any) -> None:
        self.written += 1


def test_a_copy_that_has_seen_the_last_record_lacks_nothing() -> None:
    assert gap(9, 0, 10, never) is None


def test_a_copy_that_has_seen_nothing_reads_all_there_is() -> None:
    assert gap(None, 4, 10, never) == Gap(4, anew=False)
    assert gap(None, 0, 0, never) is None


def test_a_copy_that_is_ahead_of_its_changelog_is_not_taken_for_complete() -> None:
    with pytest.raises(
        BrokerError, match=r"seen record 10 of a changelog that ends at 10.*DATA_DIR"
    ):
        gap(10, 0, 10, never)


def test_reading_ends_where_the_changelog_ends() -> None:
    database, ends = Database(), {3: 10}
    reading = CatchUp("127.0.0.1:1", "rows", {3: database}, b"offset", Progress())
    reading._apply([EndOfPartition(10)], ends)
    assert ends == {}
    assert database.written == 1


def test_a_changelog_that_loses_records_while_it_is_read_ends_the_worker() -> None:
    """It would wait for them for ever: nobody else writes there."""
    database, ends = Database(), {3: 10}
    reading = CatchUp("127.0.0.1:1", "rows", {3: database}, b"offset", Progress())
    with pytest.raises(BrokerError, match="rows 3 ends at 8 and did at 10"):
        reading._apply([EndOfPartition(8)], ends)
    assert database.written == 0
