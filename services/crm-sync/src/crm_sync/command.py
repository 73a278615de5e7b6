"""`python -m crm_sync account …`: which CRM account a tenant has.

A secret comes in on standard input or from a file, never as an argument: those are seen by
everybody on the machine, and kept by shells.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from crm_sync.account_store import (
    ACTIVE,
    PAUSED,
    REMOVED,
    AccountStore,
    Registered,
    as_json,
)
from crm_sync.budget import Budget
from crm_sync.crm.providers import OPENERS, Access, open_crm
from crm_sync.model import DEFAULT_ACCOUNT
from crm_sync.routing import CANARY
from crm_sync.sealing import Sealer
from leadflow import database
from leadflow.clock import SystemClock
from leadflow.errors import SettingError
from leadflow.settings import Environment

NOT_FOUND = "there is no such account, or it is {} already: see 'account list'"

# --secret is not short for --secret-file.
EXACT: dict[str, Any] = {"allow_abbrev": False}


def arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="crm_sync account", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser(
        "add", help="give a tenant an account; its secret on standard input", **EXACT
    )
    add.add_argument("tenant")
    add.add_argument("provider", choices=sorted(OPENERS))
    add.add_argument("--url", default="", help="instead of the provider's own address")
    add.add_argument("--mapping", type=Path, help="a JSON file: what differs from the defaults")
    add.add_argument("--budget", help="calls in seconds, such as 100/10")
    renewed = commands.add_parser(
        "secret", help="give an account a new secret, as for add", **EXACT
    )
    renewed.add_argument("account")
    for each in (add, renewed):
        each.add_argument("--secret-file", type=Path, help="instead of standard input")
    budget = commands.add_parser(
        "budget", help="say how many calls an account may get, the default one too", **EXACT
    )
    budget.add_argument("account")
    budget.add_argument("budget", help="calls in seconds, such as 100/10; 'none' for no bounds")
    listed = commands.add_parser("list", help="all accounts, without their secrets", **EXACT)
    listed.add_argument("--json", action="store_true", help="one JSON object a line")
    for name, text in (
        ("pause", "call it no more; what is for it waits"),
        ("resume", "call it again"),
        ("remove", "forget its secret; its tenant has no account then"),
    ):
        commands.add_parser(name, help=text, **EXACT).add_argument("account")
    for each in commands.choices.values():
        each.add_argument("--by", default="cli", help="who does it, for the record")
    return parser.parse_args(given)


def run(given: Sequence[str], env: Environment) -> int:
    """Do what was asked; the exit code."""
    chosen = arguments(given)
    try:
        for line in asyncio.run(_run(chosen, env)):
            print(line)  # noqa: T201
    except (SettingError, OSError) as error:
        print(f"crm_sync account: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


async def _run(chosen: argparse.Namespace, env: Environment) -> list[str]:
    url = env.url("DATABASE_URL")
    await asyncio.to_thread(database.migrate, "crm_sync", url)
    engine = database.engine(url, pool_size=1)
    try:
        return await answered(AccountStore(engine, SystemClock()), chosen, env)
    finally:
        await engine.dispose()


async def answered(
    accounts: AccountStore, chosen: argparse.Namespace, env: Environment
) -> list[str]:
    """What is printed once it is done. Raises SettingError and OSError."""
    if chosen.command == "add":
        return [await _add(accounts, chosen, env)]
    if chosen.command == "list":
        return [shown(row, as_json=chosen.json) for row in await accounts.all()]
    if chosen.command == "secret":
        return [await _renew(accounts, chosen, env)]
    if chosen.command == "budget":
        return [await _set_budget(accounts, chosen)]
    return [await _change(accounts, chosen)]


async def _add(accounts: AccountStore, chosen: argparse.Namespace, env: Environment) -> str:
    clock = SystemClock()
    sealer = Sealer.read(env.text("ACCOUNT_SECRET"))
    secret = _secret(chosen)
    if chosen.url and not re.fullmatch(r"https?://[^/\s:]+(:\d{1,5})?(/\S*)?", chosen.url):
        raise SettingError(f"{chosen.url} is not an address such as https://host/path")
    mapping = read_object(chosen.mapping) if chosen.mapping else {}
    # What is wrong with it is said now, and not when the first lead goes there.
    crm = open_crm(chosen.provider, Access(secret=secret, url=chosen.url, mapping=mapping), clock)
    await crm.close()
    account_id = f"{chosen.provider}-{uuid4().hex[:12]}"
    new = Registered(
        account_id=account_id,
        tenant_id=chosen.tenant,
        provider=chosen.provider,
        url=chosen.url,
        mapping=as_json(mapping),
        sealed_secret=sealer.seal(secret, account_id),
        budget=read_budget(chosen.budget) if chosen.budget else None,
        changed_by=chosen.by,
        changed_at=clock.now(),
    )
    await accounts.add(new)
    return account_id


async def _renew(accounts: AccountStore, chosen: argparse.Namespace, env: Environment) -> str:
    sealer = Sealer.read(env.text("ACCOUNT_SECRET"))
    rows = [row for row in await accounts.all() if row.account_id == chosen.account]
    secret = _secret(chosen)
    for row in rows:
        access = Access(secret=secret, url=row.url, mapping=json.loads(row.mapping))
        await open_crm(row.provider, access, SystemClock()).close()
    if not await accounts.set_secret(chosen.account, sealer.seal(secret, chosen.account)):
        raise SettingError(NOT_FOUND.format(REMOVED))
    return f"{chosen.account} has a new secret"


async def _set_budget(accounts: AccountStore, chosen: argparse.Namespace) -> str:
    budget = None if chosen.budget == "none" else read_budget(chosen.budget)
    if not await accounts.set_budget(chosen.account, budget):
        raise SettingError(NOT_FOUND.format(REMOVED))
    if budget is None:
        return f"{chosen.account} has no budget"
    return f"{chosen.account} has a budget of {budget.calls}/{budget.seconds:g}"


def _secret(chosen: argparse.Namespace) -> str:
    text: str = chosen.secret_file.read_text() if chosen.secret_file else sys.stdin.read()
    return text.strip()


async def _change(accounts: AccountStore, chosen: argparse.Namespace) -> str:
    before: tuple[str, ...]
    status, before = {
        "pause": (PAUSED, (ACTIVE,)),
        "resume": (ACTIVE, (PAUSED,)),
        "remove": (REMOVED, (ACTIVE, PAUSED)),
    }[chosen.command]
    if status == REMOVED and chosen.account == DEFAULT_ACCOUNT.account_id:
        raise SettingError("the default account cannot be removed, only paused")
    if status == PAUSED:
        # What a canary paused it would resume: a person's pause takes its place.
        rows = [row for row in await accounts.all() if row.account_id == chosen.account]
        if all(row.status != PAUSED or row.changed_by == CANARY for row in rows):
            before = (ACTIVE, PAUSED)
    if not await accounts.change(chosen.account, status, "by hand", chosen.by, before):
        raise SettingError(NOT_FOUND.format(status))
    return f"{chosen.account} {status}"


def read_budget(written: str) -> Budget:
    """Raises SettingError."""
    found = re.fullmatch(r"([1-9]\d{0,8})/([1-9]\d{0,8})", written)
    if found is None:
        raise SettingError(f"a budget is calls in seconds, such as 100/10, and not {written!r}")
    return Budget(int(found[1]), float(found[2]))


def read_object(path: Path) -> dict[str, Any]:
    """Raises SettingError and OSError."""
    try:
        found = json.loads(path.read_text())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise SettingError(f"{path} is not a JSON object")
    return found


def shown(row: Registered, *, as_json: bool = False) -> str:
    """One account, without its secret."""
    budget = f"{row.budget.calls}/{row.budget.seconds:g}" if row.budget else ""
    values = {
        "account": row.account_id,
        "tenant": row.tenant_id,
        "provider": row.provider,
        "status": row.status,
        "reason": row.reason,
        "by": row.changed_by,
        "since": row.changed_at.isoformat(timespec="seconds"),
        "budget": budget,
        "url": row.url,
    }
    if as_json:
        return json.dumps(values)
    return "  ".join(f"{name}={value}" for name, value in values.items() if value)
