"""Messages a second through the ledger to the sandbox, beside a loop that only posts.

    python bench/ledger.py [--messages 6000] [--single 3000] [--rounds 2]

One dispatcher and two, as processes, take e-mails from the topic `messages`: rendered, entered into
the ledger, claimed, given to the sandbox, settled with their chain, their events published. The
clock runs from the first message written to the topic until the last is settled and its event out.
Beside it, in the same run, a process that keeps nothing: it posts to the same sandbox with the
dispatcher's own client, as many calls at once; once finished payloads, once what it renders of the
same messages with the dispatcher's own writer. All with batch calls (100 messages each) and with
single calls. Starts Kafka, PostgreSQL and the sandbox on free ports of
127.0.0.1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg
from _figures import at_least, figure, shown
from _mail import message
from _surroundings import (
    HERE,
    Around,
    milliseconds_each,
    processor_seconds,
    surroundings,
    told,
    workers,
    write,
)

from leadflow import topics

ROOT = Path(__file__).resolve().parent.parent
DONE_SECONDS = 300.0
AIM_RATE, AIM_RATIO = 1_000, 0.5


def settings(around: Around) -> dict[str, str]:
    """Of the dispatchers, and of the loop beside them."""
    return {
        "LEADFLOW_PROVIDERS_URL": f"{around.sandbox_url}/providers",
        "LEADFLOW_TENANTS_FILE": str(ROOT / "demo/tenants.toml"),
        "LEADFLOW_LINK_SECRET": "only for the bench",
        "LEADFLOW_GROUP": "bench",
    }


def queue(around: Around, count: int) -> None:
    """So many messages into the topic, acknowledged."""
    run = f"r{time.time_ns()}"
    write(around, ((topics.MESSAGES.name, message(number, run)) for number in range(count)))


async def settled(database_: Any, known: int) -> None:
    """Wait until the ledger knows so many messages, all of them sent and told."""
    deadline = time.monotonic() + DONE_SECONDS
    while time.monotonic() < deadline:
        waiting = await database_.fetchval(
            "SELECT EXISTS (SELECT FROM ledger WHERE state IN ('queued', 'claimed'))"
            " OR EXISTS (SELECT FROM outbox)"
        )
        if not waiting:
            states = await database_.fetch("SELECT state, count(*) FROM ledger GROUP BY state")
            if sum(row["count"] for row in states) >= known:
                if {row["state"] for row in states} != {"sent"}:
                    raise SystemExit(f"not all were sent: {[tuple(row) for row in states]}")
                return
        await asyncio.sleep(0.05)
    raise SystemExit(f"within {DONE_SECONDS:.0f} s not all of {known} were settled")


async def through_the_ledger(
    around: Around, database_: Any, dispatchers: int, count: int, rounds: int, *, single: bool
) -> tuple[list[float], dict[str, float]]:
    """Messages a second of each round, and processor time a message by part, in ms."""
    known = await database_.fetchval("SELECT count(*) FROM ledger")
    rates = []
    way = ["--single"] if single else []
    with workers(around, "_dispatcher.py", way, settings(around), count=dispatchers):
        await asyncio.to_thread(queue, around, 300)  # caches filled, connections open
        await settled(database_, known := known + 300)
        before = processor_seconds()
        for _ in range(rounds):
            started = time.perf_counter()
            await asyncio.to_thread(queue, around, count)
            await settled(database_, known := known + count)
            rates.append(count / (time.perf_counter() - started))
        after = processor_seconds()
    return rates, milliseconds_each(before, after, rounds * count)


def without_ledger(
    around: Around, count: int, *, single: bool, rendering: bool
) -> tuple[float, float]:
    """Messages a second of the loop that keeps nothing, in a process of its own, and its processor
    time a message in ms."""
    line = [sys.executable, str(HERE / "_plain_loop.py"), str(count), "--warm-up", "300"]
    line += ["--single"] if single else []
    line += ["--render"] if rendering else []
    environment = {**around.environment, **settings(around)}
    done = subprocess.run(line, env=environment, stdout=subprocess.PIPE, check=True)
    said = json.loads(done.stdout)
    return float(said["rate"]), float(said["cpu_ms"])


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=6000)
    parser.add_argument("--single", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    async with surroundings("dispatcher") as around:
        database_ = await asyncpg.connect(around.url)
        for name, single, count in (
            ("batch calls", False, options.messages),
            ("single calls", True, options.single),
        ):
            seen: dict[int, list[float]] = {}
            for dispatchers in (1, 2):
                seen[dispatchers], shares = await through_the_ledger(
                    around, database_, dispatchers, count, options.rounds, single=single
                )
                what = f"{name}, {dispatchers} dispatcher(s)"
                print(f"{what}: {shown(seen[dispatchers])} messages/s")
                if single:
                    figure(what, shown(seen[dispatchers], " messages/s"))
                else:
                    at_least(what, seen[dispatchers], AIM_RATE, " messages/s")
                print(f"  processor time a message: {told(shares)}")
            for rendering in (False, True):
                beside = "the plain loop that renders" if rendering else "the plain loop"
                plain = [
                    without_ledger(around, count, single=single, rendering=rendering)
                    for _ in range(options.rounds)
                ]
                alone = median(rate for rate, _ in plain)
                print(f"{name}, {beside}: {shown([rate for rate, _ in plain])} /s")
                print(f"  processor time a message: {median(ms for _, ms in plain):.2f} ms")
                for dispatchers, rates in seen.items():
                    ratio = median(rates) / alone
                    print(f"  {dispatchers} dispatcher(s) beside it: {ratio:.2f}")
                    at_least(f"{name}, {dispatchers} beside {beside}", [ratio], AIM_RATIO)
        await database_.close()


if __name__ == "__main__":
    asyncio.run(main())
