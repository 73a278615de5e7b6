"""Times as they are on the wall where a lead is."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo:
    """The zone; UTC for a name that is none, as the sequencer takes it."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")


def both(at: datetime, zone: str) -> str:
    """`2026-11-20 00:07:30 MST (07:07:30 UTC)`; the day of UTC stands there where it is another."""
    local, there = at.astimezone(zone_of(zone)), at.astimezone(UTC)
    shown = f"{local:%Y-%m-%d %H:%M:%S} {local.tzname()}"
    if local.utcoffset() == there.utcoffset():
        return shown
    day = "" if local.date() == there.date() else f"{there:%Y-%m-%d} "
    return f"{shown} ({day}{there:%H:%M:%S} UTC)"
