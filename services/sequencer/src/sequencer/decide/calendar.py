"""When local time allows something: windows, days, business days; and how to share out.

Pure: instants are handed in. A zone is a row of stretches of constant UTC offset. Within one,
wall time runs evenly, so an opening is found by arithmetic on wall seconds (local seconds since
1970-01-01T00:00 on the wall); where one ends, the wall is read anew. That gives daylight saving
the meaning a person expects: a skipped hour is never there, a repeated hour is there twice.

Source of the rules: product page, "Sequencer", Time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from hashlib import blake2b
from zoneinfo import ZoneInfo

from holidays import country_holidays

HORIZON = timedelta(days=400)
"""How far ahead an opening is looked for."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_EPOCH_WEEKDAY = date(1970, 1, 1).weekday()
_SECOND = timedelta(seconds=1)
_DAY = 86_400
_HORIZON_SECONDS = HORIZON // _SECOND
_NEVER = 1 << 60
# Offsets that last shorter than this could be overlooked; no zone ever had one (a test looks).
_PROBE = _DAY // 4

_HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-(?:([01][0-9]|2[0-3]):([0-5][0-9])|24:00)")
_CODE = re.compile(r"([A-Z]{2})(?:-(.+))?")
_WEEK = frozenset(range(7))


@dataclass(frozen=True, slots=True)
class Hours:
    """A daily window of local wall time.

    `start` and `end` are minutes of the local day, `end` exclusive (1440 allowed); `start` >
    `end` goes over midnight, and the part after midnight belongs to the day it began on.
    `days` are the weekdays it begins on, 0 = Monday. `holidays` is a calendar code ("US",
    "US-TX") whose public holidays are closed days; "" for none.

    Raises ValueError for minutes or days out of range, an empty window, or an unknown code.
    """

    start: int
    end: int
    days: frozenset[int] = _WEEK
    holidays: str = ""

    def __post_init__(self) -> None:
        if not (0 <= self.start < 1440 and 0 <= self.end <= 1440 and self.start != self.end):
            raise ValueError(f"hours need 0 <= start < 1440, another end: {self.start}-{self.end}")
        if not self.days <= _WEEK:
            raise ValueError(f"days are 0 (Monday) to 6 (Sunday), not {sorted(self.days)}")
        if self.holidays:
            _closed_days(self.holidays, 1970)


def parse_hours(text: str) -> Hours:
    """Read "08:00-21:00", "22:00-06:00" (over midnight) or "00:00-24:00" (always).

    Raises ValueError for anything else, an empty window included.
    """
    found = _HOURS.fullmatch(text)
    if found is None:
        raise ValueError(f"hours look like 08:00-21:00, not {text!r}")
    from_hour, from_minute, to_hour, to_minute = found.groups()
    end = 1440 if to_hour is None else int(to_hour) * 60 + int(to_minute)
    return Hours(int(from_hour) * 60 + int(from_minute), end)


def next_open(at: datetime, zone: str, hours: Sequence[Hours]) -> datetime | None:
    """The first instant from `at` on at which all `hours` are open on the wall of `zone`.

    `at` itself, microseconds included, if all are open then or there are none; else a whole
    second in UTC. None if nothing opens within HORIZON. An unknown or empty zone is UTC.
    """
    if not hours:
        return at
    now = _seconds(at)
    for begins, ends, offset in _stretches(_zone(zone), now):
        if begins - now > _HORIZON_SECONDS:
            break
        opens = _all_open(max(begins, now) + offset, ends + offset, hours) - offset
        if opens < ends:
            if opens == now:
                return at
            found = _instant(opens)
            return found if found - at <= HORIZON else None
    return None


def local_day(at: datetime, zone: str) -> date:
    """The day on the wall of `zone`."""
    return at.astimezone(_zone(zone)).date()


def on_day(day: date, zone: str, hour: int) -> datetime:
    """The full hour of a local day, in UTC; as in `add_days` where the wall skips or repeats it."""
    wall = (day.toordinal() - _EPOCH_ORDINAL) * _DAY + hour * 3600
    return _first_at(_zone(zone), wall)


def add_days(at: datetime, zone: str, days: int) -> datetime:
    """The same local wall time, to the microsecond, `days` calendar days later, in UTC.

    A wall time that daylight saving skips is the first instant after the gap, a repeated one
    its first occurrence. Zero days later is `at` itself.
    """
    if days == 0:
        return at
    local = _zone(zone)
    now = _seconds(at)
    wall = now + _offset(local, now) + days * _DAY
    return _first_at(local, wall, at.microsecond)


def add_business_days(at: datetime, zone: str, days: int, holidays: str) -> datetime:
    """The same local wall time, as in `add_days`, after so many business days.

    Those are the local days after that of `at` that are no Saturday, Sunday or holiday of the
    calendar code `holidays` ("" for none). No days, or fewer, later is `at` itself.
    Raises ValueError for an unknown code.
    """
    now = _seconds(at)
    today = (now + _offset(_zone(zone), now)) // _DAY
    day = today
    for _ in range(days):
        day += 1
        while _weekday(day) >= 5 or _is_holiday(day, holidays):
            day += 1
    return add_days(at, zone, day - today)


