"""The calendar against the transitions themselves, in every zone there is.

What is expected is worked out from the zone files (RFC 9636: data block and POSIX footer) as
sorted UTC intervals: for each stretch of constant offset, the windows of its local days that
lie in it. Nothing here asks zoneinfo, or the calendar, what time it is anywhere.
"""

from __future__ import annotations

import re
import struct
import zoneinfo
from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequencer.decide.calendar import Hours, next_open

DAY = 86_400
SEND = Hours(9 * 60, 10 * 60)
NIGHT = Hours(90, 3 * 60)
ZONES = sorted(zoneinfo.available_timezones())
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Stretch = tuple[int, int, int]


def second(year: int, month: int, day: int) -> int:
    return int(datetime(year, month, day, tzinfo=UTC).timestamp())


def instant(seconds: int) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def zone_file(zone: str) -> bytes:
    """The file that zoneinfo reads: the system's, else that of the tzdata package."""
    for folder in zoneinfo.TZPATH:
        if (path := Path(folder, zone)).is_file():
            return path.read_bytes()
    return resources.files("tzdata").joinpath("zoneinfo", *zone.split("/")).read_bytes()


def header(data: bytes, at: int) -> tuple[int, ...]:
    assert data[at : at + 4] == b"TZif"
    return struct.unpack(">6l", data[at + 20 : at + 44])


@cache
def transitions(zone: str) -> tuple[int, tuple[tuple[int, int], ...], str]:
    """The first offset, (UTC second, offset from it on) of the file, and its footer."""
    data = zone_file(zone)
    isut, isstd, leap, times, types, chars = header(data, 0)
    at = 44 + times * 5 + types * 6 + chars + leap * 8 + isstd + isut
    isut, isstd, leap, times, types, chars = header(data, at)
    at += 44
    instants = struct.unpack_from(f">{times}q", data, at)
    kinds = data[at + times * 8 : at + times * 9]
    at += times * 9
    offsets = [struct.unpack_from(">l", data, at + 6 * kind)[0] for kind in range(types)]
    at += types * 6 + chars + leap * 12 + isstd + isut
    changes = tuple((when, offsets[kind]) for when, kind in zip(instants, kinds, strict=True))
    return offsets[0], changes, data[at:].strip(b"\n").decode()


NAME = r"(?:[A-Za-z]+|<[^>]+>)"
TIME = r"[+-]?\d+(?::\d+){0,2}"
RULE = rf"M(\d+)\.(\d)\.(\d)(?:/({TIME}))?"
FOOTER = re.compile(rf"{NAME}({TIME})(?:{NAME}({TIME})?,{RULE},{RULE})?")


def seconds_of(text: str) -> int:
    hours, minutes, seconds = [*map(int, text.lstrip("+-").split(":")), 0, 0][:3]
    return (hours * 3600 + minutes * 60 + seconds) * (-1 if text.startswith("-") else 1)


