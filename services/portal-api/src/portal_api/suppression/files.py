"""Suppression lists as CSV, in and out. Pure.

RFC 4180, and what spreadsheets make of it: a byte order mark, semicolons or tabs.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

from portal_api.suppression.rules import NotListable, Place, places, reason_of

LARGEST_BYTES = 5_000_000
LARGEST_ROWS = 50_000
LONGEST_NOTE = 500
COLUMNS = ("channel", "address", "reason", "time", "source", "by", "note", "state")
# Each such column is read: a line may have an e-mail address and a number.
_ADDRESSES = (
    "address", "email", "email_address", "e-mail", "e_mail", "phone", "number", "phone_number",
    "mobile", "mobile_phone", "mobile_number",
)  # fmt: skip
_NAMES = {
    "channel": ("channel",),
    "reason": ("reason", "status", "type"),
    "note": ("note", "notes", "comment"),
    "time": ("time", "at", "date", "created_at", "unsubscribed_at", "timestamp"),
    "state": ("state",),
}
# Of an export; an import has its own.
_LEFT_ALONE = frozenset({"source", "by"})
# So like a name that we know, it is that name misspelt.
_MISSPELT = 0.85
# What `_harmless` puts an apostrophe before; a spreadsheet does the same.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


class NoList(Exception):
    """The file as a whole cannot be read; says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a list, ready to be entered. `at` None: the time of the import."""

    line: int
    place: Place
    reason: str
    note: str
    at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A line that cannot be entered: its number, its address as given, and why."""

    line: int
    address: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What a file holds: how many lines, what can be entered, what not; and the columns that say
    nothing to us."""

    lines: int
    rows: tuple[Row, ...]
    refused: tuple[Refused, ...]
    ignored: tuple[str, ...] = ()


def read(data: bytes, *, region: str, now: datetime, channel: str = "", reason: str = "") -> Listed:
    """The rows of a CSV file. `channel` and `reason` are of those that name none.

    The first line names the columns: one or more for addresses, and channel, reason, note, time
    where the file has them. Raises NoList for what is no such file, or too large.
    """
    if len(data) > LARGEST_BYTES:
        raise NoList(f"a file has at most {LARGEST_BYTES // 1_000_000} MB: split it")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise NoList("the file is not UTF-8: save it as CSV UTF-8") from None
    if "\x00" in text:
        raise NoList("the file is no text: save it as CSV")
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[Row] = []
    refused: list[Refused] = []
    lines = 0
    try:
        names = ["_".join(each.strip().lower().split()) for each in next(reader, [])]
        columns, holding = _columns(names)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            lines += 1
            if lines > LARGEST_ROWS:
                raise NoList(f"a file has at most {LARGEST_ROWS} lines: split it")
            given = {name: _bare(cells, at) for name, at in columns.items()}
            addresses = [each for at in holding if (each := _bare(cells, at))]
            longer = any(cell.strip() for cell in cells[len(names) :])
            for address in addresses or [""]:
                try:
                    if longer:
                        raise NotListable("the line has more cells than the first line has names")
                    rows += _rows(
                        reader.line_num, address, given, region, now, channel=channel, reason=reason
                    )
                except NotListable as error:
                    refused.append(
                        Refused(line=reader.line_num, address=address[:254], why=str(error))
                    )
    except csv.Error as error:
        raise NoList(f"line {reader.line_num} is no CSV: {error}") from None
    taken = {*columns.values(), *holding}
    ignored = tuple(
        name[:120]
        for at, name in enumerate(names)
        if at not in taken and name and name not in _LEFT_ALONE
    )
    return Listed(lines=lines, rows=_each_once(rows), refused=tuple(refused), ignored=ignored)


def _columns(names: Sequence[str]) -> tuple[dict[str, int], list[int]]:
    """Where each column is, and where addresses are. Raises NoList."""
    found = {
        name: names.index(alias)
        for name, aliases in _NAMES.items()
        for alias in reversed(aliases)
        if alias in names
    }
    known = {*_ADDRESSES, *(each for aliases in _NAMES.values() for each in aliases)}
    for name in names:
        if name not in known and (meant := get_close_matches(name, known, 1, _MISSPELT)):
            raise NoList(f"the column `{name[:40]}` is not known: is it `{meant[0]}`?")
    holding = [at for at, name in enumerate(names) if name in _ADDRESSES]
    if not holding:
        raise NoList("the first line must name the columns, one of them `address`")
    return found, holding


def _bare(cells: Sequence[str], at: int) -> str:
    """A cell without the apostrophe that keeps it from being a formula."""
    cell = cells[at].strip() if at < len(cells) else ""
    return cell[1:] if cell[:1] == "'" and _FORMULA.match(cell) else cell


def _rows(
    line: int,
    address: str,
    given: Mapping[str, str],
    region: str,
    now: datetime,
    *,
    channel: str,
    reason: str,
) -> list[Row]:
    if given.get("state", "").lower() == "lifted":
        raise NotListable("it is lifted: whoever is to stay lifted is not imported")
    why = reason_of(given.get("reason") or reason)
    at = _time(given.get("time", ""))
    if at is not None and at > now:
        raise NotListable("the time is still to come")
    note = given.get("note", "")
    if len(note) > LONGEST_NOTE:
        raise NotListable(f"a note has at most {LONGEST_NOTE} characters")
    return [
        Row(line=line, place=place, reason=why, note=note, at=at)
        for place in places(address, given.get("channel") or channel, region)
    ]


def _time(given: str) -> datetime | None:
    if not given:
        return None
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        raise NotListable("the time is not like 2026-11-21T09:00:00Z") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _each_once(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Each entry once, by its latest line."""
    return tuple({(row.place, row.reason): row for row in rows}.values())


def header() -> str:
    return _line(COLUMNS)


def line(entry: Mapping[str, Any]) -> str:
    """An entry of the list as a line of an export, which `read` takes again."""
    return _line(
        (
            entry["channel"],
            entry["address"],
            entry["reason"],
            entry["changed_at"].isoformat(),
            entry["source"] or "",
            entry["changed_by"] or "",
            entry["note"] or "",
            "active" if entry["active"] else "lifted",
        )
    )


def refusals(refused: Iterable[Mapping[str, Any]]) -> str:
    """The refused lines as a file: what to mend."""
    told = (_line((str(each["line"]), each["address"], each["why"])) for each in refused)
    return "".join((_line(("line", "address", "why")), *told))


def _line(cells: Iterable[str]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow([_harmless(cell) for cell in cells])
    return out.getvalue()


def _harmless(cell: str) -> str:
    """No spreadsheet takes a cell for a formula (OWASP, CSV injection); a number stays a number."""
    if _FORMULA.match(cell) and not cell[1:].isdigit():
        return f"'{cell}"
    return cell
