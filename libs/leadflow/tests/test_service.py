"""The frame around a service, without its process."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from leadflow import service
from leadflow.errors import DatabaseDown, DatabaseError, PublicReason
from leadflow.health import Health

DOWN = "the database crm_sync at db:5432/leadflow: Connection refused"


class Main:
    """Finds its database the third time."""

    def __init__(self, health: Health, stop: asyncio.Event, *, stopped: bool = False) -> None:
        self._health, self._stop, self._stopped = health, stop, stopped
        self.times = 0

    async def __call__(self) -> None:
        self.times += 1
        if self._stopped:
            self._stop.set()
        if self.times < 3:
            raise DatabaseDown(DOWN)


@pytest.fixture
def health() -> Health:
    return Health()


async def test_a_database_that_is_down_is_waited_for_and_said_in_a_line(
    health: Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "FIRST_WAIT_SECONDS", 0.001)
    with structlog.testing.capture_logs() as lines:
        monkeypatch.setattr(service, "log", structlog.get_logger())
        stop = asyncio.Event()
        await service.begun(Main(health, stop), health, stop)
    event = "will look for the database again"
    assert lines == [
        {"event": event, "log_level": "warning", "reason": DOWN, "seconds": 0.001},
        {"event": event, "log_level": "warning", "reason": DOWN, "seconds": 0.002},
    ]
    assert all(isinstance(line["reason"], PublicReason) for line in lines), "it can be read"
    assert health.waiting() == {}


async def test_who_waits_for_a_database_can_be_stopped(health: Health) -> None:
    stop = asyncio.Event()
    main = Main(health, stop, stopped=True)
    await service.begun(main, health, stop)
    assert main.times == 1
    assert health.waiting() == {}


async def test_while_it_waits_a_service_is_not_ready_and_says_why() -> None:
    stop, waits = asyncio.Event(), asyncio.Event()

    class Told(Health):
        def not_ready(self, part: str, reason: str) -> None:
            super().not_ready(part, reason)
            waits.set()

    health = Told()
    task = asyncio.create_task(service.begun(Main(health, stop), health, stop))
    await asyncio.wait_for(waits.wait(), 5)
    assert health.waiting() == {"database": DOWN}
    stop.set()
    await task


async def test_what_no_waiting_mends_ends_the_service(health: Health) -> None:
    async def main() -> None:
        raise DatabaseError("permission denied")

    with pytest.raises(DatabaseError):
        await service.begun(main, health, asyncio.Event())
