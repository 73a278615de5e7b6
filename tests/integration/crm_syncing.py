"""crm-sync as a process, with a sandbox that plays the CRMs, on the servers of the tests."""

from __future__ import annotations

import asyncio
import os
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from leadflow import database
from leadflow.codec import Codec
from leadflow.kafka.confluent import ConfluentProducer
from leadflow.kafka.port import Outgoing
from leadflow.records import LeadRecord

from .crm_leads import RETRIES, SOURCES, TOPIC_OF
from .dispatching import free_port
from .reading import start_at_the_end

ACCOUNT_SECRET = b64encode(b"integration accounts of the test").decode()


@dataclass
class CrmSync:
    """What stands around crm-sync; the world of a test adds what it asks of it."""

    url: str
    environ: dict[str, str]
    sandbox: httpx.AsyncClient
    engine: AsyncEngine
    producer: ConfluentProducer
    logs: Path
    stack: AsyncExitStack
    codec: Codec = field(default_factory=Codec)
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)

    @property
    def bootstrap(self) -> str:
        return self.environ["LEADFLOW_KAFKA_BOOTSTRAP"]

    async def publish(self, *records: LeadRecord) -> None:
        await self.producer.send(
            [
                Outgoing(TOPIC_OF[type(each)], each.lead_id.encode(), self.codec.encode(each))
                for each in records
            ]
        )

    async def crm_sync(self, *arguments: str, told: str = "") -> tuple[int, str]:
        """Exit code and standard output of one of crm-sync's commands."""
        asked = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "crm_sync", *arguments),
            env=self.environ,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await asked.communicate(told.encode())
        assert asked.returncode is not None
        return asked.returncode, said.decode().strip()

    async def account(self, *arguments: str, told: str = "") -> str:
        """What `python -m crm_sync account` prints."""
        code, said = await self.crm_sync("account", *arguments, told=told)
        assert code == 0
        return said

    async def rows(self, query: str, **values: Any) -> list[Any]:
        async with self.engine.connect() as connection:
            return list(await connection.execute(text(query), values))

    async def count(self, query: str, **values: Any) -> int:
        ((number,),) = await self.rows(query, **values)
        return int(number)

    async def start(self, package: str, **settings: str) -> asyncio.subprocess.Process:
        """A process that is killed in the end, if it is not dead by then."""
        with (self.logs / f"{package}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", package, env={**self.environ, **settings}, stderr=log
            )
        self.stack.push_async_callback(_end, process)
        self.processes.append(process)
        return process

    @asynccontextmanager
    async def running(self, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """crm-sync as a process; ended with SIGTERM unless it is dead by then."""
        process = await self.start("crm_sync", **settings)
        try:
            yield process
            if process.returncode is None:
                process.terminate()
                assert await asyncio.wait_for(process.wait(), 30) == 0
        finally:
            await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


async def until(condition: Callable[[], Any], what: str, seconds: float = 90) -> None:
    """Return once it holds; fails, saying `what`, if it does not. It may be awaitable."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                found = condition()
                if await found if isinstance(found, Awaitable) else found:
                    return
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(what) from None


Made = TypeVar("Made", bound=CrmSync)


@asynccontextmanager
async def around_crm_sync(
    world: type[Made],
    kafka_bootstrap: str,
    admin_url: str,
    secret: str,
    folder: Path,
    **settings: str,
) -> AsyncIterator[Made]:
    """A `world` with its sandbox; crm-sync, once it is started, reads from here on."""
    group = f"crm-sync-{uuid4()}"
    start_at_the_end(kafka_bootstrap, group, [topic.name for topic in SOURCES])
    for topic in RETRIES:
        start_at_the_end(kafka_bootstrap, group + topic.name.removeprefix("crm-sync"), [topic.name])
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    database_url = database.role_url(admin_url, "crm_sync", secret)
    await asyncio.to_thread(database.migrate, "crm_sync", database_url)
    environ = {
        **os.environ,
        "LEADFLOW_SANDBOX_PORT": str(port),
        "LEADFLOW_SMTP_SINK_PORT": "0",
        "LEADFLOW_KAFKA_BOOTSTRAP": kafka_bootstrap,
        "LEADFLOW_DATABASE_URL": database_url,
        "LEADFLOW_CRM_URL": f"{url}/crm",
        "LEADFLOW_GROUP": group,
        "LEADFLOW_HEALTH_PORT": "0",
        **settings,
    }
    async with AsyncExitStack() as stack:
        engine = database.engine(database_url, pool_size=2)
        stack.push_async_callback(engine.dispose)
        producer = ConfluentProducer(kafka_bootstrap, "test")
        stack.push_async_callback(producer.close)
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=url, trust_env=False))
        made = world(url, environ, client, engine, producer, folder, stack)
        sandbox = await made.start("sandbox")

        async def listens() -> bool:
            assert sandbox.returncode is None
            try:
                return (await client.get("/healthz")).status_code == 200
            except httpx.TransportError:
                return False

        await until(listens, "the sandbox did not start", 20)
        yield made
