"""The table of leads, without a broker."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP

from leadflow.kafka.port import Outgoing
from sequencer import rowcodec, table
from sequencer.app import WorkerSettings, make_app
from sequencer.changelog import Progress
from sequencer.due import DueIndex
from sequencer.model import LeadRow
from sequencer.owned import ROWS_A_BREATH
from sequencer.rocks import Databases
from sequencer.table import LeadTable

NOW = datetime(2026, 3, 4, 15, tzinfo=UTC)
HEADER = rowcodec.header(rowcodec.encode(LeadRow(lead_id="a")))


def a_row(due: datetime | None = None, *, held: bool = False) -> bytes:
    due_ms = 0 if due is None else rowcodec.to_ms(due)
    return rowcodec.HEADER.pack(HEADER.version, due_ms, held)


class FakeClock:
    def now(self) -> datetime:
        return NOW

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class FakeProducer:
    """Acknowledges whatever it is sent, and remembers it."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []

    async def send_one(self, record: Outgoing) -> int:
        await asyncio.sleep(0)
        self.sent.append(record)
        return 40 + len(self.sent)


class FakeChangelog:
    """Stands for the bulk reading: `reads` are called one after the other, each in place of one
    reading, on its thread."""

    def __init__(self) -> None:
        self.reads: list[Any] = []

    def __call__(
        self, _bootstrap: str, _topic: str, databases: Mapping[int, Any], _key: bytes, _: Progress
    ) -> FakeChangelog:
        self.databases = databases
        return self

    def run(self, now: datetime, stopped: threading.Event) -> None:
        if self.reads:
            self.reads.pop(0)(self.databases, stopped)


class Bench:
    def __init__(self, folder: Path) -> None:
        app = make_app(WorkerSettings("test", folder, "127.0.0.1:1", 1))
        app.finalize()
        self.producer = FakeProducer()
        self.due = DueIndex()
        self.recovered: list[frozenset[int]] = []
        self.failed: list[Exception] = []
        self.table: Any = LeadTable(
            app, name="leads", partitions=4, key_type=bytes, value_type=bytes
        )

        async def recovered() -> None:
            self.recovered.append(self.table.rows.owned)

        producer: Any = self.producer
        self.table.use(
            producer,
            self.due,
            Databases(32),
            "127.0.0.1:1",
            FakeClock(),
            recovered=recovered,
            failed=self.failed.append,
        )

    async def dealt(self, *partitions: int) -> None:
        await self.table.on_recovery_completed({TP("any", each) for each in partitions}, set())

    def offset(self, partition: int) -> bytes | None:
        found: bytes | None = self.table.data._db_for_partition(partition).get(
            self.table.data.offset_key
        )
        return found


@pytest.fixture
def changelog(monkeypatch: pytest.MonkeyPatch) -> FakeChangelog:
    fake = FakeChangelog()
    monkeypatch.setattr(table, "CatchUp", fake)
    return fake


@pytest.fixture
async def bench(tmp_path: Path, changelog: FakeChangelog) -> Bench:
    return Bench(tmp_path / "data")


async def test_a_row_is_here_once_the_broker_has_it_with_the_offset_that_it_follows(
    bench: Bench,
) -> None:
    await bench.dealt(0, 1)
    await bench.table.rows.put(1, b"a", b"row")
    assert bench.table.rows.get(1, b"a") == b"row"
    assert bench.offset(1) == b"41"
    assert bench.table.rows.get(0, b"a") is None


async def test_a_deleted_row_is_a_tombstone_in_the_changelog_and_gone_here(bench: Bench) -> None:
    await bench.dealt(0)
    await bench.table.rows.put(0, b"a", b"row")
    await bench.table.rows.delete(0, b"a")
    last = bench.producer.sent[-1]
    assert (last.key, last.value, last.partition) == (b"a", None, 0)
    assert bench.table.rows.get(0, b"a") is None
    assert bench.offset(0) == b"42"


@pytest.mark.parametrize("write", ["put", "delete"])
async def test_what_is_acknowledged_after_the_partition_was_lost_is_not_written_here(
    bench: Bench, write: str
) -> None:
    await bench.dealt(0)
    await bench.table.rows.put(0, b"a", b"row")
    arguments = (0, b"a", b"later") if write == "put" else (0, b"a")
    writing = asyncio.ensure_future(getattr(bench.table.rows, write)(*arguments))
    await asyncio.sleep(0)
    bench.table.rows.disown()
    await writing
    assert bench.table.rows.get(0, b"a") == b"row"
    assert bench.offset(0) == b"41"


async def test_what_is_due_is_known_before_anybody_is_told_that_the_rows_are_there(
    bench: Bench, changelog: FakeChangelog
) -> None:
    def read(databases: Mapping[int, Any], _stopped: threading.Event) -> None:
        databases[0].put(b"due", a_row(NOW))
        databases[0].put(b"later", a_row(NOW + timedelta(days=3)))
        databases[0].put(b"never", a_row())
        databases[1].put(b"held", a_row(held=True))

    changelog.reads = [read]
    await bench.dealt(0, 1)
    assert bench.recovered == [frozenset({0, 1})]
    now_ms = rowcodec.to_ms(NOW)
    assert bench.due.pop(0, now_ms) == b"due"
    assert bench.due.pop(0, now_ms) is None
    assert bench.due.pop(0, now_ms + 3 * 86_400_000) == b"later"
    assert bench.due.take_held() == [(1, b"held")]
    assert bench.table.moved()
    assert not bench.table.moved()


