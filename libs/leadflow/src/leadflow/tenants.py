"""What each tenant has decided, read from a TOML file (`LEADFLOW_TENANTS_FILE`).

    [tenants.acme-roofing]
    name = "Acme Roofing"
    timezone = "America/Chicago"     # where the tenant is; used when a lead's is unknown
    region = "US"                    # how a phone number without a country code is read
    owners = ["dana@acme.example"]

A tenant that the file does not name gets the defaults below.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from leadflow.errors import SettingError

DEFAULT_PIPELINE = ("new", "contacted", "qualified", "proposal-sent", "won", "lost", "dormant")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """Settings of one tenant. Times in names are in their unit; scores are 0 to 100."""

    tenant_id: str
    name: str = ""
    timezone: str = ""  # IANA name; empty: unknown
    region: str = "US"  # ISO 3166 code
    language: str = "en"
    currency: str = "USD"
    owners: tuple[str, ...] = ()
    agent_phone: str = ""
    booking_link: str = ""
    postal_address: str = ""
    pipeline: tuple[str, ...] = DEFAULT_PIPELINE
    duplicate_policy: str = "update"  # update, link or reject
    quarantine_threshold: int = 50
    services: tuple[str, ...] = ()  # what the ideal customer asks for
    minimum_budget: int = 0  # in whole units of `currency`
    service_regions: tuple[str, ...] = ()


def load(path: Path | None) -> Mapping[str, Tenant]:
    """Tenants by id. Raises SettingError, naming the tenant and the setting that is wrong."""
    if path is None:
        return {}
    try:
        data = tomllib.loads(path.read_text())
    except OSError as error:
        raise SettingError(f"LEADFLOW_TENANTS_FILE: cannot read {path}") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"LEADFLOW_TENANTS_FILE: {path} is not TOML: {error}") from error
    return {name: _tenant(name, entry) for name, entry in data.get("tenants", {}).items()}


def _tenant(tenant_id: str, entry: dict[str, Any]) -> Tenant:
    known = {field.name for field in fields(Tenant)} - {"tenant_id"}
    if unknown := sorted(set(entry) - known):
        raise SettingError(f"tenant {tenant_id}: there is no setting {', '.join(unknown)}")
    zone = entry.get("timezone", "")
    if zone and zone not in available_timezones():
        raise SettingError(f"tenant {tenant_id}: {zone!r} is no IANA time zone")
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()
    }
    return Tenant(tenant_id=tenant_id, **values)
