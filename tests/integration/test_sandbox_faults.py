"""The sandbox as a process: what a peer sees of dropped answers, stalls and shutdown."""

from __future__ import annotations

import asyncio
import os
import smtplib
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

SEND = {"to": "ada@example.com", "subject": "Hello", "text": "Hi"}
MAIL = b"From: rep@example.com\r\nSubject: Hello\r\nX-Leadflow-Message-Id: m-1\r\n\r\nHi\r\n"


@dataclass
class Sandbox:
    process: asyncio.subprocess.Process
    client: httpx.AsyncClient
    smtp_port: int

    async def add_fault(self, **rule: Any) -> None:
        response = await self.client.post("/faults", json=rule)
        assert response.status_code == 201, response.text

    async def send(self, key: str, **options: Any) -> httpx.Response:
        headers = {"Idempotency-Key": key}
        return await self.client.post("/providers/email", json=SEND, headers=headers, **options)

    async def mail(self, timeout: float = 10) -> None:
        await asyncio.to_thread(self._mail, timeout)

    def _mail(self, timeout: float) -> None:
        with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=timeout) as smtp:
            smtp.sendmail("rep@example.com", ["ada@example.com"], MAIL)

    async def accepted(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await self.client.get("/accepted")).json()["items"]
        return items

    async def hits(self) -> int:
        rules: list[dict[str, int]] = (await self.client.get("/faults")).json()["items"]
        return sum(rule["hits"] for rule in rules)


async def until(condition: Callable[[], Awaitable[Any]]) -> None:
    """Ask until the answer is true; fails after ten seconds."""
    async with asyncio.timeout(10):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.02)


def free_ports(number: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


async def start(port: int, smtp_port: int) -> asyncio.subprocess.Process:
    environ = {
        **os.environ,
        "LEADFLOW_SANDBOX_HOST": "127.0.0.1",
        "LEADFLOW_SANDBOX_PORT": str(port),
        "LEADFLOW_SMTP_SINK_PORT": str(smtp_port),
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox", env=environ, stderr=asyncio.subprocess.PIPE
    )


@asynccontextmanager
async def running() -> AsyncIterator[Sandbox]:
    port, smtp_port = free_ports(2)
    process = await start(port, smtp_port)
    assert process.stderr is not None
    try:
        async with asyncio.timeout(20):
            line = await process.stderr.readline()
        assert b"listening on" in line, line
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            yield Sandbox(process, client, smtp_port)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with running() as started:
        yield started


async def test_a_dropped_http_answer_is_a_closed_connection_and_one_acceptance(
    sandbox: Sandbox,
) -> None:
    await sandbox.add_fault(target="email", mode="drop_after_accept", times=2)
    for _ in range(2):
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await sandbox.send("k")
    answer = await sandbox.send("k")
    (entry,) = await sandbox.accepted()
    assert answer.json() == {"id": entry["id"], "key": "k"}
    assert answer.headers["idempotent-replayed"] == "true"
    assert entry["attempts"] == 3


async def test_a_dropped_crm_answer_leaves_the_write(sandbox: Sandbox) -> None:
    await sandbox.add_fault(target="crm", mode="drop_after_accept")
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await sandbox.client.put("/crm/contacts/lead-1", json={"stage": "new"})
    assert (await sandbox.client.get("/crm/contacts/lead-1")).json()["writes"] == 1


async def test_a_dropped_smtp_reply_leaves_the_mail_and_a_second_try_doubles_it(
    sandbox: Sandbox,
) -> None:
    await sandbox.add_fault(target="smtp", mode="drop_after_accept", times=1)
    with pytest.raises(smtplib.SMTPServerDisconnected):
        await sandbox.mail()
    await sandbox.mail()
    counts = (await sandbox.client.get("/accepted/counts")).json()
    assert (counts["by_channel"]["smtp"], counts["duplicate_acceptances"]) == (2, 1)


async def test_a_send_whose_peer_gave_up_during_the_stall_is_accepted_all_the_same(
    sandbox: Sandbox,
) -> None:
    await sandbox.add_fault(target="email", mode="stall", stall_seconds=0.5, times=1)
    with pytest.raises(httpx.ReadTimeout):
        await sandbox.send("k", timeout=0.2)
    await until(sandbox.accepted)
    assert (await sandbox.send("k")).headers["idempotent-replayed"] == "true"


async def test_a_mail_whose_peer_gave_up_during_the_stall_is_taken_all_the_same(
    sandbox: Sandbox,
) -> None:
    await sandbox.add_fault(target="smtp", mode="stall", stall_seconds=0.5, times=1)
    with pytest.raises((TimeoutError, smtplib.SMTPServerDisconnected)):
        await sandbox.mail(timeout=0.2)
    await until(sandbox.accepted)


async def test_sigterm_ends_the_process_at_once_in_the_middle_of_a_stall(sandbox: Sandbox) -> None:
    await sandbox.add_fault(target="email", mode="stall", stall_seconds=600)
    stalled = asyncio.create_task(sandbox.send("k", timeout=60))
    await until(sandbox.hits)
    sandbox.process.terminate()
    async with asyncio.timeout(5):
        assert await sandbox.process.wait() == 0
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await stalled


async def test_a_taken_port_is_said_in_one_sentence() -> None:
    (smtp_port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = await start(port, smtp_port)
        async with asyncio.timeout(20):
            _, errors = await process.communicate()
    assert process.returncode == 1
    (line,) = errors.decode().splitlines()
    assert f"127.0.0.1:{port}" in line
    assert "LEADFLOW_SANDBOX_PORT" in line