async def test_a_deal_waits_until_the_reading_for_the_one_before_it_has_stopped(
    bench: Bench, changelog: FakeChangelog
) -> None:
    """Two readings of one partition would write their rows over each other's."""
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def read_until_stopped(databases: Mapping[int, Any], stopped: threading.Event) -> None:
        loop.call_soon_threadsafe(begun.set)
        assert stopped.wait(10)
        overtaken.append(next_began.wait(0.3))
        databases[0].put(b"a", a_row(NOW))

    def read_next(_databases: Mapping[int, Any], _stopped: threading.Event) -> None:
        next_began.set()

    next_began = threading.Event()
    overtaken: list[bool] = []
    changelog.reads = [read_until_stopped, read_next]
    first = asyncio.ensure_future(bench.dealt(0))
    await begun.wait()
    bench.table.rows.disown()
    await asyncio.gather(first, bench.dealt(0, 1))
    assert overtaken == [False]
    assert bench.recovered == [frozenset({0, 1})]
    assert bench.due.pop(0, rowcodec.to_ms(NOW)) == b"a"
    assert bench.failed == []


async def test_what_did_not_change_between_two_deals_is_not_indexed_again(
    bench: Bench, changelog: FakeChangelog
) -> None:
    """Partition 0 stays as it was, 1 gets a row from elsewhere, 2 goes and 3 comes."""

    def read_first(databases: Mapping[int, Any], _stopped: threading.Event) -> None:
        for each in databases.values():
            each.put(b"a", a_row(NOW))

    def read_more(databases: Mapping[int, Any], _stopped: threading.Event) -> None:
        databases[1].put(b"b", a_row(NOW))
        databases[1].put(bench.table.data.offset_key, b"90")
        databases[3].put(b"c", a_row(NOW))

    changelog.reads = [read_first, read_more]
    await bench.dealt(0, 1, 2)
    await bench.table.rows.put(0, b"a", a_row(NOW))
    bench.table.rows.disown()
    await bench.dealt(0, 1, 3)
    assert bench.table.rows.progress.records == 3 + 3, "a and b of 1, c of 3"
    found: dict[int, list[bytes]] = {each: [] for each in range(4)}
    for partition, keys in found.items():
        while (key := bench.due.pop(partition, rowcodec.to_ms(NOW))) is not None:
            keys.append(key)
    assert found == {0: [b"a"], 1: [b"a", b"b"], 2: [], 3: [b"c"]}


async def test_an_index_that_was_not_finished_is_begun_anew(
    bench: Bench, changelog: FakeChangelog, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()
    put = bench.due.put

    def put_and_tell(*arguments: Any, held: bool) -> None:
        put(*arguments, held=held)
        begun.set()

    def read(databases: Mapping[int, Any], _stopped: threading.Event) -> None:
        for number in range(ROWS_A_BREATH + 5):
            databases[0].put(b"%06d" % number, a_row(NOW))

    changelog.reads = [read]
    monkeypatch.setattr(bench.due, "put", put_and_tell)
    indexing = asyncio.ensure_future(bench.dealt(0))
    await begun.wait()
    bench.table.rows.disown()
    await indexing
    assert bench.recovered == []
    assert 0 < len(bench.due) < ROWS_A_BREATH + 5
    await bench.dealt(0)
    assert len(bench.due) == ROWS_A_BREATH + 5


async def test_a_reading_that_fails_is_told_unless_the_partitions_are_gone(
    bench: Bench, changelog: FakeChangelog
) -> None:
    def fails(_databases: Mapping[int, Any], _stopped: threading.Event) -> None:
        raise OSError("no space left")

    changelog.reads = [fails]
    with pytest.raises(OSError, match="no space left"):
        await bench.dealt(0)
    assert [str(each) for each in bench.failed] == ["no space left"]
    assert bench.recovered == []


async def test_a_reading_that_the_end_of_the_worker_cut_short_does_not_pass_for_a_whole_one(
    bench: Bench, changelog: FakeChangelog
) -> None:
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def read_until_stopped(_databases: Mapping[int, Any], stopped: threading.Event) -> None:
        loop.call_soon_threadsafe(begun.set)
        assert stopped.wait(10)

    changelog.reads = [read_until_stopped]
    dealt = asyncio.ensure_future(bench.dealt(0))
    await begun.wait()
    await bench.table.on_stop()
    await dealt
    assert bench.recovered == []
    assert bench.table.rows.owned == frozenset()


async def test_faust_is_told_that_there_is_nothing_to_recover(bench: Bench) -> None:
    assert isinstance(bench.table.app.tables, table.Tables)
    assert not bench.table.app.tables.recovery.need_recovery()
