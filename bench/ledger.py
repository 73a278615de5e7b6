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

import asyncpg
import confluent_kafka
import httpx
import psutil
from _figures import at_least, figure, shown
from _mail import message

from leadflow import database, topics
from leadflow.codec import Codec
from leadflow.kafka.admin import ensure_topics
from leadflow_cli.embedded.kafka import KafkaServer
from leadflow_cli.embedded.postgres import PostgresServer
from leadflow_cli.processes import free_ports

ROOT = Path(__file__).resolve().parent.parent
HERE = Path(__file__).resolve().parent
SECRET = "bench"
READY_SECONDS = 60.0
DONE_SECONDS = 300.0
AIM_RATE, AIM_RATIO = 1_000, 0.5


@dataclass(frozen=True)
class Around:
    """What everybody is told, and where the work is looked at."""

    bootstrap: str
    url: str
    sandbox_url: str
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "LEADFLOW_KAFKA_BOOTSTRAP": self.bootstrap,
            "LEADFLOW_DATABASE_URL": self.url,
            "LEADFLOW_PROVIDERS_URL": f"{self.sandbox_url}/providers",
            "LEADFLOW_TENANTS_FILE": str(ROOT / "demo/tenants.toml"),
            "LEADFLOW_LINK_SECRET": "only for the bench",
        }


def write(around: Around, count: int) -> None:
    """So many messages into the topic, acknowledged."""
    producer = confluent_kafka.Producer(
        {
            "bootstrap.servers": around.bootstrap,
            "acks": "all",
            "partitioner": "murmur2_random",
            "linger.ms": 5,
        }
    )
    codec, run = Codec(), f"r{time.time_ns()}"
    for number in range(count):
        each = message(number, run)
        producer.produce(topics.MESSAGES.name, codec.encode(each), each.lead_id)
        producer.poll(0)
    producer.flush()


@contextmanager
def dispatchers(around: Around, count: int, *, single: bool, group: str) -> Iterator[None]:
    """So many dispatchers that are ready; ended at the end."""
    with ExitStack() as stack:
        ports = free_ports(count)
        processes = []
        for port in ports:
            log = stack.enter_context((around.folder / f"dispatcher-{port}.log").open("w"))
            process = subprocess.Popen(
                [sys.executable, str(HERE / "_dispatcher.py"), *(["--single"] if single else [])],
                env={
                    **around.environment,
                    "LEADFLOW_GROUP": group,
                    "LEADFLOW_HEALTH_PORT": str(port),
                },
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            processes.append(process)
            stack.callback(process.wait, 60)
            stack.callback(process.terminate)
        for port, process in zip(ports, processes, strict=True):
            wait_until_ready(port, process, around.folder / f"dispatcher-{port}.log")
        yield


def wait_until_ready(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise SystemExit(f"a dispatcher is not ready:\n{log.read_text()[-4000:]}")


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


def processor_seconds() -> dict[str, float]:
    """Processor time of every part so far, by name."""
    spent: dict[str, float] = {}
    for process in psutil.Process().children(recursive=True):
        try:
            line, times = process.cmdline(), process.cpu_times()
        except psutil.Error:
            continue
        modules = [after for flag, after in pairwise(line) if flag == "-m"]
        ours = any("_dispatcher.py" in each for each in line)
        name = "dispatcher" if ours else modules[0] if modules else ""
        name = name or ("kafka" if line and "java" in line[0] else "postgres")
        spent[name] = spent.get(name, 0.0) + times.user + times.system
    return spent


async def through_the_ledger(
    around: Around, database_: Any, workers: int, count: int, rounds: int, *, single: bool
) -> tuple[list[float], dict[str, float]]:
    """Messages a second of each round, and processor time a message by part, in ms."""
    known = await database_.fetchval("SELECT count(*) FROM ledger")
    rates = []
    with dispatchers(around, workers, single=single, group="bench"):
        await asyncio.to_thread(write, around, 300)  # caches filled, connections open
        await settled(database_, known := known + 300)
        before = processor_seconds()
        for _ in range(rounds):
            started = time.perf_counter()
            await asyncio.to_thread(write, around, count)
            await settled(database_, known := known + count)
            rates.append(count / (time.perf_counter() - started))
        after = processor_seconds()
    sent = rounds * count
    return rates, {name: (after[name] - before.get(name, 0.0)) / sent * 1e3 for name in after}


def without_ledger(
    around: Around, count: int, *, single: bool, rendering: bool
) -> tuple[float, float]:
    """Messages a second of the loop that keeps nothing, in a process of its own, and its processor
    time a message in ms."""
    line = [sys.executable, str(HERE / "_plain_loop.py"), str(count), "--warm-up", "300"]
    line += ["--single"] if single else []
    line += ["--render"] if rendering else []
    done = subprocess.run(line, env=around.environment, stdout=subprocess.PIPE, check=True)
    said = json.loads(done.stdout)
    return float(said["rate"]), float(said["cpu_ms"])


@contextmanager
def the_sandbox(port: int, smtp_port: int) -> Iterator[None]:
    """The providers, as a process that listens."""
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
        url = database.role_url(postgres.url, "dispatcher", SECRET)
        await asyncio.to_thread(database.migrate, "dispatcher", url)
        stack.enter_context(the_sandbox(sandbox_port, smtp_port))
        yield Around(kafka.bootstrap, url, f"http://127.0.0.1:{sandbox_port}", folder)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=6000)
    parser.add_argument("--single", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    async with surroundings() as around:
        database_ = await asyncpg.connect(around.url)
        for name, single, count in (
            ("batch calls", False, options.messages),
            ("single calls", True, options.single),
        ):
            seen: dict[int, list[float]] = {}
            for workers in (1, 2):
                seen[workers], shares = await through_the_ledger(
                    around, database_, workers, count, options.rounds, single=single
                )
                told = ", ".join(
                    f"{part} {ms:.2f}"
                    for part, ms in sorted(shares.items(), key=lambda item: -item[1])
                    if ms >= 0.005
                )
                what = f"{name}, {workers} dispatcher(s)"
                print(f"{what}: {shown(seen[workers])} messages/s")
                if single:
                    figure(what, shown(seen[workers], " messages/s"))
                else:
                    at_least(what, seen[workers], AIM_RATE, " messages/s")
                print(f"  processor time a message: {sum(shares.values()):.2f} ms ({told})")
            for rendering in (False, True):
                beside = "the plain loop that renders" if rendering else "the plain loop"
                plain = [
                    without_ledger(around, count, single=single, rendering=rendering)
                    for _ in range(options.rounds)
                ]
                alone = median(rate for rate, _ in plain)
                print(f"{name}, {beside}: {shown([rate for rate, _ in plain])} /s")
                print(f"  processor time a message: {median(ms for _, ms in plain):.2f} ms")
                for workers, rates in seen.items():
                    ratio = median(rates) / alone
                    print(f"  {workers} dispatcher(s) beside it: {ratio:.2f}")
                    at_least(f"{name}, {workers} beside {beside}", [ratio], AIM_RATIO)
        await database_.close()


if __name__ == "__main__":
    asyncio.run(main())
