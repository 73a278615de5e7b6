"""Postal addresses, tidied; nothing is looked up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intake.normalize.fields import line
from leadflow.records import Address

COUNTRIES = {
    "united states": "US",
    "united states of america": "US",
    "usa": "US",
    "u.s.": "US",
    "u.s.a.": "US",
    "united kingdom": "GB",
    "uk": "GB",
    "great britain": "GB",
    "england": "GB",
    "scotland": "GB",
    "wales": "GB",
    "canada": "CA",
    "mexico": "MX",
    "ireland": "IE",
    "australia": "AU",
    "germany": "DE",
    "france": "FR",
    "spain": "ES",
}


def address(payload: Mapping[str, Any]) -> Address | None:
    """The `address` of a payload, an object or one line of text; None when it says nothing."""
    given = payload.get("address")
    if isinstance(given, str):
        street = line(payload, "address")
        return Address(street=street) if street else None
    if not isinstance(given, dict):
        return None
    found = Address(
        street=line(given, "street"),
        city=line(given, "city"),
        region=_code(line(given, "region"), 3),
        postal_code=_upper(line(given, "postal_code")),
        country=country(line(given, "country")),
    )
    return found if found != Address() else None


def country(given: str | None) -> str | None:
    """ISO 3166 alpha-2 where it is known, else as given."""
    if given is None:
        return None
    return COUNTRIES.get(given.lower()) or _code(given, 2)


def _code(value: str | None, longest: int) -> str | None:
    return value.upper() if value is not None and len(value) <= longest else value


def _upper(value: str | None) -> str | None:
    return value.upper() if value is not None else None
