"""Quiet hours at the moment of sending: whether a person may be disturbed now, and from when on.

A message that was held, retried or slowed down may come up at night. Sources: 47 CFR
64.1200(c)(1), no telephone solicitation before 8 a.m. or after 9 p.m. "local time at the called
party's location"; product.md, "Sequencer", Time. Pure. The sequencer plans by rules of its own
(its `calendar`), to which a test holds these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from leadflow.tenants import SEND_HOURS, Tenant

_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
# A wall may skip a whole day (Samoa, 2011-12-30), so the opening after next is looked for too.
_DAYS_AHEAD = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """Outside `hours` ("08:00-21:00") on the wall of `zone`, until the instant `until`, UTC."""

    zone: str
    hours: str
    until: datetime
    seconds: float


def closed_for(
    tenant: Tenant | None, channel: str, timezone: str | None, at: datetime
) -> Closed | None:
    """None if a person may be written to at `at` over a channel.

    The hours are the tenant's, the defaults where nothing is set; the zone is the lead's, where
    that is unknown the tenant's, else UTC: as the sequencer plans.
    """
    hours = (SEND_HOURS if tenant is None else tenant.send_hours).get(channel)
    if hours is None:
        return None
    return closed(at, timezone or (tenant.timezone if tenant else "") or "UTC", hours)


def closed(at: datetime, zone: str, hours: str) -> Closed | None:
    """None if `hours` are open at `at` on the wall of `zone`.

    `hours` is "HH:MM-HH:MM", the end exclusive, "24:00" allowed, over midnight where it begins
    later than it ends. An unknown zone is UTC.
    """
    begins, ends = _minutes(hours)
    local = _zone(zone)
    if _open(at, local, begins, ends):
        return None
    until = min(each for each in _openings(at, local, begins) if _open(each, local, begins, ends))
    return Closed(zone=zone, hours=hours, until=until, seconds=(until - at).total_seconds())


def _open(at: datetime, zone: ZoneInfo, begins: int, ends: int) -> bool:
    wall = at.astimezone(zone)
    minute = wall.hour * 60 + wall.minute
    return begins <= minute < ends if begins < ends else minute >= begins or minute < ends


def _openings(at: datetime, zone: ZoneInfo, begins: int) -> Iterator[datetime]:
    """Instants after `at` at which the wall shows `begins`, or has skipped it.

    A repeated hour opens twice; where the hour is skipped, the wall opens as the gap ends.
    """
    midnight = at.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    for day in range(-1, _DAYS_AHEAD):
        wall = midnight.replace(tzinfo=None) + day * _DAY + begins * _MINUTE
        for fold in (0, 1):
            instant = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
            if instant.astimezone(zone).replace(tzinfo=None) != wall:
                instant = _end_of_gap(instant, zone)
            if instant > at:
                yield instant
    # What changes the offset can open the hours too: the wall jumps into them, or back.
    yield from _jumps(at, zone)


def _jumps(at: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    probe = at.replace(minute=0, second=0, microsecond=0)
    for hour in range(1, 25 * _DAYS_AHEAD):
        later = probe + timedelta(hours=hour)
        if (
            later.astimezone(zone).utcoffset()
            != (probe + timedelta(hours=hour - 1)).astimezone(zone).utcoffset()
        ):
            jump = _end_of_gap(later, zone)
            if jump > at:
                yield jump


def _end_of_gap(after: datetime, zone: ZoneInfo) -> datetime:
    """The instant, within a day before `after`, from which on the wall's offset is that of
    `after`."""
    offset = after.astimezone(zone).utcoffset()
    low, high = after - _DAY, after
    while high - low > timedelta(seconds=1):
        middle = (low + (high - low) / 2).replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == offset:
            high = middle
        else:
            low = middle
    return high


@lru_cache(maxsize=256)
def _minutes(hours: str) -> tuple[int, int]:
    first, _, last = hours.partition("-")
    begins, ends = (int(each[:2]) * 60 + int(each[3:]) for each in (first, last))
    return begins, ends


# Bounded, as a zone is whatever a lead's record says.
@lru_cache(maxsize=2048)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, malformed, a folder
        return ZoneInfo("UTC")
