"""A worker's local rows, read in bulk from the changelog."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import confluent_kafka
import pytest
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from leadflow import ids, topics
from sequencer import rowcodec
from sequencer.changelog import TOMBSTONES_KEPT, CatchUp, Progress
from sequencer.model import LeadRow
from sequencer.rocks import Databases
from sequencer.table import CHANGELOG_CONFIG

from .sequencing import Worker, running, wait

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

OFFSET_KEY = b"__faust\0offset__"
Rows = dict[bytes, bytes]
Change = tuple[int, bytes, bytes | None]
"""Partition, key, and the row or None for its deletion."""


class Changelog:
    """A compacted topic that a test writes."""

    def __init__(self, bootstrap: str, name: str, partitions: int) -> None:
        self.bootstrap, self.name = bootstrap, name
        config = {"cleanup.policy": "compact", **CHANGELOG_CONFIG}
        admin = AdminClient({"bootstrap.servers": bootstrap})
        topic = NewTopic(name, partitions, 1, config=config)
        admin.create_topics([topic])[name].result(30)
        self._producer = confluent_kafka.Producer({"bootstrap.servers": bootstrap})
        self.changes: list[Change] = []

    def write(self, changes: Sequence[Change]) -> None:
        for partition, key, row in changes:
            while True:
                try:
                    self._producer.produce(self.name, row, key=key, partition=partition)
                    break
                except BufferError:
                    self._producer.poll(0.1)
        assert self._producer.flush(60) == 0
        self.changes += changes

    def rows(self, partition: int, upto: int | None = None) -> Rows:
        """What the first `upto` records of a partition, or all, come to."""
        rows: Rows = {}
        for _, key, row in [each for each in self.changes if each[0] == partition][:upto]:
            if row is None:
                rows.pop(key, None)
            else:
                rows[key] = row
        return rows


def in_database(database: Any) -> tuple[Rows, int | None]:
    """The rows, and how many records they follow."""
    rows = dict(database.items())
    seen = rows.pop(OFFSET_KEY, None)
    return rows, None if seen is None else int(seen) + 1


def some_changes(chance: Random, count: int, partitions: int = 2) -> list[Change]:
    """Rows written, written again, deleted and written anew."""
    return [
        (
            chance.randrange(partitions),
            b"lead%d" % chance.randrange(max(count // 3, 1)),
            None if chance.random() < 0.2 else chance.randbytes(40),
        )
        for _ in range(count)
    ]


@pytest.fixture
def changelog(kafka_bootstrap: str) -> Changelog:
    return Changelog(kafka_bootstrap, f"recovery-{uuid4().hex[:8]}-leads-changelog", 2)


@pytest.fixture
def databases(tmp_path: Path) -> Iterator[Mapping[int, Any]]:
    opened = {each: Databases(32).open(tmp_path / str(each)) for each in range(2)}
    yield opened
    for each in opened.values():
        each.close()


def catch_up(
    changelog: Changelog,
    databases: Mapping[int, Any],
    progress: Progress | None = None,
    stopped: threading.Event | None = None,
    now: datetime | None = None,
) -> int:
    """How many records were applied."""
    progress = progress or Progress()
    caught = CatchUp(changelog.bootstrap, changelog.name, databases, OFFSET_KEY, progress)
    caught.run(now or datetime.now(UTC), stopped or threading.Event())
    return progress.records


def test_empty_databases_get_exactly_the_rows_of_the_changelog_and_follow_what_comes_after(
    changelog: Changelog, databases: Mapping[int, Any]
) -> None:
    assert catch_up(changelog, databases) == 0
    chance = Random(7)
    for count in (12_000, 1, 300):
        changes = some_changes(chance, count)
        changelog.write(changes)
        assert catch_up(changelog, databases) == len(changes)
        for partition, database in databases.items():
            count_there = sum(each[0] == partition for each in changelog.changes)
            assert in_database(database) == (changelog.rows(partition), count_there or None)
    assert catch_up(changelog, databases) == 0


def test_who_is_stopped_in_the_middle_goes_on_from_there(
    changelog: Changelog, databases: Mapping[int, Any]
) -> None:
    class StopsSoon(Progress):
        def __setattr__(self, name: str, value: int) -> None:
            super().__setattr__(name, value)
            if value > 100:
                stopped.set()

    changelog.write(some_changes(Random(8), 30_000))
    stopped = threading.Event()
    first = catch_up(changelog, databases, StopsSoon(), stopped)
    assert 100 < first < 30_000
    for partition, database in databases.items():
        rows, seen = in_database(database)
        assert rows == changelog.rows(partition, seen or 0)
    assert catch_up(changelog, databases) == 30_000 - first
    for partition, database in databases.items():
        assert in_database(database)[0] == changelog.rows(partition)


def test_a_copy_that_may_have_missed_a_forgotten_deletion_is_read_anew(
    changelog: Changelog, databases: Mapping[int, Any]
) -> None:
    """The changelog tells of a deletion for a day. A copy that lacks what is older may keep a
    row that nobody else has; here it is one that the changelog never had."""
    changelog.write([(0, b"a", b"1"), (1, b"b", b"1")])
    catch_up(changelog, databases)
    for database in databases.values():
        database.put(b"deleted meanwhile", b"1")
    changelog.write([(0, b"c", b"1")])
    assert catch_up(changelog, databases, now=datetime.now(UTC) + TOMBSTONES_KEPT) == 2
    assert in_database(databases[0]) == ({b"a": b"1", b"c": b"1"}, 2)
    # This one lacks nothing: it is as it was.
    assert in_database(databases[1]) == ({b"b": b"1", b"deleted meanwhile": b"1"}, 1)


def test_workers_that_join_while_rows_are_read_end_with_exactly_the_rows_of_the_changelog(
    kafka_bootstrap: str, tmp_path: Path
) -> None:
    group = f"recovery-{uuid4().hex[:8]}"
    partitions = topics.LEAD_EVENTS.partitions
    changelog = Changelog(kafka_bootstrap, f"{group}-leads-changelog", partitions)
    row = rowcodec.encode(LeadRow(lead_id="any", tenant_id="recovery", created=True))
    far = rowcodec.to_ms(datetime.now(UTC) + timedelta(days=30))
    version = rowcodec.header(row).version
    chance = Random(9)
    changelog.write(
        [
            (
                number % partitions,
                ids.lead_id("recovery", "any", str(chance.randrange(60_000))).encode(),
                None
                if chance.random() < 0.1
                else rowcodec.HEADER.pack(version, far + number, 0) + row[rowcodec.HEADER.size :],
            )
            for number in range(100_000)
        ]
    )
    workers = [Worker(kafka_bootstrap, group, tmp_path)]
    with running(workers):
        first = workers[0]
        wait(lambda: "taking over" in first.log.read_text() or first.ready())
        workers += [Worker(kafka_bootstrap, group, tmp_path) for _ in range(2)]
        for worker in workers:
            wait(worker.ready)
        # Once more in the middle, with one that has everything and one that has some.
        workers[1].kill()
        workers.append(Worker(kafka_bootstrap, group, tmp_path))
        for worker in (workers[0], workers[2], workers[3]):
            wait(worker.ready)
        for worker in (workers[0], workers[2], workers[3]):
            assert worker.stop() == 0
    ours = {key for _, key, _ in changelog.changes}
    complete = set()
    for worker in workers:
        for folder in (worker.data_dir / "v1" / "tables").glob("leads-*.db"):
            partition = int(folder.stem.rpartition("-")[2])
            there, seen = in_database(Databases(32).open(folder))
            # The workers also read the leads of other tests, and write their rows behind ours.
            rows = {key: row for key, row in there.items() if key in ours}
            wanted = changelog.rows(partition, seen or 0)
            assert rows == wanted, f"{folder}: not what {seen} records come to"
            if rows == changelog.rows(partition):
                complete.add(partition)
    assert complete == set(range(partitions))
