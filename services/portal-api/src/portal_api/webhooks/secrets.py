"""The secrets that providers sign with, by tenant. Never logged, never shown.

A tenant's own are named in the tenants file (`webhook_secrets = { resend = "LEADFLOW_…" }`, the
name of an environment variable); `LEADFLOW_WEBHOOK_SECRET_TWILIO`, `…_RESEND`, `…_STANDARD`,
`…_HUBSPOT` (an app's client secret) and `…_FOLLOWUPBOSS` (a system's key) are for all others: of
the tenants file, where there is one, for whoever signs with a secret for all could otherwise make
up tenants. A variable may hold several secrets with commas between, so that one can be replaced
while the old one still works.
"""

from __future__ import annotations

import re
import secrets
from base64 import b64encode
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from leadflow.errors import SettingError
from leadflow.settings import Environment
from leadflow.tenants import WEBHOOK_PROVIDERS, Tenant
from portal_api.webhooks.signatures import standard_key

MOST_SECRETS = 5
OF_THE_STANDARD = ("resend", "standard")
# HubSpot's client secrets are UUIDs, Follow Up Boss' system keys 32 hexadecimal digits.
OF_A_CRM = ("hubspot", "followupboss")
KEY = re.compile(r"[A-Za-z0-9_-]{16,}")


def _nobodys() -> str:
    return b64encode(secrets.token_bytes(32)).decode()


@dataclass(frozen=True, slots=True, repr=False)
class WebhookSecrets:
    """Secrets by (provider, tenant); those of the tenant None are for whoever has none, of
    `tenants` where any are named."""

    by_tenant: Mapping[tuple[str, str | None], tuple[str, ...]] = field(default_factory=dict)
    tenants: Collection[str] = ()
    # Compared with where there is none: who has no secret takes as long to find out.
    nobodys: str = field(default_factory=_nobodys)

    def of(self, provider: str, tenant_id: str) -> tuple[str, ...]:
        """One or more secrets; one that nobody knows where there is none."""
        known = not self.tenants or tenant_id in self.tenants
        own = self.by_tenant.get((provider, tenant_id))
        for_all = self.by_tenant.get((provider, None)) if known else None
        return own or for_all or (self.nobodys,)

    @classmethod
    def read(cls, env: Environment, tenants: Mapping[str, Tenant]) -> WebhookSecrets:
        """Raises SettingError, naming the variable, never its value."""
        found: dict[tuple[str, str | None], tuple[str, ...]] = {}
        for provider in WEBHOOK_PROVIDERS:
            for_all = f"WEBHOOK_SECRET_{provider.upper()}"
            if env.text(for_all, ""):
                found[provider, None] = _secrets(env, for_all, provider)
            for tenant in tenants.values():
                if name := tenant.webhook_secrets.get(provider):
                    variable = name.removeprefix("LEADFLOW_")
                    found[provider, tenant.tenant_id] = _secrets(env, variable, provider)
        return cls(found, frozenset(tenants))


def _secrets(env: Environment, variable: str, provider: str) -> tuple[str, ...]:
    found = tuple(part.strip() for part in env.text(variable).split(",") if part.strip())
    if not 1 <= len(found) <= MOST_SECRETS:
        raise SettingError(f"LEADFLOW_{variable} takes 1 to {MOST_SECRETS} secrets")
    if provider in OF_A_CRM and not all(map(KEY.fullmatch, found)):
        raise SettingError(f"LEADFLOW_{variable} takes keys of 16 letters, digits, - and _ or more")
    if provider in OF_THE_STANDARD:
        for secret in found:
            try:
                standard_key(secret)
            except ValueError:
                raise SettingError(
                    f"LEADFLOW_{variable} takes secrets like whsec_ and base64 of 16 bytes or more"
                ) from None
    return found
