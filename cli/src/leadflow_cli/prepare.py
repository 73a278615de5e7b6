"""Topics, roles, schemas and migrations: what must be there before a service starts."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from leadflow.errors import DatabaseError, LeadflowError, SettingError
from leadflow_cli.errors import CliError


def roles() -> tuple[str, ...]:
    """Every role that needs a password: the services' own, and the client's."""
    from leadflow.database import CLIENT_ROLE, SCHEMAS

    return (*SCHEMAS.values(), CLIENT_ROLE)


def derived_passwords(secret: str) -> dict[str, str]:
    """The password of every role, all of them following from one secret."""
    from leadflow.database import role_password

    return {role: role_password(secret, role) for role in roles()}


def given_passwords(environment: Mapping[str, str]) -> dict[str, str]:
    """The password of every role from LEADFLOW_<ROLE>_PASSWORD, else from LEADFLOW_SECRET.

    Raises SettingError that names what is missing.
    """
    secret = environment.get("LEADFLOW_SECRET")
    passwords = derived_passwords(secret) if secret else {}
    for role in roles():
        setting = f"LEADFLOW_{role.upper()}_PASSWORD"
        if value := environment.get(setting):
            passwords[role] = value
        if role not in passwords:
            raise SettingError(f"{setting} is not set, and LEADFLOW_SECRET is not either")
    return passwords


def url_of(admin_url: str, role: str, password: str) -> str:
    """Where `role` connects, in the administrator's database."""
    url = make_url(admin_url).set(username=role, password=password, drivername="postgresql")
    return url.render_as_string(hide_password=False)


def prepare_topics(bootstrap: str) -> list[str]:
    """Create what is missing of the catalogue's topics; returns their names. Raises CliError."""
    from leadflow.kafka.admin import ensure_topics

    try:
        return ensure_topics(bootstrap)
    except LeadflowError as error:
        raise CliError(f"Kafka's topics cannot be prepared: {error}") from error


def prepare_database(
    admin_url: str, passwords: Mapping[str, str], packages: Collection[str] | None = None
) -> None:
    """Bring about every role and schema, and migrate those of `packages` (None: of all).

    `passwords` has one for each of `roles()`. Raises CliError, which holds no password.
    """
    from leadflow.database import SCHEMAS, migrate, provision

    try:
        provision(admin_url, "", passwords)
        for package, role in SCHEMAS.items():
            if packages is None or package in packages:
                migrate(package, url_of(admin_url, role, passwords[role]))
    except DatabaseError as error:
        raise CliError(f"{error}; it cannot be prepared") from error
    except (OSError, SQLAlchemyError) as error:
        address = make_url(admin_url).render_as_string(hide_password=True)
        # SQLAlchemy's text repeats the statement, and ALTER ROLE names a password.
        reason = getattr(error, "orig", None) or error
        raise CliError(f"the database at {address} cannot be prepared: {reason}") from error
