"""Names of people: taken apart, their case put right, and compared."""

from __future__ import annotations

import unicodedata
from functools import cache
from importlib.resources import files

from nameparser import HumanName

Name = tuple[str | None, str | None]  # first, last


def person(whole: str | None, first: str | None, last: str | None) -> Name:
    """First and last name. Given parts win over the whole name, which is taken apart.

    Only names that are all in capitals or all in small letters get a new case. An e-mail
    address or a number is no name.
    """
    if first is None and last is None:
        if whole is None or not is_name(whole):
            return None, None
        parsed = HumanName(whole)
        if whole.isupper() or whole.islower():
            parsed.capitalize(force=True)
        return parsed.first or None, parsed.last or None
    first = first if first and is_name(first) else None
    last = last if last and is_name(last) else None
    both = f"{first or ''}{last or ''}"
    if both.isupper() or both.islower():
        parsed = HumanName(first=first or "", last=last or "")
        parsed.capitalize(force=True)
        return parsed.first or None, parsed.last or None
    return first, last


def is_name(value: str) -> bool:
    """Whether it can be part of a name: no e-mail address, link or number."""
    return "@" not in value and "://" not in value and any(char.isalpha() for char in value)


def folded(value: str | None) -> tuple[str, ...]:
    """Words without accents, case, apostrophes and hyphens: O'Brien → obrien."""
    if not value:
        return ()
    plain = unicodedata.normalize("NFKD", value)
    plain = "".join(char for char in plain if not unicodedata.combining(char)).casefold()
    plain = "".join(" " if char in "-./," else char for char in plain)
    return tuple(
        word for word in ("".join(filter(str.isalnum, part)) for part in plain.split()) if word
    )


def similar(one: Name, other: Name) -> bool:
    """Whether two names at the same phone number can be one person.

    Names are compared folded (accents, case, apostrophes and hyphens do not count):

    - a sighting without any name contradicts nobody;
    - of a single word, that word is the other's first or last name, or short for the first;
    - else the last names are alike (equal, one holds all words of the other, or one typing
      error apart in five letters or more) and so are the first names (equal, an initial,
      a short form from `data/nicknames.txt`, or one typing error apart).

    A household that shares a surname and a phone stays several leads.
    """
    first, last = folded(one[0]), folded(one[1])
    other_first, other_last = folded(other[0]), folded(other[1])
    if not (first or last) or not (other_first or other_last):
        return True
    if not (first and last) or not (other_first and other_last):
        words, others = first or last, other_first or other_last
        if not (first and last) and not (other_first and other_last):
            return _first_alike(words, others)
        single, (full_first, full_last) = (
            (words, (other_first, other_last)) if not (first and last) else (others, (first, last))
        )
        return _last_alike(single, full_last) or _first_alike(single, full_first)
    return _last_alike(last, other_last) and _first_alike(first, other_first)


def _last_alike(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    if set(one) <= set(other) or set(other) <= set(one):
        return True
    return _joined_alike("".join(one), "".join(other))


def _first_alike(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    left, right = one[0], other[0]
    if left == right or "".join(one) == "".join(other):
        return True
    if len(left) == 1 or len(right) == 1:
        return left[0] == right[0]
    groups = _nicknames()
    if groups.get(left, frozenset()) & groups.get(right, frozenset()):
        return True
    # Maria and Mario share a letter less than Hasan and Hassan do: the ends must agree.
    return left[0] == right[0] and left[-1] == right[-1] and _joined_alike(left, right)


def _joined_alike(one: str, other: str) -> bool:
    if one == other:
        return True
    return min(len(one), len(other)) >= 5 and one_edit_apart(one, other)


def one_edit_apart(one: str, other: str) -> bool:
    """Whether one insertion, deletion, replacement or swap of neighbours makes them equal."""
    if abs(len(one) - len(other)) > 1:
        return False
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    rest, other_rest = one[start:], other[start:]
    return (
        rest == other_rest
        or rest[1:] == other_rest[1:]
        or rest[1:] == other_rest
        or rest == other_rest[1:]
        or (rest[:2] == other_rest[:2][::-1] and rest[2:] == other_rest[2:])
    )


@cache
def _nicknames() -> dict[str, frozenset[int]]:
    """The groups of names that stand for each other, by name."""
    groups: dict[str, set[int]] = {}
    lines = files("intake").joinpath("data/nicknames.txt").read_text().splitlines()
    for number, entry in enumerate(lines):
        if not entry.startswith("#"):
            for name in entry.split():
                groups.setdefault(name, set()).add(number)
    return {name: frozenset(numbers) for name, numbers in groups.items()}