def spread(minutes: int, *ids: str) -> timedelta:
    """Whole seconds from 0 to below `minutes`, the same for the same ids; 0 without minutes."""
    if minutes <= 0:
        return timedelta(0)
    return timedelta(seconds=_number(b"spread", ids) % (minutes * 60))


def pick(weights: Sequence[int], *ids: str) -> int:
    """The index of an arm, the same for the same ids, in proportion to the weights.

    A weight below 0 counts 0; without any weight it is the first arm.
    """
    counted = [max(weight, 0) for weight in weights]
    total = sum(counted)
    if total == 0:
        return 0
    drawn = _number(b"pick", ids) % total
    for arm, weight in enumerate(counted):
        drawn -= weight
        if drawn < 0:
            return arm
    raise AssertionError("drawn is below the total")


def _first_at(zone: ZoneInfo, wall: int, microsecond: int = 0) -> datetime:
    """The first instant at which the wall shows a second, or has skipped it."""
    # No offset reaches 24 hours: a day before, the wall had not come to that time.
    for begins, ends, offset in _stretches(zone, wall - _DAY):
        if wall < ends + offset:
            if wall < begins + offset:
                return _instant(begins)
            return _instant(wall - offset) + timedelta(microseconds=microsecond)
    raise AssertionError("stretches do not end")


def _all_open(wall: int, limit: int, hours: Sequence[Hours]) -> int:
    """The first wall second from `wall` on at which all are open, or any from `limit` on."""
    while True:
        before = wall
        for one in hours:
            wall = _opens(wall, one)
        if wall == before or wall >= limit:
            return wall


def _opens(wall: int, hours: Hours) -> int:
    """The first wall second from `wall` on at which `hours` are open, or _NEVER."""
    day, second = divmod(wall, _DAY)
    start, end = hours.start * 60, hours.end * 60
    if start > end and second < end and _is_on(day - 1, hours):
        return wall
    if second < (end if start < end else _DAY) and _is_on(day, hours):
        return max(wall, day * _DAY + start)
    for later in range(day + 1, day + HORIZON.days + 2):
        if _is_on(later, hours):
            return later * _DAY + start
    return _NEVER


def _is_on(day: int, hours: Hours) -> bool:
    return _weekday(day) in hours.days and not _is_holiday(day, hours.holidays)


def _weekday(day: int) -> int:
    return (day + _EPOCH_WEEKDAY) % 7


def _is_holiday(day: int, code: str) -> bool:
    return bool(code) and day in _closed_days(code, date.fromordinal(day + _EPOCH_ORDINAL).year)


@cache
def _closed_days(code: str, year: int) -> frozenset[int]:
    """The holidays of a year, as days since 1970-01-01."""
    found = _CODE.fullmatch(code)
    unknown = f"no holiday calendar {code!r}: give one like US or US-TX"
    if found is None:
        raise ValueError(unknown)
    try:
        kept = country_holidays(found[1], found[2], years=year)
    except NotImplementedError as error:  # the package's word for a country it does not have
        raise ValueError(unknown) from error
    return frozenset(day.toordinal() - _EPOCH_ORDINAL for day in kept)


# Bounded, as a zone is whatever a lead's record says.
@lru_cache(maxsize=2048)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, malformed, a folder
        return ZoneInfo("UTC")


def _stretches(zone: ZoneInfo, second: int) -> Iterator[tuple[int, int, int]]:
    """(begins, ends, offset) in UTC seconds, without end, from the one with `second` in it on."""
    year = _instant(second).year
    while True:
        for stretch in _year_of_stretches(zone, year):
            if stretch[1] > second:
                yield stretch
        year += 1


@lru_cache(maxsize=4096)
def _year_of_stretches(zone: ZoneInfo, year: int) -> tuple[tuple[int, int, int], ...]:
    first = _seconds(datetime(year, 1, 1, tzinfo=UTC))
    after = _seconds(datetime(year + 1, 1, 1, tzinfo=UTC))
    found = []
    begins, known, offset = first, first, _offset(zone, first)
    for probe in (*range(first + _PROBE, after, _PROBE), after - 1):
        if (changed := _offset(zone, probe)) != offset:
            low, high = known, probe
            while high - low > 1:
                middle = (low + high) // 2
                if _offset(zone, middle) == offset:
                    low = middle
                else:
                    high = middle
            found.append((begins, high, offset))
            begins, offset = high, changed
        known = probe
    found.append((begins, after, offset))
    return tuple(found)


def _offset(zone: ZoneInfo, second: int) -> int:
    offset = datetime.fromtimestamp(second, zone).utcoffset()
    assert offset is not None
    return offset // _SECOND


def _seconds(at: datetime) -> int:
    return (at - _EPOCH) // _SECOND


def _instant(second: int) -> datetime:
    return _EPOCH + timedelta(seconds=second)


def _number(use: bytes, ids: Sequence[str]) -> int:
    """A number from the ids. Another for each use: an arm must not have its own time of day."""
    mixed = blake2b(digest_size=8, person=use)
    for one in ids:
        text = one.encode()
        # With its length, so that ("ab", "c") is not ("a", "bc").
        mixed.update(len(text).to_bytes(8, "big") + text)
    return int.from_bytes(mixed.digest(), "big")
