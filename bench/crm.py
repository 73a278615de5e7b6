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
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

import asyncpg
import confluent_kafka
import httpx
import psutil
from _changes import changes
from _figures import at_least, figure, shown

from crm_sync.crm.base import ContactWrite
from crm_sync.crm.sandbox import SandboxCrm
from leadflow import database
from leadflow.codec import Codec
from leadflow.kafka.admin import ensure_topics
from leadflow_cli.embedded.kafka import KafkaServer
from leadflow_cli.embedded.postgres import PostgresServer
from leadflow_cli.processes import free_ports

HERE = Path(__file__).resolve().parent
SECRET = "bench"
READY_SECONDS = 60.0
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


@dataclass(frozen=True)
class Around:
    """What everybody is told, and where the work is looked at."""

    bootstrap: str
    url: str
    crm_url: str
    folder: Path


def write(around: Around, count: int) -> None:
    """So many changes into the topics, acknowledged."""
    producer = confluent_kafka.Producer(
        {
            "bootstrap.servers": around.bootstrap,
            "acks": "all",
            "partitioner": "murmur2_random",
            "linger.ms": 5,
        }
    )
    codec = Codec()
    for topic, record, _contact in changes(count, str(uuid4())):
        producer.produce(topic, codec.encode(record), record.lead_id)
        producer.poll(0)
    producer.flush()


@contextmanager
def worker(
    around: Around, arguments: tuple[str, ...] = (), **settings: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A crm-sync that is ready; ended at the end."""
    (port,) = free_ports(1)
    log = around.folder / f"crm-sync-{port}.log"
    with log.open("w") as written:
        process = subprocess.Popen(
            [sys.executable, str(HERE / "_crm_sync.py"), *arguments],
            env={
                **os.environ,
                "LEADFLOW_KAFKA_BOOTSTRAP": around.bootstrap,
                "LEADFLOW_DATABASE_URL": around.url,
                "LEADFLOW_CRM_URL": around.crm_url,
                "LEADFLOW_HEALTH_PORT": str(port),
                **settings,
            },
            stdout=written,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until_ready(port, process, log)
        yield process
    finally:
        process.terminate()
        process.wait(60)


def wait_until_ready(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise SystemExit(f"crm-sync is not ready:\n{log.read_text()[-4000:]}")


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


def processor_seconds() -> dict[str, float]:
    """Processor time of every part so far, by name."""
    spent: dict[str, float] = {}
    for process in psutil.Process().children(recursive=True):
        try:
            line, times = process.cmdline(), process.cpu_times()
        except psutil.Error:
            continue
        modules = [after for flag, after in pairwise(line) if flag == "-m"]
        ours = any("_crm_sync.py" in each for each in line)
        name = "crm-sync" if ours else modules[0] if modules else ""
        name = name or ("kafka" if line and "java" in line[0] else "postgres")
        spent[name] = spent.get(name, 0.0) + times.user + times.system
    return spent


async def through_crm_sync(
    around: Around, database_: Any, arguments: tuple[str, ...], count: int, rounds: int
) -> tuple[list[float], dict[str, float]]:
    """Changes a second of each round, and processor time a change by part, in ms."""
    known = await database_.fetchval("SELECT count(*) FROM sync_runs")
    rates = []
    with worker(around, arguments):
        await asyncio.to_thread(write, around, WARM_UP)  # caches filled, connections open
        await settled(database_, known := known + WARM_UP)
        before = processor_seconds()
        for _ in range(rounds):
            started = time.perf_counter()
            await asyncio.to_thread(write, around, count)
            await settled(database_, known := known + count)
            rates.append(count / (time.perf_counter() - started))
        after = processor_seconds()
    return rates, {
        name: (after[name] - before.get(name, 0.0)) / (rounds * count) * 1e3 for name in after
    }


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


@contextmanager
def the_sandbox(port: int, smtp_port: int) -> Iterator[None]:
    """The CRM, as a process that listens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox"],
        env={
            **os.environ,
            "LEADFLOW_SANDBOX_PORT": str(port),
            "LEADFLOW_SMTP_SINK_PORT": str(smtp_port),
        },
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        assert b"listening" in process.stderr.readline()
        yield
    finally:
        process.terminate()
        process.wait(30)


@asynccontextmanager
async def surroundings() -> AsyncIterator[Around]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="leadflow-bench-")))
        kafka_port, controller, postgres_port, sandbox_port, smtp_port = free_ports(5)
        kafka = stack.enter_context(
            KafkaServer(folder / "kafka", port=kafka_port, controller_port=controller)
        )
        postgres = PostgresServer(folder / "postgres", port=postgres_port)
        stack.callback(postgres.destroy)
        stack.enter_context(postgres)
        ensure_topics(kafka.bootstrap)
        await asyncio.to_thread(database.provision, postgres.url, SECRET)
        url = database.role_url(postgres.url, "crm_sync", SECRET)
        await asyncio.to_thread(database.migrate, "crm_sync", url)
        stack.enter_context(the_sandbox(sandbox_port, smtp_port))
        yield Around(kafka.bootstrap, url, f"http://127.0.0.1:{sandbox_port}/crm", folder)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--changes", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    async with surroundings() as around:
        database_ = await asyncpg.connect(around.url)
        loops = [await plain(around, max(WARM_UP, options.changes // 20))]
        seen: dict[str, list[float]] = {}
        for what, arguments, part in WAYS:
            count = max(WARM_UP, int(options.changes * part) // 10 * 10)
            seen[what], shares = await through_crm_sync(
                around, database_, arguments, count, options.rounds
            )
            told = ", ".join(
                f"{name} {ms:.2f}"
                for name, ms in sorted(shares.items(), key=lambda item: -item[1])
                if ms >= 0.005
            )
            print(f"{what}: {shown(seen[what])} changes/s")
            print(f"  processor time a change: {sum(shares.values()):.2f} ms ({told})")
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
