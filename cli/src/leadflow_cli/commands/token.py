"""`leadflow token`: a key for the portal's API, or a link that signs a person in."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated

import typer

from leadflow_cli.home import Running, leadflow_home, require_running
from leadflow_cli.targets import ask_portal


class Role(StrEnum):
    """The roles of the portal."""

    ADMIN = "admin"
    OPS = "ops"
    REVIEWER = "reviewer"
    REP = "rep"
    CLIENT = "client"


def token(
    role: Annotated[Role, typer.Option(help="What the key may do.")],
    tenant: Annotated[str | None, typer.Option(help="The one tenant it may see.")] = None,
    subject: Annotated[str | None, typer.Option(help="Whose it is, for the audit log.")] = None,
    link: Annotated[
        bool, typer.Option("--link", help="Print a sign-in link for a browser, good for one use.")
    ] = False,
) -> None:
    """Print a new API key of the running leadflow's portal."""
    running = require_running(leadflow_home(os.environ))
    if link:
        print(sign_in_link(running, role, tenant=tenant, subject=subject))
        return
    print(ask_portal(running, os.environ, "token", *_who(role, tenant), subject=subject))


def sign_in_link(
    running: Running, role: Role, *, tenant: str | None = None, subject: str | None = None
) -> str:
    """A single-use, short-lived link to the portal. Raises CliError."""
    ticket = ask_portal(running, os.environ, "ticket", *_who(role, tenant), subject=subject)
    return ticket if "://" in ticket else f"{running.portal_url}/login?ticket={ticket}"


def _who(role: Role, tenant: str | None) -> list[str]:
    return ["--role", role, *(["--tenant", tenant] if tenant else [])]
