"""`python -m portal_api` serves; `token` and `ticket` print a way in."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

from leadflow.clock import SystemClock
from leadflow.errors import SettingError
from leadflow.settings import Environment
from portal_api.auth import TICKET_LENGTH, Role
from portal_api.store import credentials
from portal_api.store.connection import engine


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="portal_api", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    for name, text in (("token", "print a new API key"), ("ticket", "print a sign-in link")):
        command = commands.add_parser(name, help=text)
        command.add_argument("--role", choices=[role.value for role in Role], required=True)
        command.add_argument("--tenant", help="limit it to one tenant; a client needs one")
        command.add_argument("--subject", help="who it is for; a rep's is the owner's name")
    return parser.parse_args()


async def _grant(arguments: argparse.Namespace, env: Environment) -> str:
    role = Role(arguments.role)
    subject = arguments.subject or role.value
    now = SystemClock().now()
    database = engine(env.url("DATABASE_URL"), pool_size=1)
    try:
        async with database.begin() as connection:
            if arguments.command == "token":
                return await credentials.create_key(
                    connection, role, arguments.tenant, subject, now
                )
            ticket = await credentials.create_ticket(
                connection, role, arguments.tenant, subject, now, TICKET_LENGTH
            )
    finally:
        await database.dispose()
    port = env.integer("PORTAL_PORT", 8080)
    return f"{env.url('PUBLIC_URL', f'http://127.0.0.1:{port}')}/login?ticket={ticket}"


if __name__ == "__main__":
    chosen = _arguments()
    if chosen.command is None:
        # The server is a second's import: a key is had without it.
        from leadflow.service import run
        from portal_api.main import PARTS, main

        run("portal-api", main, health_port=None, parts=PARTS)
    else:
        try:
            print(asyncio.run(_grant(chosen, Environment(os.environ))))  # noqa: T201
        except (SettingError, ValueError) as error:
            sys.exit(f"portal_api {chosen.command}: {error}")
