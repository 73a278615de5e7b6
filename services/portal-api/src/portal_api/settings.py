"""What the portal is told by its environment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from leadflow.database import CLIENT_ROLE, role_url
from leadflow.errors import SettingError
from leadflow.settings import Environment
from leadflow.tokens import Sealer
from portal_api.library import default_folder

LINKS_SEALED_AT = "2026-11-21T00:00:00Z"
"""The day on which links became sealed tokens."""


@dataclass(frozen=True, slots=True)
class PortalSettings:
    """Where the portal listens, what it connects to and what it ships.

    `public_url` is where it is called from outside, before any proxy. `bare_links_before`: of
    messages that were queued before then, unsubscribe links that hold the message's id alone work.
    """

    host: str
    port: int
    database_url: str
    client_database_url: str
    secret: str
    group: str
    library: Path
    tenants_file: Path | None
    incident_seconds: float
    links: Sealer
    public_url: str
    bare_links_before: datetime

    @classmethod
    def read(cls, env: Environment) -> PortalSettings:
        """Raises SettingError, naming the variable."""
        secret = env.text("SECRET")
        database_url = env.url("DATABASE_URL")
        tenants_file = env.text("TENANTS_FILE", "")
        host, port = env.text("PORTAL_HOST", "127.0.0.1"), env.integer("PORTAL_PORT", 8080)
        return cls(
            host=host,
            port=port,
            database_url=database_url,
            # The role's password follows from the secret, unless somebody chose one.
            client_database_url=env.url(
                "CLIENT_DATABASE_URL", role_url(database_url, CLIENT_ROLE, secret)
            ),
            secret=secret,
            group=env.text("GROUP", "portal-api"),
            library=env.path("LIBRARY", str(default_folder())),
            tenants_file=Path(tenants_file) if tenants_file else None,
            incident_seconds=float(env.integer("INCIDENT_SECONDS", 30, at_least=1)),
            links=Sealer(env.text("LINK_SECRET")),
            public_url=env.url("PUBLIC_URL", f"http://{host}:{port}"),
            bare_links_before=_time(env, "BARE_LINKS_BEFORE", LINKS_SEALED_AT),
        )


def _time(env: Environment, name: str, default: str) -> datetime:
    try:
        found = datetime.fromisoformat(env.text(name, default))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise SettingError(f"LEADFLOW_{name} takes a time such as {default}")
    return found.astimezone(UTC)
