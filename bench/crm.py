"""Changes a second into the CRM, beside a plain loop that writes them one after the other.

    python bench/crm.py [--changes 20000] [--rounds 2]

One crm-sync, as a process, takes ten changes of each lead from the topics, those of a hundred leads
mixed, and writes them into the sandbox's CRM: as it does, without coalescing, without batch calls,
and without both. The clock runs from the first record written to the topics until the last change
is settled and the CRM has it. Beside it, in the same run, a process that keeps nothing: it has the
finished contacts, and writes one after the other with crm-sync's own client. Starts Kafka,
PostgreSQL and the sandbox on free ports of 127.0.0.1.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any
from uuid import uuid4

import asyncpg
from _changes import changes
from _figures import at_least, figure, shown
from _surroundings import (
    Around,
    milliseconds_each,
    processor_seconds,
    surroundings,
    told,
    workers,
    write,
)

from crm_sync.crm.base import ContactWrite
from crm_sync.crm.sandbox import SandboxCrm

DONE_SECONDS = 300.0
WARM_UP = 500
AIM = 5.0
WAYS: tuple[tuple[str, tuple[str, ...], float], ...] = (
    ("coalescing and batch calls", (), 1.0),
    ("batch calls alone", ("--each",), 0.5),
    ("coalescing alone", ("--single",), 0.25),
    ("neither", ("--each", "--single"), 0.1),
)
"""How crm-sync works, by which arguments, with which part of the changes."""


def tell(around: Around, count: int) -> None:
    """So many changes into the topics, acknowledged."""
    write(around, ((topic, record) for topic, record, _contact in changes(count, str(uuid4()))))


@contextmanager
def worker(
    around: Around, arguments: Sequence[str] = (), **settings: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A crm-sync that is ready; ended at the end."""
    where = {"LEADFLOW_CRM_URL": around.crm_url, **settings}
    with workers(around, "_crm_sync.py", arguments, where) as [process]:
        yield process


async def settled(database_: Any, known: int) -> None:
    """Wait until so many changes are in the CRM."""
    deadline = time.monotonic() + DONE_SECONDS
    while time.monotonic() < deadline:
        done = await database_.fetchval("SELECT count(*) FROM sync_runs")
        if done >= known:
            states = await database_.fetch("SELECT result, count(*) FROM sync_runs GROUP BY 1")
            if not {row["result"] for row in states} <= {"written", "unchanged"}:
                raise SystemExit(f"not all were written: {[tuple(row) for row in states]}")
            return
        await asyncio.sleep(0.1)
    raise SystemExit(f"within {DONE_SECONDS:.0f} s not all of {known} were settled")


async def through_crm_sync(
    around: Around, database_: Any, arguments: tuple[str, ...], count: int, rounds: int
) -> tuple[list[float], dict[str, float]]:
    """Changes a second of each round, and processor time a change by part, in ms."""
    known = await database_.fetchval("SELECT count(*) FROM sync_runs")
    rates = []
    with worker(around, arguments):
        await asyncio.to_thread(tell, around, WARM_UP)  # caches filled, connections open
        await settled(database_, known := known + WARM_UP)
        before = processor_seconds()
        for _ in range(rounds):
            started = time.perf_counter()
            await asyncio.to_thread(tell, around, count)
            await settled(database_, known := known + count)
            rates.append(count / (time.perf_counter() - started))
        after = processor_seconds()
    return rates, milliseconds_each(before, after, rounds * count)


async def plain(around: Around, count: int) -> tuple[float, float]:
    """Changes a second of the loop that keeps nothing, and its processor time a change in ms,
    that of the CRM left out."""
    crm = SandboxCrm(around.crm_url, 10.0)
    writes = [
        [ContactWrite(record.lead_id, record.event_id, contact)]
        for _topic, record, contact in changes(count, str(uuid4()))
    ]
    started, spent = time.perf_counter(), time.process_time()
    for one in writes:
        (answer,) = await crm.upsert(one)
        assert isinstance(answer, str)
    rate = count / (time.perf_counter() - started)
    spent = time.process_time() - spent
    await crm.close()
    return rate, spent / count * 1e3


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--changes", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    async with surroundings("crm_sync") as around:
        database_ = await asyncpg.connect(around.url)
        loops = [await plain(around, max(WARM_UP, options.changes // 20))]
        seen: dict[str, list[float]] = {}
        for what, arguments, part in WAYS:
            count = max(WARM_UP, int(options.changes * part) // 10 * 10)
            seen[what], shares = await through_crm_sync(
                around, database_, arguments, count, options.rounds
            )
            print(f"{what}: {shown(seen[what])} changes/s")
            print(f"  processor time a change: {told(shares)}")
            # In between, so that what else the machine does meets all of them.
            loops.append(await plain(around, max(WARM_UP, options.changes // 20)))
        alone = [rate for rate, _ in loops]
        print(f"the plain loop: {shown(alone)} changes/s")
        print(f"  its own processor time a change: {median(ms for _, ms in loops):.2f} ms")
        figure("CRM, the plain loop", shown(alone, " changes/s"))
        for what, rates in seen.items():
            figure(f"CRM, {what}", shown(rates, " changes/s"))
            ratios = [rate / median(alone) for rate in rates]
            print(f"  {what} beside it: {shown(ratios)}")
            if what == WAYS[0][0]:
                at_least(f"CRM, {what} beside the plain loop", ratios, AIM)
            else:
                figure(f"CRM, {what} beside the plain loop", shown(ratios))
        await database_.close()


if __name__ == "__main__":
    asyncio.run(main())
