"""Dates and times as people give them to a command."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from leadflow_cli.errors import CliError

# Decisions look months ahead, and no computer's calendar goes on after the year 9999.
TOO_FAR = datetime(9000, 1, 1, tzinfo=UTC)


def moment_of(text: str, option: str, *, end: bool = False) -> datetime:
    """2026-11-20 is the begin of that day in UTC, or with `end` the end of it; a time says its
    offset: 2026-11-20T09:00:00Z. Raises CliError, naming the option, for anything else and for
    what lies too far ahead."""
    try:
        if len(text) == len("2026-11-20"):
            at = datetime.combine(date.fromisoformat(text), time(), UTC)
        else:
            at, end = datetime.fromisoformat(text), False
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise CliError(f"{option} {text}: give a day, 2026-11-20, or a time, 2026-11-20T09:00:00Z")
    if at >= TOO_FAR:
        raise CliError(f"{option} {text} lies too far ahead: give one before the year 9000")
    return at.astimezone(UTC) + timedelta(days=end)
