"""Time as something that is handed in. Only main.py of a service makes a SystemClock."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time, elapsed time and waiting, in one place that a test can hold still."""

    def now(self) -> datetime:
        """The wall time, aware, UTC."""

    def monotonic(self) -> float:
        """Seconds that never go backwards; only differences mean something."""

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
