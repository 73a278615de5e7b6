"""What a service is measured in: Kafka, PostgreSQL and the sandbox on free ports of 127.0.0.1, its
workers as processes, and the processor time of each part."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import confluent_kafka
import httpx
import psutil

from leadflow import database
from leadflow.codec import Codec
from leadflow.kafka.admin import ensure_topics
from leadflow.records import LeadRecord
from leadflow_cli.embedded.kafka import KafkaServer
from leadflow_cli.embedded.postgres import PostgresServer
from leadflow_cli.processes import free_ports

HERE = Path(__file__).resolve().parent
SECRET = "bench"
READY_SECONDS = 60.0


@dataclass(frozen=True)
class Around:
    """What everybody is told, and where the work is looked at. `url` is the service's database."""

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
        }

    @property
    def crm_url(self) -> str:
        return f"{self.sandbox_url}/crm"


@asynccontextmanager
async def surroundings(package: str) -> AsyncIterator[Around]:
    """Of the service of this package: its schema is there, and every topic."""
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
        url = database.role_url(postgres.url, database.SCHEMAS[package], SECRET)
        await asyncio.to_thread(database.migrate, package, url)
        stack.enter_context(_sandbox(sandbox_port, smtp_port))
        yield Around(kafka.bootstrap, url, f"http://127.0.0.1:{sandbox_port}", folder)


@contextmanager
def _sandbox(port: int, smtp_port: int) -> Iterator[None]:
    """The providers and the CRM, as a process that listens."""
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


@contextmanager
def workers(
    around: Around,
    script: str,
    arguments: Sequence[str] = (),
    settings: Mapping[str, str] = {},
    *,
    count: int = 1,
) -> Iterator[Sequence[subprocess.Popen[bytes]]]:
    """So many processes of a script of this folder that are ready; ended at the end."""
    with ExitStack() as stack:
        started = []
        for port in free_ports(count):
            log = around.folder / f"{_name(script)}-{port}.log"
            process = subprocess.Popen(
                [sys.executable, str(HERE / script), *arguments],
                env={**around.environment, "LEADFLOW_HEALTH_PORT": str(port), **settings},
                stdout=stack.enter_context(log.open("w")),
                stderr=subprocess.STDOUT,
            )
            stack.callback(process.wait, 60)
            stack.callback(process.terminate)
            started.append((port, process, log))
        for each in started:
            _wait_until_ready(*each)
        yield [process for _, process, _ in started]


def _wait_until_ready(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise SystemExit(f"{log.stem} is not ready:\n{log.read_text()[-4000:]}")


def write(around: Around, records: Iterable[tuple[str, LeadRecord]]) -> None:
    """Records into their topics, by lead, acknowledged."""
    producer = confluent_kafka.Producer(
        {
            "bootstrap.servers": around.bootstrap,
            "acks": "all",
            "partitioner": "murmur2_random",
            "linger.ms": 5,
        }
    )
    codec = Codec()
    for topic, record in records:
        producer.produce(topic, codec.encode(record), record.lead_id)
        producer.poll(0)
    producer.flush()


def processor_seconds() -> dict[str, float]:
    """Processor time of every part so far, by name."""
    spent: dict[str, float] = {}
    for process in psutil.Process().children(recursive=True):
        try:
            line, times = process.cmdline(), process.cpu_times()
        except psutil.Error:
            continue
        names = [after for flag, after in pairwise(line) if flag == "-m"]
        names += [_name(each) for each in line if Path(each).parent == HERE]
        name = names[0] if names else "kafka" if line and "java" in line[0] else "postgres"
        spent[name] = spent.get(name, 0.0) + times.user + times.system
    return spent


def milliseconds_each(
    before: Mapping[str, float], after: Mapping[str, float], count: int
) -> dict[str, float]:
    """Processor time in between of each part, for each of `count`, in ms."""
    return {name: (after[name] - before.get(name, 0.0)) / count * 1e3 for name in after}


def told(shares: Mapping[str, float]) -> str:
    """All of it, and the parts, the largest first."""
    parts = ", ".join(
        f"{name} {ms:.2f}"
        for name, ms in sorted(shares.items(), key=lambda item: -item[1])
        if ms >= 0.005
    )
    return f"{sum(shares.values()):.2f} ms ({parts})"


def _name(script: str) -> str:
    """What a script of this folder is a worker of: `_crm_sync.py` of crm-sync."""
    return Path(script).stem.removeprefix("_").replace("_", "-")
