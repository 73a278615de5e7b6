"""When a loop goes round again: at once when something came, else after a while."""

from __future__ import annotations

import asyncio


class Wakeup:
    """Wakes waiting loops before their time."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """Wake everybody who waits on a ticket taken before now."""
        self._event.set()
        self._event = asyncio.Event()

    def ticket(self) -> asyncio.Event:
        """Taken before looking for work, so that what comes during the look is not missed."""
        return self._event

    async def wait(self, ticket: asyncio.Event, seconds: float) -> None:
        """Return when woken since the ticket was taken, or after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await ticket.wait()
        except TimeoutError:
            return


def backoff(failures: int) -> float:
    """Seconds to wait after that many failures in a row, 1 or more."""
    return float(min(0.2 * 2 ** min(failures - 1, 10), 15.0))
