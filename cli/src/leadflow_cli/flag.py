"""An event that a signal handler may set."""

from __future__ import annotations

import queue


class Flag:
    """Like threading.Event, set once and for all.

    `Event.set` takes a lock that the interrupted thread may hold; `SimpleQueue.put` is
    documented as reentrant.
    """

    def __init__(self) -> None:
        self._tokens: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._set = False

    def set(self) -> None:
        """Set the flag and wake everybody who waits."""
        self._set = True
        self._tokens.put(None)

    def is_set(self) -> bool:
        return self._set

    def wait(self, timeout_seconds: float) -> bool:
        """Wait until the flag is set or the time is over; returns whether it is set."""
        if self._set:
            return True
        try:
            self._tokens.get(timeout=timeout_seconds)
        except queue.Empty:
            return self._set
        self._tokens.put(None)  # for the next who waits
        return True
