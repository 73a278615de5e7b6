"""What each tenant has decided, read from a TOML file (`LEADFLOW_TENANTS_FILE`).

    [tenants.acme-roofing]
    name = "Acme Roofing"
    timezone = "America/Chicago"     # where the tenant is; used when a lead's is unknown
    region = "US"                    # how a phone number without a country code is read
    owners = ["dana@acme.example"]
    holidays = "US-TX"               # whose holidays are no business days
    message_cap = 4                  # messages a lead gets in `cap_days`, over all sequences
    send_hours = { sms = "08:00-21:00", call = "08:00-21:00" }   # where the recipient is
    absences = [{ owner = "dana@acme.example", first = 2026-12-24, last = 2026-12-31 }]
    incident_rules.delivery = { share = 0.3, at_least = 50 }     # when a pause opens by itself

A tenant that the file does not name gets the defaults below.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zoneinfo import available_timezones

from leadflow.errors import SettingError

DEFAULT_PIPELINE = ("new", "contacted", "qualified", "proposal-sent", "won", "lost", "dormant")
SEND_HOURS = MappingProxyType({"sms": "08:00-21:00", "call": "08:00-21:00"})
"""When a person may be disturbed, by channel (product.md, "Sequencer")."""
WEBHOOK_PROVIDERS = ("twilio", "resend", "standard", "hubspot", "followupboss")
"""Whose signatures the portal can check (`/webhooks/providers/…`, `/webhooks/crm/…`)."""
VARIABLE = re.compile(r"LEADFLOW_[A-Z0-9_]+")
HOURS = re.compile(r"([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """Days on which an owner takes no tasks, the last one included, in the tenant's zone."""

    owner: str
    first: date
    last: date


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
    holidays: str = ""  # country, or country-subdivision, as the holidays package names it
    message_cap: int = 0  # messages to a lead in cap_days, over all sequences; 0: no cap
    cap_days: int = 7
    send_hours: Mapping[str, str] = field(
        default_factory=lambda: SEND_HOURS
    )  # "HH:MM-HH:MM" by channel
    absences: tuple[Absence, ...] = ()
    track_clicks: bool = True  # links of e-mails lead over the portal, which notes the click
    track_opens: bool = True  # e-mails carry a picture of one pixel that tells of being opened
    test_recipients: tuple[str, ...] = ()  # addresses that any editor may send a test to
    soft_bounces: int = 3  # within soft_bounce_days, none delivered between: suppressed; 0: never
    soft_bounce_days: int = 30
    # Channels (sms, whatsapp) on which leadflow itself answers STOP, START and HELP. None as
    # shipped: Twilio answers them on long codes and toll-free numbers, and people would get two.
    answers_keywords: tuple[str, ...] = ()
    help_text: str = ""  # the answer to HELP; empty: name, number and how to stop
    # The environment variables that hold the secrets of a provider's webhooks, by the provider.
    webhook_secrets: Mapping[str, str] = field(default_factory=dict)
    # Settings of rules, by the rule's name; the portal knows and checks them.
    incident_rules: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    retention_days: int = 400  # how long a finished enrollment is remembered; 0: for good


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
    for channel, hours in entry.get("send_hours", {}).items():
        if not isinstance(hours, str) or not HOURS.fullmatch(hours):
            raise SettingError(
                f"tenant {tenant_id}: send_hours of {channel}: {hours!r} is not HH:MM-HH:MM"
            )
    whole = (("soft_bounces", 0), ("soft_bounce_days", 1), ("message_cap", 0), ("cap_days", 1))
    for name, least in whole:
        number = entry.get(name, least)
        if type(number) is not int or not least <= number <= 1_000:
            raise SettingError(
                f"tenant {tenant_id}: {name} is a whole number from {least} to 1000, not {number!r}"
            )
    for name in ("track_clicks", "track_opens"):
        if not isinstance(entry.get(name, True), bool):
            raise SettingError(f"tenant {tenant_id}: {name} is true or false")
    for address in entry.get("test_recipients", ()):
        if not isinstance(address, str) or "@" not in address:
            raise SettingError(f"tenant {tenant_id}: test_recipients: {address!r} is no address")
    answers = entry.get("answers_keywords", [])
    if not isinstance(answers, list) or any(each not in ("sms", "whatsapp") for each in answers):
        raise SettingError(f"tenant {tenant_id}: answers_keywords is a list of sms and whatsapp")
    if not isinstance(entry.get("help_text", ""), str) or len(entry.get("help_text", "")) > 480:
        raise SettingError(f"tenant {tenant_id}: help_text is a text of up to 480 characters")
    for provider, variable in entry.get("webhook_secrets", {}).items():
        if provider not in WEBHOOK_PROVIDERS:
            raise SettingError(
                f"tenant {tenant_id}: webhook_secrets takes {', '.join(WEBHOOK_PROVIDERS)}, "
                f"not {provider}"
            )
        if not isinstance(variable, str) or not VARIABLE.fullmatch(variable):
            # Never the value: somebody may have put the secret itself there.
            raise SettingError(
                f"tenant {tenant_id}: webhook_secrets of {provider} is the name of an environment "
                "variable that begins with LEADFLOW_"
            )
    try:
        values["absences"] = tuple(Absence(**each) for each in entry.get("absences", ()))
    except TypeError as error:
        raise SettingError(f"tenant {tenant_id}: an absence has owner, first and last") from error
    return Tenant(tenant_id=tenant_id, **values)
