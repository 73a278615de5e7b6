"""How long the partitions are surely ours, and a process that is dead when that is over.

The group takes a member's partitions away when it has not heard of it for the session timeout.
A process that was frozen meanwhile (SIGSTOP, a container's pause, a suspended machine) knows
nothing of it when it goes on: whatever its threads were about to send goes out before any code
of ours could look at a clock. So it must not go on. A timer of the kernel is set to SIGKILL this
process a little before the group could give its partitions away; every answer to a heartbeat
puts it off. It goes off while the process is stopped, too (docs/adr/0015).
"""

from __future__ import annotations

import ctypes
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest

TIMER_ABSTIME = 1
REBALANCE_IN_PROGRESS = 27


class Switch(Protocol):
    """Ends the process at a set time, whatever the process does."""

    def now(self) -> float:
        """Seconds of the clock that `set` means."""

    def set(self, at: float) -> None:
        """End the process at `at`; at once if that is over."""

    def clear(self) -> None:
        """Do not end it."""


class Lease:
    """What the group has confirmed, in time. For several threads."""

    def __init__(
        self, seconds: float, switch: Switch, end: Callable[[str], None] | None = None
    ) -> None:
        """`seconds` after the sending of a request that the group answered, this process is
        ended while it holds partitions: less than the session timeout. `end` says why and ends
        it now."""
        self._seconds = seconds
        self._switch = switch
        self._end = end or end_now
        self._lock = threading.Lock()
        self._confirmed = -math.inf
        self._held = False
        self._followed: Any = None

    def follow(self, coordinator: Any) -> None:
        """Learn from the answers that this group coordinator of aiokafka gets."""
        if coordinator is self._followed:
            return
        self._followed = coordinator
        send, reset = coordinator._send_req, coordinator.reset_generation

        async def send_and_note(request: Any) -> Any:
            asked_at = self._switch.now()
            answer = await send(request)
            if is_confirmation(request, answer):
                self.confirmed(asked_at)
            return answer

        def reset_and_end() -> None:
            self.lost()
            reset()

        coordinator._send_req = send_and_note
        coordinator.reset_generation = reset_and_end

    def confirmed(self, asked_at: float) -> None:
        """The group counts its session anew from some moment after `asked_at`."""
        with self._lock:
            self._confirmed = max(self._confirmed, asked_at)
            if self._held:
                self._switch.set(self._confirmed + self._seconds)

    def hold(self) -> None:
        """From now on there is something that only the owner of the partitions may write."""
        with self._lock:
            self._held = True
            self._switch.set(self._confirmed + self._seconds)

    def let_go(self) -> None:
        """Nothing of that kind is under way any more."""
        with self._lock:
            self._held = False
            self._switch.clear()

    def lost(self) -> None:
        """The group knows this member no more. Whoever still holds partitions ends at once."""
        if self._held:
            self._end("the group gave the partitions away: ending")

    def left(self) -> float:
        """Seconds until the end; infinite while nothing is held."""
        with self._lock:
            return self._confirmed + self._seconds - self._switch.now() if self._held else math.inf


def is_confirmation(request: Any, answer: Any) -> bool:
    """Whether this answer says that the group has begun this member's session anew. It does so
    too when it only asks the member to join again."""
    if isinstance(request, HeartbeatRequest):
        return answer.error_code in (0, REBALANCE_IN_PROGRESS)
    return isinstance(request, SyncGroupRequest) and answer.error_code == 0


def end_now(reason: str) -> None:
    print(reason, file=sys.stderr, flush=True)  # noqa: T201
    os._exit(1)


class _Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class _Itimerspec(ctypes.Structure):
    _fields_ = [("interval", _Timespec), ("value", _Timespec)]


class _Sigevent(ctypes.Structure):
    _fields_ = [
        ("value", ctypes.c_void_p),
        ("signo", ctypes.c_int),
        ("notify", ctypes.c_int),  # 0: SIGEV_SIGNAL
        ("rest", ctypes.c_int * 12),
    ]


class KernelTimer:
    """A POSIX timer of Linux that sends SIGKILL. Its clock goes on while the machine sleeps."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._timer = ctypes.c_void_p()
        event = _Sigevent(None, signal.SIGKILL, 0)
        self._call("timer_create", CLOCK, ctypes.byref(event), ctypes.byref(self._timer))

    def now(self) -> float:
        return time.clock_gettime(CLOCK)

    def set(self, at: float) -> None:
        # A time of 0 would clear it.
        seconds, rest = divmod(max(at, 1e-9), 1.0)
        value = _Timespec(int(seconds), max(1, int(rest * 1e9)))
        self._settime(value)

    def clear(self) -> None:
        self._settime(_Timespec(0, 0))

    def _settime(self, value: _Timespec) -> None:
        timer = _Itimerspec(_Timespec(0, 0), value)
        self._call("timer_settime", self._timer, TIMER_ABSTIME, ctypes.byref(timer), None)

    def _call(self, name: str, *arguments: Any) -> None:
        if getattr(self._libc, name)(*arguments) != 0:
            raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


class Alarm:
    """What other systems have: SIGALRM, which ends the process when it goes on."""

    def now(self) -> float:
        return time.monotonic()

    def set(self, at: float) -> None:
        signal.setitimer(signal.ITIMER_REAL, max(1e-6, at - self.now()))

    def clear(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)


if sys.platform == "linux":
    CLOCK = time.CLOCK_BOOTTIME
else:
    CLOCK = time.CLOCK_MONOTONIC


def make_switch() -> Switch:
    return KernelTimer() if sys.platform == "linux" else Alarm()
