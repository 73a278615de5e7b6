"""The lead's time zone: given → phone → tenant → UTC, and which of them it was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, available_timezones

from intake.normalize import phones

RANK = {"utc": 0, "tenant": 1, "phone": 2, "given": 3}
NOT_PLACES = ("Factory", "localtime", "posixrules")


def timezone(
    given: str | None, phone: str | None, tenant_zone: str, at: datetime
) -> tuple[str, str]:
    """(IANA name, given | phone | tenant | utc).

    A number that can be in several zones counts only when their clocks agree around `at`.
    """
    if given is not None and (name := _names().get(given.strip().replace(" ", "_").lower())):
        return name, "given"
    if phone is not None and (name := _of_phone(phone, tenant_zone, at.year)):
        return name, "phone"
    if tenant_zone:
        return tenant_zone, "tenant"
    return "UTC", "utc"


@lru_cache(maxsize=50_000)
def _of_phone(phone: str, tenant_zone: str, year: int) -> str | None:
    names = phones.zones(phone)
    if not names:
        return None
    if len({_offsets(name, year) for name in names}) > 1:
        return None
    return tenant_zone if tenant_zone in names else names[0]


@lru_cache(maxsize=2_000)
def _offsets(name: str, year: int) -> tuple[timedelta | None, timedelta | None]:
    """Winter's and summer's difference to UTC."""
    zone = ZoneInfo(name)
    return tuple(  # type: ignore[return-value]
        datetime(year, month, 1, tzinfo=UTC).astimezone(zone).utcoffset() for month in (1, 7)
    )


@cache
def _names() -> dict[str, str]:
    return {name.lower(): name for name in sorted(available_timezones()) if name not in NOT_PLACES}
