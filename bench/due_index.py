"""What a tick costs that fires the same 500 leads among more and more that are pending.

    python bench/due_index.py [--pending 10000 1000000 10000000]

One partition with a row and an entry of the index for each pending lead, both on disk as the
sequencer has them. Each of 20 ticks takes 500 other leads, spread over all keys, out of the
index, reads their rows, decides, and writes the rows and their next times; the records that
follow are encoded but not sent, so that no broker's time is in it. Each size runs in a process
of its own. Prints the time of a tick, of which in the index, the ratios to the smallest size,
and for each pending lead the memory of the process, and the bytes of index and row on disk.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import rocksdict
from _figures import figure
from _mix import definition
from _rows import encoded_rows, lead_id, row

from leadflow.codec import Codec
from sequencer import rowcodec
from sequencer.decide import fire
from sequencer.due import DueIndex
from sequencer.main import spare_the_collector
from sequencer.model import Setting
from sequencer.pauses import AutomationPauses
from sequencer.rocks import Databases
from sequencer.sequences import PublishedSequences
from sequencer.spill import SpillOnDisk

SIZES = (10_000, 1_000_000, 10_000_000)
TICKS = 20
DUE = 500
AIM = 1.5
QUIET_SECONDS = 120.0


@dataclass
class Watch:
    """Seconds of a tick and, of these, seconds in the index."""

    all: float = 0.0
    index: float = 0.0


class Partition:
    """Rows and index of a worker's partition."""

    def __init__(self, folder: Path) -> None:
        databases = Databases()
        self.folder = folder
        self.codec = Codec()
        self.index = DueIndex(SpillOnDisk(folder / "due", databases))
        self.rows: Any = databases.open(folder / "rows")
        sequences = PublishedSequences(self.codec)
        sequences.apply(b"bench", self.codec.encode(definition()))
        self.setting = Setting(sequences, AutomationPauses(self.codec), {})

    def fill(self, pending: int, now: datetime) -> None:
        """Leads that are due in the month after `now` plus a day, but for those of the ticks."""
        batch = rocksdict.WriteBatch(raw_mode=True)
        for number, (key, due_ms, value) in enumerate(
            encoded_rows(pending, now + timedelta(days=1))
        ):
            batch.put(key, value)
            self.index.put(0, key, due_ms, held=False)
            if number % 1_000 == 999:
                self.rows.write(batch)
                batch = rocksdict.WriteBatch(raw_mode=True)
        for number in range(TICKS * DUE):
            due_at = now + timedelta(seconds=number // DUE)
            which = number * (pending // (TICKS * DUE))
            key = lead_id(which).encode()
            batch.put(key, rowcodec.encode(row(which, due_at)))
            self.index.put(0, key, rowcodec.to_ms(due_at), held=False)
        self.rows.write(batch)

    def until_quiet(self) -> None:
        """Wait until no file is being rewritten: that takes a core from what is measured."""
        self.rows.flush()
        deadline = time.perf_counter() + QUIET_SECONDS
        while time.perf_counter() < deadline and self.rows.property_int_value(
            "rocksdb.num-running-compactions"
        ):
            time.sleep(0.5)

    def tick(self, now: datetime) -> Watch:
        """As pipeline and processor do it, without a broker."""
        watch = Watch()
        now_ms = rowcodec.to_ms(now)
        began = time.perf_counter()
        fired = 0
        while True:
            before = time.perf_counter()
            key = self.index.pop(0, now_ms) if self.index.due(0, now_ms) else None
            watch.index += time.perf_counter() - before
            if key is None:
                break
            decision = fire(rowcodec.decode(key, self.rows.get(key)), now, self.setting)
            for effect in decision.effects:
                self.codec.encode(effect)
            self.rows.put(key, rowcodec.encode(decision.row))
            next_due = decision.row.next_due()
            due_ms = 0 if next_due is None else rowcodec.to_ms(next_due)
            before = time.perf_counter()
            self.index.put(0, key, due_ms, held=decision.row.is_held())
            watch.index += time.perf_counter() - before
            fired += decision.changed
        watch.all = time.perf_counter() - began
        if fired != DUE:
            raise SystemExit(f"{fired} fired, {DUE} were due")
        return watch


def memory() -> int:
    status = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(each for each in status if each.startswith("VmRSS")).split()[1])


def bytes_in(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())


def measure(pending: int, folder: Path) -> None:
    """Print tick and index in milliseconds, bytes of memory, of the index and of the rows."""
    spare_the_collector()
    before = memory()
    now = datetime.now(UTC)
    partition = Partition(folder)
    partition.fill(pending, now)
    partition.until_quiet()
    watches = [partition.tick(now + timedelta(seconds=number)) for number in range(TICKS)]
    print(
        1_000 * median(each.all for each in watches),
        1_000 * sum(each.index for each in watches) / TICKS,
        1_000 * max(each.all for each in watches),
        memory() - before,
        bytes_in(folder / "due"),
        bytes_in(folder / "rows"),
        flush=True,
    )


def in_a_process(pending: int) -> list[float]:
    """What `measure` prints, of a process of its own. Its files are deleted when it has ended:
    as long as it lives its databases may write new ones."""
    with tempfile.TemporaryDirectory(prefix="due-index-") as folder:
        command = [sys.executable, __file__, "--one", str(pending), "--folder", folder]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode != 0:
            raise SystemExit(
                f"{pending:,} pending: exit code {ended.returncode}, {what_is_free()}\n"
                f"{ended.stderr.strip() or 'nothing was said'}"
            )
    return [float(each) for each in ended.stdout.split()]


def what_is_free() -> str:
    """10 million need 3 GB of disk and 600 MB of memory."""
    disk = shutil.disk_usage(tempfile.gettempdir()).free // 2**20
    memory_ = psutil.virtual_memory().available // 2**20
    return f"{disk:,} MB of disk and {memory_:,} MB of memory free"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pending", type=int, nargs="+", default=SIZES)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(options.one, options.folder)
        return
    smallest = 0.0, 0.0
    for pending in options.pending:
        tick, index, worst, grown, due, rows = in_a_process(pending)
        smallest = smallest if any(smallest) else (tick, index)
        print(
            f"{pending:>10,} pending: {DUE} due take {tick:.1f} ms (at most {worst:.1f}), "
            f"ratio {tick / smallest[0]:.2f} (aim: at most {AIM}); "
            f"the index {index:.1f} ms of that, ratio {index / smallest[1]:.2f}",
            flush=True,
        )
        each = grown / pending, due / pending, rows / pending
        print(
            f"           memory {grown / 2**20:,.0f} MB ({each[0]:,.0f} bytes each), on disk "
            f"{each[1]:.0f} bytes each in the index, {each[2]:.0f} in the rows",
            flush=True,
        )
        ratio = tick / smallest[0]
        figure(
            f"tick with {DUE} due among {pending:,} pending",
            f"{tick:.0f} ms, ratio {ratio:.2f}",
            f"ratio at most {AIM}",
            ratio <= AIM,
        )
        figure(
            f"a pending lead among {pending:,}",
            f"{each[0]:,.0f} bytes of memory; on disk {each[1]:.0f} of index, {each[2]:.0f} of row",
        )


if __name__ == "__main__":
    main()
