"""Which adapter speaks to which CRM. A new CRM is a file and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from crm_sync.crm import defaults, followupboss, hubspot
from crm_sync.crm.base import Crm
from crm_sync.crm.followupboss import FollowUpBossCrm
from crm_sync.crm.http import Gate, open_gate
from crm_sync.crm.hubspot import HubSpotCrm
from crm_sync.crm.mapping import CrmMapping, read_mapping
from crm_sync.crm.sandbox import SandboxCrm
from crm_sync.crm.webhook import WebhookCrm, read_secrets
from leadflow.clock import Clock
from leadflow.errors import SettingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What it takes to speak to an account.

    `secret`: HubSpot's private app token; Follow Up Boss' API key, and with spaces between, the
    name and key of the registered system; a webhook's `whsec_…`, several while one takes the
    place of another. `url` empty: the provider's own. `mapping` as `read_mapping` takes it.
    """

    secret: str = field(default="", repr=False)
    url: str = ""
    mapping: Mapping[str, Any] = field(default_factory=dict)
    timeout_seconds: float = 10


def open_crm(provider: str, access: Access, clock: Clock, gate: Gate = open_gate) -> Crm:
    """The CRM of an account. Raises SettingError for a provider, secret or mapping that is wrong;
    the text does not hold the secret."""
    if provider not in OPENERS:
        raise SettingError(f"there is no CRM {provider!r}, but {', '.join(OPENERS)}")
    return OPENERS[provider](access, clock, gate)


def _hubspot(access: Access, clock: Clock, gate: Gate) -> Crm:
    if not access.secret or access.secret != access.secret.strip():
        raise SettingError("HubSpot's secret is the token of a private app")
    _check_letters(access.secret)
    return HubSpotCrm(
        access.secret,
        url=access.url or hubspot.URL,
        timeout_seconds=access.timeout_seconds,
        mapping=read_mapping(access.mapping, defaults.HUBSPOT),
        gate=gate,
    )


def _check_letters(secret: str) -> None:
    """It goes into a header. Raises SettingError."""
    if not (secret.isascii() and secret.isprintable()):
        raise SettingError("the secret has a letter in it that no token has: copy it again")


def _followupboss(access: Access, clock: Clock, gate: Gate) -> Crm:
    words = access.secret.split()
    _check_letters("".join(words))
    if len(words) not in (1, 3):
        raise SettingError("Follow Up Boss' secret is an API key, or that, a system and its key")
    mapping = read_mapping(access.mapping, defaults.FOLLOW_UP_BOSS)
    if not all(owner.isdigit() for owner in mapping.owners.values()):
        raise SettingError("a mapping's owners must be ids of users, numbers, in Follow Up Boss")
    return FollowUpBossCrm(
        words[0],
        system=words[1] if len(words) > 1 else "",
        system_key=words[-1] if len(words) > 1 else "",
        url=access.url or followupboss.URL,
        timeout_seconds=access.timeout_seconds,
        mapping=mapping,
        gate=gate,
    )


def _webhook(access: Access, clock: Clock, gate: Gate) -> Crm:
    if not access.url:
        raise SettingError("a webhook needs its address")
    read_mapping(access.mapping, CrmMapping())
    return WebhookCrm(
        access.url,
        read_secrets(access.secret),
        clock,
        timeout_seconds=access.timeout_seconds,
        gate=gate,
    )


def _sandbox(access: Access, clock: Clock, gate: Gate) -> Crm:
    if not access.url:
        raise SettingError("the sandbox's CRM needs its address")
    return SandboxCrm(access.url, access.timeout_seconds, gate=gate)


Opener: TypeAlias = Callable[[Access, Clock, Gate], Crm]

OPENERS: Mapping[str, Opener] = {
    "hubspot": _hubspot,
    "followupboss": _followupboss,
    "webhook": _webhook,
    "sandbox": _sandbox,
}
