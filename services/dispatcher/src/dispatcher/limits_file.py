"""Limits as people write them: a TOML file, named by `LEADFLOW_LIMITS_FILE`.

    [provider.resend]
    per_second = 10

    [tenant."*"]                                # each tenant that is not named
    per_minute = 600
    burst = 50

    [mailbox."acme@mail.example.com"]
    per_hour = 400
    ramp_up = { first_day = 2026-11-01, per_day = [50, 100, 200, 400, 800] }

    [domain."gmail.com"]                        # by recipient, for each tenant apart
    per_minute = 60

`per_second`, `per_minute`, `per_hour` or `per_day`: exactly one, a number above 0, and no slower
than one message in 30 days. `burst` is how many may go at once, 1 to 1,000,000; where it is not
said, a second's worth, 1 at least. A name that nothing can have is refused: it would limit nothing.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import date, datetime
from math import isfinite
from pathlib import Path
from typing import Any

from dispatcher.limits import Limits, RampUp, Rate
from leadflow.errors import SettingError
from leadflow.providers import PROVIDERS

UNITS = {"per_second": 1.0, "per_minute": 60.0, "per_hour": 3_600.0, "per_day": 86_400.0}
KINDS = ("provider", "tenant", "mailbox", "domain")
LARGEST_BURST = 1_000_000
SLOWEST_SECONDS = 30 * 86_400.0
_DOMAIN = r"[^\s@.\x00-\x1f]+(\.[^\s@.\x00-\x1f]+)+"
# What a name must be to be anybody's; `*` is everybody's.
NAMES = {
    "provider": (re.compile("|".join(PROVIDERS)), f"a provider is one of {', '.join(PROVIDERS)}"),
    "tenant": (re.compile(r"\S+"), "a tenant's id has no blanks"),
    "mailbox": (re.compile(rf"[^\s@\x00-\x1f]+@{_DOMAIN}"), "a mailbox is like a@example.com"),
    "domain": (re.compile(_DOMAIN), "a domain is like example.com"),
}


def load(path: Path | None) -> Limits:
    """No limits without a file. Raises SettingError, naming the limit that is wrong."""
    if path is None:
        return Limits()
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingError(f"LEADFLOW_LIMITS_FILE: cannot read {path}") from error
    except UnicodeDecodeError as error:
        raise SettingError(f"LEADFLOW_LIMITS_FILE: {path} is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"LEADFLOW_LIMITS_FILE: {path} is not TOML: {error}") from error
    return read(data)


def read(data: Mapping[str, Any]) -> Limits:
    """Raises SettingError."""
    rates: dict[str, dict[str, Rate]] = {kind: {} for kind in KINDS}
    ramps: dict[str, RampUp] = {}
    for kind, entries in data.items():
        if kind not in KINDS:
            raise _wrong(kind, f"there are limits by {', '.join(KINDS)}")
        if not isinstance(entries, dict) or not all(isinstance(e, dict) for e in entries.values()):
            raise _wrong(kind, f"write [{kind}.NAME]")
        for written, entry in entries.items():
            name, place = written, f"{kind}.{written}"
            if kind in ("domain", "mailbox"):
                name = written.lower()
            rest = dict(entry)
            ramp = rest.pop("ramp_up", None)
            if ramp is not None:
                if kind != "mailbox" or name == "*":
                    raise _wrong(place, "a mailbox of its own has ramp_up, nothing else")
                ramps[name] = _ramp_up(place, ramp)
            if rest or ramp is None:
                rates[kind][name] = _rate(place, rest)
            form, said = NAMES[kind]
            if name != "*" and form.fullmatch(name) is None:
                raise _wrong(place, said)
    return Limits(**rates, ramp_up=ramps)


def _rate(place: str, entry: dict[str, Any]) -> Rate:
    burst = entry.pop("burst", None)
    units = [unit for unit in UNITS if unit in entry]
    if len(units) != 1 or len(entry) != 1:
        raise _wrong(place, f"one of {', '.join(UNITS)}, and burst if you like")
    (unit,) = units
    amount = entry[unit]
    if isinstance(amount, bool) or not isinstance(amount, int | float):
        raise _wrong(place, f"{unit} is a number")
    if not isfinite(amount) or amount <= 0:
        raise _wrong(place, f"{unit} is above 0")
    if amount < UNITS[unit] / SLOWEST_SECONDS:
        raise _wrong(place, f"{unit} is slower than one in 30 days")
    interval = UNITS[unit] / amount
    if burst is None:
        burst = max(1, round(1 / interval))
    if isinstance(burst, bool) or not isinstance(burst, int) or not 1 <= burst <= LARGEST_BURST:
        raise _wrong(place, f"burst is 1 to {LARGEST_BURST}")
    return Rate(interval, burst)


def _ramp_up(place: str, entry: Any) -> RampUp:
    if not isinstance(entry, dict) or set(entry) != {"first_day", "per_day"}:
        raise _wrong(place, "ramp_up has first_day and per_day")
    first_day, per_day = entry["first_day"], entry["per_day"]
    if not isinstance(first_day, date) or isinstance(first_day, datetime):
        raise _wrong(place, "first_day is a day, such as 2026-11-01")
    if (
        not isinstance(per_day, list)
        or not per_day
        or not all(type(cap) is int and cap >= 1 for cap in per_day)
    ):
        raise _wrong(place, "per_day is a list of whole numbers, 1 or more")
    return RampUp(first_day, tuple(per_day))


def _wrong(place: str, reason: str) -> SettingError:
    return SettingError(f"LEADFLOW_LIMITS_FILE: {place}: {reason}")
