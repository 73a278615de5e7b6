"""A portal process, and what a test module has of it: two tenants of its own, and keys."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import confluent_kafka
import httpx
from sqlalchemy.ext.asyncio import AsyncConnection

from leadflow import topics
from leadflow.codec import Codec
from leadflow.database import role_url
from leadflow.tenants import Tenant
from portal_api.auth import TICKET_LENGTH, Role
from portal_api.store import credentials
from portal_api.store.connection import engine

from ..reading import fetch, start_at_the_end
from .story import Story

DEADLINE_SECONDS = 60.0


def eventually(holds: Callable[[], Any], what: str, seconds: float = DEADLINE_SECONDS) -> Any:
    """The first true answer of `holds`; fails after `seconds`, saying what was waited for."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        if answer := holds():
            return answer
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s: {what}"
        pause.wait(0.05)


class Process:
    """`python -m portal_api`. One for all modules that a test run has in a row: to begin costs
    seconds, and reading what all others wrote before costs more."""

    def __init__(
        self, bootstrap: str, admin_url: str, secret: str, folder: Path, modules: int
    ) -> None:
        self.bootstrap = bootstrap
        self.database_url = role_url(admin_url, "portal", secret)
        self.client_database_url = role_url(admin_url, "portal_client", secret)
        self.log = folder / "log"
        mark = uuid4().hex[:8]
        self.tenants = [
            (
                Tenant(tenant_id=f"acme-{mark}-{number}", name="Acme Roofing"),
                Tenant(tenant_id=f"north-{mark}-{number}", name="North Dental"),
            )
            for number in range(modules)
        ]
        tenants_file = folder / "tenants.toml"
        tenants_file.write_text(
            "\n".join(
                f'[tenants.{each.tenant_id}]\nname = "{each.name}"\n'
                'postal_address = "400 Congress Ave, Austin, TX 78701"\n'
                'test_recipients = ["tests@acme.example"]\n'
                for pair in self.tenants
                for each in pair
            )
        )
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.environment = {
            **os.environ,
            "LEADFLOW_KAFKA_BOOTSTRAP": bootstrap,
            "LEADFLOW_DATABASE_URL": self.database_url,
            "LEADFLOW_SECRET": secret,
            "LEADFLOW_LINK_SECRET": "only for tests",
            "LEADFLOW_PORTAL_PORT": str(port),
            "LEADFLOW_TENANTS_FILE": str(tenants_file),
            "LEADFLOW_GROUP": f"portal-api-{mark}",
            "LEADFLOW_INCIDENT_SECONDS": "1",
        }
        projected = [each.name for each in topics.ALL if "portal-api" in each.consumers]
        start_at_the_end(bootstrap, self.environment["LEADFLOW_GROUP"], projected)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Unless it runs; returns once it is ready."""
        if self._process is None:
            with self.log.open("ab") as output:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "portal_api"],
                    env=self.environment,
                    stdout=output,
                    stderr=output,
                )
        eventually(self._ready, "the portal to be ready")

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        """It ends in order when it is asked to."""
        if self._process is not None:
            process, self._process = self._process, None
            process.send_signal(signal.SIGTERM)
            try:
                assert process.wait(15) == 0, self.log.read_text()
            finally:
                process.kill()


@dataclass
class Portal:
    """What a test module has of a running portal."""

    process: Process
    tenants: tuple[Tenant, Tenant]
    keys: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.url = self.process.url
        self.bootstrap = self.process.bootstrap
        self.database_url = self.process.database_url
        self.client_database_url = self.process.client_database_url
        self.environment = self.process.environment
        self.kill, self.start = self.process.kill, self.process.start

    def grant(self, command: str, role: str, tenant: str = "", subject: str = "") -> str:
        """What `python -m portal_api token|ticket` prints."""
        arguments = [sys.executable, "-m", "portal_api", command, "--role", role]
        if tenant:
            arguments += ["--tenant", tenant]
        if subject:
            arguments += ["--subject", subject]
        done = subprocess.run(
            arguments, env=self.environment, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def sign_in(self, role: str, tenant: str = "", subject: str = "") -> str:
        """A link that signs in, as `grant("ticket", ...)` prints it, in a twentieth of the time."""
        ticket = self._database(
            lambda connection: credentials.create_ticket(
                connection, Role(role), tenant or None, subject or role, datetime.now(UTC),
                TICKET_LENGTH,
            )
        )  # fmt: skip
        return f"{self.url}/login?ticket={ticket}"

    def client(self, role: str, tenant: str = "", subject: str = "") -> httpx.Client:
        who = (role, tenant, subject)
        if who not in self.keys:
            self.keys[who] = self._database(
                lambda connection: credentials.create_key(
                    connection, Role(role), tenant or None, subject or role, datetime.now(UTC)
                )
            )
        return httpx.Client(
            base_url=f"{self.url}/api/v1",
            headers={"Authorization": f"Bearer {self.keys[who]}"},
            timeout=30,
        )

    def _database(self, work: Callable[[AsyncConnection], Any]) -> str:
        async def run() -> str:
            database = engine(self.database_url, pool_size=1)
            try:
                async with database.begin() as connection:
                    return str(await work(connection))
            finally:
                await database.dispose()

        # On a thread: the browser's driver has an event loop of its own on this one.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, run()).result()

    def read(self, topic: str, key: str, wanted: int = 1) -> list[Any]:
        """The records of a topic with this key, once there are `wanted`."""
        consumer = confluent_kafka.Consumer(
            {"bootstrap.servers": self.bootstrap, "group.id": f"test-{uuid4()}"}
        )
        codec, found = Codec(), []
        deadline = time.monotonic() + DEADLINE_SECONDS
        try:
            numbers = consumer.list_topics(topic, 10).topics[topic].partitions
            consumer.assign(
                [
                    confluent_kafka.TopicPartition(topic, each, confluent_kafka.OFFSET_BEGINNING)
                    for each in numbers
                ]
            )
            while len(found) < wanted:
                assert time.monotonic() < deadline, f"{len(found)} of {wanted} in {topic}"
                found += [
                    codec.decode(message.value())
                    for message in fetch(consumer, 0.5)
                    if not message.error() and message.key() == key.encode()
                ]
        finally:
            consumer.close()
        return found[:wanted]

    def story(self, number: int = 0) -> Story:
        """A new story of one of the tenants, in the present."""
        return Story(self.tenants[number], datetime.now(UTC).replace(microsecond=0))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
