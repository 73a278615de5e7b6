"""Send windows and quiet hours, read off the wall clock day by day."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from leadflow.records import SequencePublished
from leadflow.records.common import SendWindow

CALLS = SendWindow(start="08:00", end="21:00", days=(), holidays=True)
"""When people may be called (product.md, "Sequencer")."""
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def windows(sequence: SequencePublished, channel: str) -> list[SendWindow]:
    """All that have to be open for a step of this channel."""
    if channel == "task":
        return []
    found = [CALLS] if channel == "call" else []
    return found if sequence.window is None else [*found, sequence.window]


def is_open(wanted: list[SendWindow], zone: str, at: datetime) -> bool:
    local = at.astimezone(ZoneInfo(zone))
    return all(_contains(window, local) for window in wanted)


def opens(wanted: list[SendWindow], zone: str, at: datetime) -> datetime:
    """The first time from `at` on when all are open: it is `at`, or when one of them begins."""
    if is_open(wanted, zone, at):
        return at
    today = at.astimezone(ZoneInfo(zone)).date()
    begins = [
        _instant(today + timedelta(days=ahead), window.start, zone)
        for ahead in range(9)
        for window in wanted
    ]
    return min(each for each in begins if each > at and is_open(wanted, zone, each))


def _contains(window: SendWindow, local: datetime) -> bool:
    now = local.strftime("%H:%M")
    if window.start < window.end:
        return window.start <= now < window.end and _on(window, local.date())
    if now >= window.start:
        return _on(window, local.date())
    return now < window.end and _on(window, local.date() - timedelta(days=1))


def _on(window: SendWindow, day: date) -> bool:
    return not window.days or DAYS[day.weekday()] in window.days


def _instant(day: date, clock: str, zone: str) -> datetime:
    wall = datetime.combine(day, time.fromisoformat(clock), ZoneInfo(zone))
    return wall.astimezone(UTC)
