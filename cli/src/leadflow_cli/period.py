"""Dates and times as people give them to a command."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from leadflow_cli.errors import CliError


def moment_of(text: str, option: str, *, end: bool = False) -> datetime:
    """2026-11-20 is the begin of that day in UTC, or with `end` the end of it; a time says its
    offset: 2026-11-20T09:00:00Z. Raises CliError, naming the option, for anything else."""
    try:
        if len(text) == len("2026-11-20"):
            day = date.fromisoformat(text) + timedelta(days=end)
            return datetime.combine(day, time(), UTC)
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        at = None
    if at is None or at.tzinfo is None:
        raise CliError(f"{option} {text}: give a day, 2026-11-20, or a time, 2026-11-20T09:00:00Z")
    return at.astimezone(UTC)
