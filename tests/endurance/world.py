"""Kafka, PostgreSQL and the sandbox on free ports, and workers of one service to be killed."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import httpx
from sqlalchemy import text

from leadflow import database
from leadflow.kafka.admin import ensure_topics
from leadflow_cli.embedded.kafka import KafkaServer
from leadflow_cli.embedded.postgres import PostgresServer
from leadflow_cli.processes import free_ports

SECRET = "only for this run"
READY_SECONDS = 60.0


@dataclass
class World:
    """What a run has around it. `package` is the service whose workers are started."""

    bootstrap: str
    database_url: str
    sandbox: httpx.Client
    settings: Mapping[str, str]
    folder: Path
    package: str
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> subprocess.Popen[bytes]:
        name = f"{self.package.replace('_', '-')}-{len(self.workers)}.log"
        with (self.folder / name).open("wb") as log:
            made = subprocess.Popen(
                [sys.executable, "-m", self.package],
                env={**os.environ, **self.settings},
                stdout=log,
                stderr=log,
            )
        self.workers.append(made)
        return made

    def kill_one(self, running: list[subprocess.Popen[bytes]], choose: random.Random) -> None:
        """SIGKILL one of those that run, and start another in its place."""
        victim = choose.randrange(len(running))
        running[victim].kill()
        running[victim].wait()
        running[victim] = self.start()

    def ask(self, statement: str) -> list[Any]:
        """The rows of a statement on the service's database."""

        async def asked() -> list[Any]:
            engine = database.engine(self.database_url, pool_size=1)
            try:
                async with engine.connect() as connection:
                    return list((await connection.execute(text(statement))).all())
            finally:
                await engine.dispose()

        return asyncio.run(asked())


@contextmanager
def surroundings(
    folder: Path, package: str, settings: Callable[[str], Mapping[str, str]]
) -> Iterator[World]:
    """`settings` are the workers', made of the sandbox's address, beside where the servers are.
    All is ended when it is left."""
    kafka_port, controller, postgres_port, port, smtp = free_ports(5)
    with ExitStack() as until_done:
        kafka = until_done.enter_context(
            KafkaServer(folder / "kafka", port=kafka_port, controller_port=controller)
        )
        postgres = until_done.enter_context(PostgresServer(folder / "postgres", port=postgres_port))
        ensure_topics(kafka.bootstrap)
        database.provision(postgres.url, SECRET)
        url = database.role_url(postgres.url, package, SECRET)
        database.migrate(package, url)
        sandbox = subprocess.Popen(
            [sys.executable, "-m", "sandbox"],
            env={
                **os.environ,
                "LEADFLOW_SANDBOX_PORT": str(port),
                "LEADFLOW_SMTP_SINK_PORT": str(smtp),
            },
            stderr=subprocess.DEVNULL,
        )
        until_done.callback(sandbox.wait)
        until_done.callback(sandbox.terminate)
        base = f"http://127.0.0.1:{port}"
        client = until_done.enter_context(httpx.Client(base_url=base, trust_env=False, timeout=60))
        wait(lambda: _answers(client), "the sandbox")
        made = World(
            bootstrap=kafka.bootstrap,
            database_url=url,
            sandbox=client,
            folder=folder,
            package=package,
            settings={
                "LEADFLOW_KAFKA_BOOTSTRAP": kafka.bootstrap,
                "LEADFLOW_DATABASE_URL": url,
                "LEADFLOW_HEALTH_PORT": "0",
                **settings(base),
            },
        )
        until_done.callback(_end, made.workers)
        yield made


def wait(condition: Callable[[], bool], what: str, seconds: float = READY_SECONDS) -> None:
    """Until it holds; raises SystemExit if it does not in time."""
    never = Event()
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"within {seconds:.0f} s: {what}")
        never.wait(0.2)


def _end(workers: Sequence[subprocess.Popen[bytes]]) -> None:
    for worker in workers:
        if worker.poll() is None:
            worker.kill()
        worker.wait()


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False
