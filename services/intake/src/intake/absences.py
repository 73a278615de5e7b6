"""When somebody who answers automatically is back: the day that an out-of-office text names.

English, German, French, Spanish, Italian, Dutch and Portuguese: the phrases of the usual mail
programs' templates and holiday notices. What is not understood is None: nobody is harmed, the
follow-up then waits the usual time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import NamedTuple

READ_CHARS = 4_000
RANGE_CHARS = 120
"""How far before a date the other one of a range is looked for: the time is that much for each
date of the text, and who writes the text is anybody."""
FARTHEST = timedelta(days=3_650)
"""A day after that is taken for it: no calendar goes on behind the year 9999."""
LONGEST = timedelta(days=183)
"""A day without a year that far ahead is one of last year."""

_MONTHS = (
    "january jan januar jänner janvier enero gennaio januari janeiro|"
    "february feb februar février fevrier febrero febbraio februari fevereiro|"
    "march mar märz mrz mars marzo maart março|april apr avril abril aprile|"
    "may mai mayo maggio mei maio|june jun juni juin junio giugno junho|"
    "july jul juli juillet julio luglio julho|august aug août aout agosto augustus|"
    "september sep sept septembre septiembre settembre setembro|"
    "october oct oktober okt octobre octubre ottobre outubro|november nov novembre noviembre "
    "novembro|december dec dezember dez décembre decembre diciembre dicembre dezembro"
)
MONTHS = {
    name: number
    for number, names in enumerate(_MONTHS.split("|"), start=1)
    for name in names.split()
}
_DAYS = (
    "monday montag lundi lunes lunedì maandag|tuesday dienstag mardi martes martedì dinsdag|"
    "wednesday mittwoch mercredi miércoles mercoledì woensdag|"
    "thursday donnerstag jeudi jueves giovedì donderdag|"
    "friday freitag vendredi viernes venerdì vrijdag"
)
WEEKDAYS = {name: number for number, names in enumerate(_DAYS.split("|")) for name in names.split()}
_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
DATE = re.compile(
    rf"""
    (?P<iso>\b\d{{4}}-\d{{2}}-\d{{2}}\b)
    | \b(?P<month_first>{_MONTH})\b\.?\s+(?P<mf_day>\d{{1,2}})(?:st|nd|rd|th)?\b
        (?:,?\s+(?P<mf_year>\d{{4}})\b)?
    | \b(?P<df_day>\d{{1,2}})(?:st|nd|rd|th|er|[.º°])?\s+(?:(?:of|de)\s+)?
        (?P<day_first>{_MONTH})\b\.?(?:,?\s+(?:de[l]?\s+)?(?P<df_year>\d{{4}})\b)?
    | \b(?P<dot_day>\d{{1,2}})\.\s?(?P<dot_month>\d{{1,2}})\.(?:\s?(?P<dot_year>\d{{4}}|\d{{2}})\b)?
    | \b(?P<one>\d{{1,2}})/(?P<two>\d{{1,2}})(?:/(?P<slash_year>\d{{4}}|\d{{2}}))?\b
    | \b(?P<weekday>{"|".join(WEEKDAYS)})\b
    | \b(?P<tomorrow>tomorrow|morgen)\b
    """,
    re.VERBOSE,
)
# A weekday before a date is that date's: "Monday, January 5". It is no name of a day by itself.
NAMED_TWICE = re.compile(
    rf"\b(?:{'|'.join(WEEKDAYS)})\b,?\s+(?:(?:the|dem|den|le|el|il|de)\s+)?(?=\d|{_MONTH})"
)
# What stands before the day of return, and what stands before the last day of absence.
RETURN = re.compile(
    r"\b(?:back|return(?:s|ing)?|until|till?|resume|zurück|erreichbar|wieder|zur verfügung|"
    r"retour|reviens|reviendrai|rentre(?:rai)?|à partir du|dès le|"
    r"vuelvo|volveré|regreso|regresaré|vuelta|a partir del?|"
    r"rientro|rientrerò|torno|tornerò|di nuovo|"
    r"terug|weer|vanaf|tot(?! en met)|retorno|volto|regresso)\b"
)
LAST_DAY = re.compile(
    r"\b(?:through|thru|bis|inclusive of|jusqu[’']au|hasta(?: el)?|fino al?|t/m|tot en met|até)\b"
)
RANGE_END = re.compile(
    r"(?:\b(?:from|between|vom|von|du|del|dal|van|desde(?: el)?)\b.*"
    r"(?:\b(?:to|and|au|al|tot(?: en met)?|t/m)\b|-|–)|\d\s*(?:-|–))\s*(?:le |el |il )?$"
)
AFTER = re.compile(
    r"^[^.!?\n]{0,25}\b(?:wieder|zurück|erreichbar|weer|terug|de retour|de vuelta)\b"
)
SENTENCE = re.compile(r"[!?\n]|(?<=[^\d\s.][^\d\s.])\.(?=\s)")
QUOTED = re.compile(r"^(?:on .{0,200} wrote:|am .{0,200} schrieb.{0,200}:|-{3,}.*)$", re.MULTILINE)


class _Named(NamedTuple):
    day: date
    is_return: bool


def returns_on(text: str | None, received: date, region: str = "US") -> date | None:
    """The day on which the writer is back, after `received`; None if the text names none.

    `region` is an ISO 3166 code: 12/1 is a day of December in the US, of January elsewhere.
    "Until a day" and "back on a day" name the day of return, "through a day", "bis" a day and
    the second of two days the last one of the absence.
    """
    if text is None:
        return None
    named = [each for part in _sentences(text) for each in _in_sentence(part, received, region)]
    for wanted in (True, False):
        days = [each.day for each in named if each.is_return is wanted and each.day > received]
        if days:
            return max(days)
    return None


def _sentences(text: str) -> Iterator[str]:
    own = "\n".join(
        line for line in text[:READ_CHARS].lower().splitlines() if not line.startswith(">")
    )
    quoted = QUOTED.search(own)
    own = own[: quoted.start()] if quoted else own
    yield from SENTENCE.split(NAMED_TWICE.sub("", own))


def _in_sentence(sentence: str, received: date, region: str) -> Iterator[_Named]:
    begin = 0
    for found in DATE.finditer(sentence):
        before = sentence[begin : found.start()]
        after = sentence[found.end() :]
        begin = found.end()
        day = _day(found, received, region)
        if day is None:
            continue
        day = min(day, received + FARTHEST)
        returning, last = _last(RETURN, before), _last(LAST_DAY, before)
        ranged = RANGE_END.search(sentence[max(0, found.start() - RANGE_CHARS) : found.start()])
        if last > returning or (ranged and returning < 0):
            yield _Named(day + timedelta(days=1), is_return=False)
        elif returning >= 0 or AFTER.search(after):
            yield _Named(day, is_return=True)


def _last(cue: re.Pattern[str], text: str) -> int:
    """Where the cue stands last; -1: nowhere."""
    return max((each.start() for each in cue.finditer(text)), default=-1)


def _day(found: re.Match[str], received: date, region: str) -> date | None:
    part = found.groupdict()
    if part["tomorrow"]:
        return received + timedelta(days=1)
    if part["weekday"]:
        ahead = (WEEKDAYS[part["weekday"]] - received.weekday() - 1) % 7 + 1
        return received + timedelta(days=ahead)
    try:
        if part["iso"]:
            return date.fromisoformat(part["iso"])
        if part["month_first"]:
            month, day, year = MONTHS[part["month_first"]], int(part["mf_day"]), part["mf_year"]
        elif part["day_first"]:
            month, day, year = MONTHS[part["day_first"]], int(part["df_day"]), part["df_year"]
        elif part["dot_day"]:
            month, day, year = int(part["dot_month"]), int(part["dot_day"]), part["dot_year"]
        else:
            one, two, year = int(part["one"]), int(part["two"]), part["slash_year"]
            month, day = (one, two) if two > 12 or (region == "US" and one <= 12) else (two, one)
        if year is not None:
            return date(int(year) + (2000 if len(year) == 2 else 0), month, day)
        return _next(month, day, received)
    except ValueError:
        return None  # the 31st of February


def _next(month: int, day: int, received: date) -> date | None:
    for year in (received.year, received.year + 1):
        coming = date(year, month, day)
        if coming >= received:
            return coming if coming - received <= LONGEST else None
    return None
