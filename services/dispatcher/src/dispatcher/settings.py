"""What the dispatcher is told, beside what every service is told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from dispatcher import limits_file
from dispatcher.breaker import Rules
from dispatcher.content import Identity, Writer
from dispatcher.decide import Retries
from dispatcher.limits import Limits
from dispatcher.providers import registry
from dispatcher.providers.base import Account
from dispatcher.worker import Pace
from leadflow import tenants
from leadflow.errors import SettingError
from leadflow.settings import Environment
from leadflow.tenants import Tenant
from leadflow.tokens import Sealer

MAIL_DOMAIN = re.compile(r"([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9-]{1,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`providers` by channel. Workers are loops of this process a channel."""

    database_url: str
    group: str
    providers: Mapping[str, Account]
    identity: Identity
    links: Sealer
    tenants: Mapping[str, Tenant]
    pace: Pace
    limits: Limits
    breaker: Rules
    email_workers: int
    batch: int

    @property
    def senders(self) -> int:
        """How many loops give messages to providers."""
        return self.email_workers + len(self.providers) - 1

    @property
    def writer(self) -> Writer:
        return Writer(self.identity, self.links, self.tenants)

    @classmethod
    def read(cls, env: Environment) -> Settings:
        """Raises SettingError."""
        tenants_file, limits_path = env.text("TENANTS_FILE", ""), env.text("LIMITS_FILE", "")
        timeout = env.number("PROVIDER_TIMEOUT_SECONDS", 8.0)
        lease = env.number("LEASE_SECONDS", 20.0)
        if lease < 2 * timeout:
            raise SettingError(
                "LEADFLOW_LEASE_SECONDS takes at least twice LEADFLOW_PROVIDER_TIMEOUT_SECONDS: "
                "a lease must not end while a provider may still answer"
            )
        return cls(
            database_url=env.url("DATABASE_URL"),
            group=env.text("GROUP", "dispatcher"),
            providers=registry.accounts(env),
            identity=Identity(public_url=_public_url(env), mail_domain=_mail_domain(env)),
            links=Sealer(env.text("LINK_SECRET")),
            tenants=tenants.load(env.path("TENANTS_FILE") if tenants_file else None),
            pace=Pace(
                lease_seconds=lease,
                timeout_seconds=timeout,
                retries=Retries(
                    first_seconds=env.number("RETRY_FIRST_SECONDS", 5.0),
                    attempts=env.integer("RETRY_ATTEMPTS", 8, at_least=1),
                    patience_seconds=env.number("RETRY_FOR_SECONDS", 86_400.0),
                ),
            ),
            limits=limits_file.load(env.path("LIMITS_FILE") if limits_path else None),
            breaker=Rules(
                window_seconds=env.number("BREAKER_WINDOW_SECONDS", 60.0),
                at_least=env.integer("BREAKER_AT_LEAST", 20, at_least=1),
                share=_share(env),
                rest_seconds=env.number("BREAKER_REST_SECONDS", 30.0),
            ),
            email_workers=env.integer("EMAIL_WORKERS", 3, at_least=1),
            batch=env.integer("BATCH", 500, at_least=1),
        )


def _public_url(env: Environment) -> str:
    """What links in mails begin with. Raises SettingError."""
    url = env.url("PUBLIC_URL", "http://127.0.0.1:8080")
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or not url.isprintable() or set(url) & set(' <>"?#'):
        raise SettingError("LEADFLOW_PUBLIC_URL takes a URL such as https://leads.example.com")
    return url


def _mail_domain(env: Environment) -> str:
    """What our own addresses and Message-IDs end with. Raises SettingError."""
    domain = env.text("MAIL_DOMAIN", "mail.leadflow.example")
    if len(domain) > 253 or MAIL_DOMAIN.fullmatch(domain) is None:
        raise SettingError("LEADFLOW_MAIL_DOMAIN takes a domain such as mail.example.com")
    return domain


def _share(env: Environment) -> float:
    """Raises SettingError."""
    share = env.number("BREAKER_SHARE", 0.5)
    if not 0 < share <= 1:  # of 2, it would never open; nan is neither
        raise SettingError("LEADFLOW_BREAKER_SHARE takes a number above 0, at most 1")
    return share
