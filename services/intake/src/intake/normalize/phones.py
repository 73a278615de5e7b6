"""Phone numbers in E.164, and the time zones they are in, by libphonenumber's tables."""

from __future__ import annotations

import re

import phonenumbers
from phonenumbers.timezone import time_zones_for_number

from leadflow import addresses

# Ofcom, "Telephone numbers for use in TV and radio drama programmes": well formed, assigned to
# nobody, and unknown to libphonenumber. The North American 555-01xx are known to it.
DRAMA_NUMBERS = re.compile(r"\+447700900\d{3}")


def phone(given: str | None, regions: tuple[str, ...]) -> str | None:
    """The number in E.164; None when it is missing or nobody can have it.

    A number without a country code is read as one of `regions` (ISO 3166), the first that
    makes it valid. An extension is left out.
    """
    if given is None:
        return None
    for region in regions:
        try:
            number = phonenumbers.parse(addresses.number(given), region)
        except phonenumbers.NumberParseException:
            continue
        written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        if phonenumbers.is_valid_number(number) or DRAMA_NUMBERS.fullmatch(written):
            return written
    return None


def zones(number: str) -> tuple[str, ...]:
    """IANA names of the zones that an E.164 number can be in; empty when unknown."""
    if DRAMA_NUMBERS.fullmatch(number):
        return ("Europe/London",)
    found = time_zones_for_number(phonenumbers.parse(number, None))
    return tuple(zone for zone in found if zone != "Etc/Unknown")