def rule_day(year: int, month: int, week: int, weekday: int) -> int:
    """The wall second at which the week-th weekday (0 = Sunday) of the month begins; 5 = last."""
    days = [second(year, month, 1) // DAY + offset for offset in range(31)]
    fitting = [
        day for day in days if (day + 4) % 7 == weekday and instant(day * DAY).month == month
    ]
    return fitting[min(week, len(fitting)) - 1] * DAY


def footer_changes(footer: str, years: Sequence[int]) -> list[tuple[int, int]]:
    found = FOOTER.fullmatch(footer)
    assert found is not None, footer
    standard, daylight, *rules = found.groups()
    winter = -seconds_of(standard)
    if rules[0] is None:
        return []
    summer = -seconds_of(daylight) if daylight else winter + 3600
    changes = []
    for year in years:
        for rule, before, after in ((rules[:4], winter, summer), (rules[4:], summer, winter)):
            month, week, weekday = map(int, rule[:3])
            wall = rule_day(year, month, week, weekday) + seconds_of(rule[3] or "2:00")
            changes.append((wall - before, after))
    return sorted(changes)


def stretches(zone: str, begin: int, end: int) -> list[Stretch]:
    """(begins, ends, offset) from begin to end, in UTC seconds."""
    offset, listed, footer = transitions(zone)
    last = listed[-1][0] if listed else -(1 << 62)
    years = range(instant(begin).year - 1, instant(end).year + 2)
    found = []
    edge = begin
    for when, after in (*listed, *(c for c in footer_changes(footer, years) if c[0] > last)):
        if when >= end:
            break
        if when > edge:
            found.append((edge, when, offset))
            edge = when
        offset = after
    return [*found, (edge, end, offset)]


def intervals(zone: str, hours: Hours, begin: int, end: int) -> list[tuple[int, int]]:
    """When `hours` of every day are open, sorted, those that touch joined."""
    start, stop = hours.start * 60, hours.end * 60
    assert start < stop
    found: list[tuple[int, int]] = []
    for begins, ends, offset in stretches(zone, begin, end):
        for day in range((begins + offset) // DAY, (ends + offset) // DAY + 1):
            opens = max(begins, day * DAY + start - offset)
            shuts = min(ends, day * DAY + stop - offset)
            if opens >= shuts:
                continue
            if found and found[-1][1] == opens:
                opens = found.pop()[0]
            found.append((opens, shuts))
    return found


@pytest.mark.parametrize("hours", [SEND, NIGHT], ids=["send window", "night window"])
def test_every_zone_opens_and_closes_where_its_file_says_all_year(hours: Hours) -> None:
    begin, end = second(2026, 1, 1), second(2027, 1, 1)
    assert len(ZONES) > 400
    for zone in ZONES:
        # A day of room on either side, so that no interval is cut where it is looked at.
        expected = intervals(zone, hours, begin - 2 * DAY, end + 7 * DAY)
        starts = [opens for opens, _ in expected]
        changes = [ends for _, ends, _ in stretches(zone, begin, end)][:-1]
        # 53 hours and some, so that the points wander over the whole day and the week.
        points = [*range(begin, end, 53 * 3600 + 1234)]
        points += [c + d for c in changes for d in (-DAY, -7200, -3600, -1, 0, 1, 1800, 3600, DAY)]
        for point in points:
            place = bisect_right(starts, point) - 1
            opens, shuts = expected[place]
            if point >= shuts:
                opens, shuts = expected[place + 1]
            at = instant(point)
            due = max(at, instant(opens))
            assert next_open(at, zone, [hours]) == due, (zone, at)
            last = instant(shuts) - timedelta(microseconds=1)
            assert next_open(last, zone, [hours]) == last, (zone, last)
            assert next_open(instant(shuts), zone, [hours]) != instant(shuts), (zone, last)


def test_no_offset_was_ever_so_short_that_the_calendar_could_overlook_it() -> None:
    for zone in ZONES:
        kept = [when for begins, when, _ in stretches(zone, second(1800, 1, 1), second(2040, 1, 1))]
        assert all(later - earlier >= DAY // 4 for earlier, later in pairwise(kept)), zone


MINUTES = st.integers(0, 1439)
WINDOWS = st.builds(
    lambda start, length, days: Hours(start, (start + length) % 1440 or 1440, days),
    MINUTES,
    st.integers(1, 1439),
    st.frozensets(st.integers(0, 6), min_size=1),
).filter(lambda hours: hours.start != hours.end)
INSTANTS = st.datetimes(datetime(1850, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def is_open(at: datetime, zone: str, hours: Hours) -> bool:
    """Read off the wall, as a person would."""
    wall = at.astimezone(ZoneInfo(zone))
    minute = wall.hour * 60 + wall.minute
    if hours.start < hours.end:
        return wall.weekday() in hours.days and hours.start <= minute < hours.end
    yesterday = (wall.weekday() - 1) % 7
    return (wall.weekday() in hours.days and minute >= hours.start) or (
        yesterday in hours.days and minute < hours.end
    )


@given(
    at=INSTANTS,
    zone=st.sampled_from(ZONES),
    hours=st.lists(WINDOWS, min_size=1, max_size=3),
    samples=st.lists(st.floats(0, 1, exclude_max=True), max_size=40),
)
def test_what_opens_is_open_and_nothing_before_it_is(
    at: datetime, zone: str, hours: list[Hours], samples: list[float]
) -> None:
    opens = next_open(at, zone, hours)
    until = at + timedelta(days=400) if opens is None else opens
    assert until >= at
    if opens is not None:
        assert all(is_open(opens, zone, one) for one in hours)
    before = [at + (until - at) * sample for sample in samples]
    before += [until - timedelta(microseconds=1)]
    for moment in before:
        if at <= moment < until:
            assert not all(is_open(moment, zone, one) for one in hours)


@given(at=INSTANTS, zone=st.sampled_from(ZONES), hours=st.lists(WINDOWS, min_size=1, max_size=3))
def test_an_instant_is_kept_exactly_if_it_is_open(
    at: datetime, zone: str, hours: list[Hours]
) -> None:
    assert (next_open(at, zone, hours) == at) is all(is_open(at, zone, one) for one in hours)
