"""The health endpoint over a real socket, and the watchdog in a real process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from leadflow.health import STALLED_EXIT_CODE, Health, HealthServer

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

STALLS = """
import threading
from leadflow.health import Health, start_watchdog
health = Health()
health.progress("lead-events")
start_watchdog(health, 0.2)
threading.Event().wait(30)
"""


@pytest.fixture
def health() -> Health:
    return Health(("kafka",))


@pytest.fixture
def url(health: Health) -> Iterator[str]:
    server = HealthServer(health, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.port}"
    server.close()


def test_readiness_follows_the_parts(url: str, health: Health) -> None:
    assert httpx.get(f"{url}/readyz").status_code == 503
    health.ready("kafka")
    answer = httpx.get(f"{url}/readyz?from=probe")
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    assert httpx.get(f"{url}/metrics").status_code == 200
    assert httpx.get(f"{url}/etc").status_code == 404


async def test_a_blocked_event_loop_can_still_be_seen(url: str) -> None:
    # The probe runs in another process; this loop does not turn until it has ended.
    probe = [sys.executable, "-m", "leadflow.probe", f"{url}/healthz"]
    assert asyncio.get_running_loop().is_running()
    done = subprocess.run(probe, timeout=10, check=False)  # noqa: ASYNC221
    assert done.returncode == 0


def test_a_probe_of_a_port_without_a_server_fails() -> None:
    server = HealthServer(Health(), "127.0.0.1", 0)
    server.close()
    probe = [sys.executable, "-m", "leadflow.probe", f"http://127.0.0.1:{server.port}/healthz"]
    assert subprocess.run(probe, timeout=10, check=False).returncode == 1


def test_a_process_that_stands_still_is_ended() -> None:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", STALLS], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == STALLED_EXIT_CODE
    assert done.stderr == "lead-events made no progress for 0 s: ending\n"
    assert time.monotonic() - began < 25
