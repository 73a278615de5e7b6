"""What people have changed in the CRM, told from what we have written ourselves (ADR 29). Pure.

Everything is in the CRM's words and by place, the key under which the CRM has a field: what we
wrote (`base`, and `pending` where the outcome of a write is unknown), what the CRM has now
(`theirs`), what it says was changed (`noticed`).

- Theirs is neither of ours: somebody changed it.
- Theirs is ours, but something else was noticed: an echo of an older write of ours, or an edit
  that a later write of ours has overwritten. An echo is a value that we had there at that time.
- A blank is no change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from crm_sync.crm.mapping import as_text
from crm_sync.model import BOTH_WAYS

# How far the CRM's clock may be from ours.
SKEW = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Noticed:
    """The CRM says that a field got this value, empty for none."""

    place: str
    word: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Had:
    """A value that our writes had put there, and until when."""

    place: str
    word: str
    until: datetime


class Heard(NamedTuple):
    """What was told on of a place last, when that was changed, and up to when all that happened
    to the place is settled by it."""

    until: datetime
    word: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """All that is known of one contact.

    `places` are those that go both ways, with our field of each. `theirs` is None where the CRM
    cannot be read. Our last write began at `begun_at` and was over by `written_at`; the CRM told
    last at `noticed_at`, and was asked at `looked_at`. `heard` is what was told on last of a place.
    """

    places: Mapping[str, str]
    base: Mapping[str, object]
    pending: Mapping[str, object] | None = None
    theirs: Mapping[str, object] | None
    noticed: Sequence[Noticed] = ()
    earlier: Sequence[Had] = ()
    heard: Mapping[str, Heard] = field(default_factory=dict)
    begun_at: datetime
    written_at: datetime
    noticed_at: datetime
    looked_at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """A person's change: the CRM's word for the new value, and when it was set there. Once it is
    told on, all that happened to the place until then is settled."""

    field: str
    place: str
    word: str
    at: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """`changes`, at most one a field. `unsure`: what was noticed is not there, and it is not known
    why. A write of ours that is under way may have gone over it; or the CRM is behind itself. Then
    it is worth another look."""

    changes: tuple[Change, ...]
    unsure: bool = False


def compare(look: Look) -> Found:
    """Field by field; of two places of a field, the later change counts."""
    found: list[Change] = []
    unsure = False
    for ours in BOTH_WAYS:
        places = [place for place, name in look.places.items() if name == ours]
        there = [change for place in places if (change := _there(look, place)) is not None]
        if not there and look.theirs is not None:
            unsure |= any(_missing(look, place) for place in places)
        if not there:
            there = [change for p in places if (change := _overwritten(look, p)) is not None]
        if there:
            found.append(max(there, key=lambda change: change.at))
    return Found(tuple(found), unsure)


def same(ours: str, one: object, other: object) -> bool:
    """Whether two values of a field are one: CRMs write addresses and numbers in their own way."""
    left, right = as_text(one), as_text(other)
    if ours == "phone":
        return _digits(left) == _digits(right)
    if ours == "email":
        return left.lower() == right.lower()
    return left == right


def _there(look: Look, place: str) -> Change | None:
    """What the CRM has now and we did not write."""
    # The database, and so the log, takes no NUL.
    word = as_text((look.theirs or {}).get(place)).replace("\x00", "")
    if not word or _is_ours(look, place, word):
        return None
    newest = next(_newest_first(look.noticed, place), None)
    named = newest is not None and same(look.places[place], newest.word, word)
    at = newest.at if newest is not None and named else look.noticed_at
    if (heard := look.heard.get(place)) is not None:
        if not same(look.places[place], heard.word, word):
            # It was not there when we looked last.
            at = max(at, heard.until)
        elif not named:
            at = heard.at
    if look.pending is None:
        # Nothing of ours is under way, so it came after our last write, whatever clocks say.
        at = max(at, look.begun_at)
    return Change(look.places[place], place, word, at, max(at, look.looked_at - SKEW))


def _overwritten(look: Look, place: str) -> Change | None:
    """What somebody wrote there before a write of ours; where the CRM cannot be read, what
    somebody wrote."""
    edit = _edit(look, place)
    if edit is None or (look.theirs is not None and not _written_since(look, edit)):
        return None
    return Change(look.places[place], place, edit.word, edit.at, edit.at)


def _missing(look: Look, place: str) -> bool:
    edit = _edit(look, place)
    return edit is not None and not _written_since(look, edit)


def _written_since(look: Look, notice: Noticed) -> bool:
    """Whether a write of ours has ended since."""
    return look.pending is None and notice.at <= look.written_at + SKEW


def _edit(look: Look, place: str) -> Noticed | None:
    """The newest thing noticed of a place, if it is a person's and not told on yet."""
    for notice in _newest_first(look.noticed, place):
        if place in look.heard and notice.at <= look.heard[place].until:
            return None
        if _is_ours(look, place, notice.word):
            if look.pending is None and not _written_since(look, notice):
                # None of our writes did that: somebody has put it back.
                return None
        elif not notice.word:
            return None
        elif not _is_echo(look, notice):
            return notice
    return None


def _newest_first(noticed: Iterable[Noticed], place: str) -> Iterator[Noticed]:
    mine = [notice for notice in noticed if notice.place == place]
    return iter(sorted(mine, key=lambda notice: notice.at, reverse=True))


def _is_ours(look: Look, place: str, word: str) -> bool:
    ours = look.places[place]
    return same(ours, word, look.base.get(place)) or (
        look.pending is not None and same(ours, word, look.pending.get(place))
    )


def _is_echo(look: Look, notice: Noticed) -> bool:
    ours = look.places[notice.place]
    return any(
        had.place == notice.place
        and same(ours, had.word, notice.word)
        and notice.at <= had.until + SKEW
        for had in look.earlier
    )


def _digits(number: str) -> str:
    return "".join(filter(str.isdigit, number))[-10:]
