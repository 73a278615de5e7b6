"""`python -m crm_sync verify`: whether the CRMs are what the log says.

The log as far as crm-sync has read it is held against each contact, in the CRM's own words. What
differs is printed by kind; with --repair it is written again as the log has it, leads that are
parked left out; with --take people's changes, of which no webhook told, are taken into the log
instead, as if one had. Notes and tasks are not compared. Exit code 0 where nothing differs or all
of it was repaired, 1 where drift is left, 2 where something could not be compared.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import structlog

from crm_sync.account_store import REMOVED, AccountStore
from crm_sync.crm.providers import Access
from crm_sync.gates import Gates
from crm_sync.notice_store import NoticeStore
from crm_sync.routing import Connections, Router
from crm_sync.sealing import Sealer
from crm_sync.store import Store
from crm_sync.verify import Finding
from crm_sync.verify_log import Log
from crm_sync.verify_run import Options, Tally, Verifier
from crm_sync.verify_store import VerifyStore
from leadflow import database, logs, service
from leadflow.clock import SystemClock
from leadflow.errors import LeadflowError, SettingError
from leadflow.settings import Environment, ServiceSettings

log = structlog.get_logger()

NO_DRIFT, DRIFT_LEFT, TROUBLE = 0, 1, 2
SERVICE = "crm-sync"
MOST_SECONDS = timedelta(days=365).total_seconds()
# Live records come first where an account has a budget of calls.
BUDGET_PATIENCE = timedelta(seconds=60)


def arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="crm_sync verify", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--tenant", help="leads of this tenant only")
    parser.add_argument("--account", help="leads that are kept in this account only")
    parser.add_argument("--repair", action="store_true", help="write again what differs")
    parser.add_argument(
        "--take",
        action="store_true",
        help="take what people changed (stage, owner, names, addresses) into the log instead",
    )
    parser.add_argument(
        "--rate", type=_rate, default=10.0, help="contacts a second to repair at most (10)"
    )
    parser.add_argument("--json", action="store_true", help="an object a line, then a summary")
    parser.add_argument("--values", action="store_true", help="print what differs: personal data")
    parser.add_argument(
        "--settle",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="after which a write without an answer counts as left behind (60)",
    )
    return parser.parse_args(given)


def _rate(written: str) -> float:
    rate = float(written.removesuffix("/s"))
    if not 0 < rate < math.inf:
        raise ValueError
    return rate


def _seconds(written: str) -> float:
    seconds = float(written)
    if not 0 <= seconds <= MOST_SECONDS:
        raise ValueError
    return seconds


def run(given: Sequence[str], env: Environment) -> int:
    """Compare, and repair if asked to; the exit code."""
    chosen = arguments(given)
    try:
        return asyncio.run(_run(chosen, env))
    except (LeadflowError, OSError) as error:
        print(f"crm_sync verify: {error}", file=sys.stderr)  # noqa: T201
        return TROUBLE
    except Exception as error:
        # An exit code of 1 would say that there is drift.
        log.error("failed", exc_info=error)
        return TROUBLE


async def _run(chosen: argparse.Namespace, env: Environment) -> int:
    settings = ServiceSettings.read(SERVICE, env)
    logs.configure(SERVICE, "warning")
    url = env.url("DATABASE_URL")
    timeout = env.number("CRM_TIMEOUT_SECONDS", 10)
    secret = env.text("ACCOUNT_SECRET", "")
    default = Access(url=env.url("CRM_URL", "http://127.0.0.1:8081/crm"), timeout_seconds=timeout)
    await asyncio.to_thread(database.migrate, "crm_sync", url)
    clock = SystemClock()
    engine = database.engine(url, pool_size=2)
    gates = Gates(engine, clock, BUDGET_PATIENCE)
    connections = Connections(
        default, Sealer.read(secret) if secret else None, clock, timeout, gates
    )
    printer = Printer(as_json=chosen.json, values=chosen.values)
    try:
        accounts = AccountStore(engine, clock)
        known = {row.account_id for row in await accounts.all() if row.status != REMOVED}
        if chosen.account and chosen.account not in known:
            raise SettingError(f"there is no account {chosen.account}: see 'account list'")
        store, writes = Store(engine, clock), VerifyStore(engine)
        verifier = Verifier(
            store,
            writes,
            NoticeStore(engine, clock),
            connections,
            Router(store, accounts, connections),
            clock,
            Options(
                chosen.account,
                repair=chosen.repair,
                take=chosen.take,
                rate=chosen.rate,
                settled_after=timedelta(seconds=chosen.settle),
            ),
            printer.found,
        )
        told = await asyncio.to_thread(
            Log, settings.kafka_bootstrap, env.text("GROUP", SERVICE), service.codec_for(settings)
        )
        for done, number in enumerate(told.partitions, start=1):
            # Whatever the log has of them by now, their ends are written down before.
            dead = await writes.dead()
            leads = await asyncio.to_thread(told.folded, number, dead, chosen.tenant)
            await verifier.compare(leads)
            printer.progress(done, len(told.partitions), verifier.tally)
        printer.summary(verifier.tally, told.unread)
        return exit_code(verifier.tally)
    finally:
        await connections.close()
        await engine.dispose()


def exit_code(tally: Tally) -> int:
    if tally.trouble:
        return TROUBLE
    return DRIFT_LEFT if tally.drift else NO_DRIFT


class Printer:
    """Findings to standard output as they are found, progress to standard error. Values of fields
    are personal data and stay out unless they are asked for."""

    def __init__(self, *, as_json: bool, values: bool) -> None:
        self._json = as_json
        self._values = values

    def found(self, finding: Finding, repaired: bool, why_not: str | None) -> None:
        named: dict[str, Any] = {
            "kind": finding.kind,
            "drift": finding.is_drift,
            "tenant": finding.tenant_id,
            "account": finding.account_id,
            "lead": finding.lead_id,
        }
        if finding.fields:
            named["fields"] = sorted(finding.fields)
            if self._values:
                named["fields"] = {
                    name: {"log": should, "crm": has}
                    for name, (should, has) in sorted(finding.fields.items())
                }
        if repaired or why_not is not None:
            named["repaired"] = repaired
        if why_not is not None:
            named["reason"] = why_not
        _print(json.dumps(named) if self._json else _line(named))

    def progress(self, done: int, partitions: int, tally: Tally) -> None:
        _print(
            f"partition {done} of {partitions}: {tally.compared:,} leads compared, "
            f"{tally.kinds.total():,} findings",
            file=sys.stderr,
        )

    def summary(self, tally: Tally, unread: int) -> None:
        if self._json:
            told = {
                "compared": tally.compared,
                "kinds": dict(tally.kinds),
                "repaired": dict(tally.repaired),
                "drift_left": tally.drift,
                "not_compared": tally.trouble,
                "unreadable": sorted(tally.unreadable),
                "unread_records": unread,
            }
            _print(json.dumps(told))
            return
        said = [f"{count:,} {kind}" for kind, count in tally.kinds.items()]
        _print(f"{tally.compared:,} leads compared: {', '.join(said) or 'all as the log says'}")
        if tally.repaired:
            _print(f"{tally.repaired.total():,} repaired")
        if unread:
            _print(f"{unread:,} records are still to be read by crm-sync: not compared")
        for account_id in sorted(tally.unreadable):
            _print(f"account {account_id} cannot be read: held against what was written to it")
        for account_id, reason in tally.trouble.items():
            _print(f"account {account_id}: its leads, or the rest of them, not compared: {reason}")


def _line(named: dict[str, Any]) -> str:
    words = [str(named["kind"]), *(f"{k}={named[k]}" for k in ("tenant", "account", "lead"))]
    fields = named.get("fields")
    if isinstance(fields, dict):
        words += [
            f"{name}: {each['crm']!r} is to be {each['log']!r}" for name, each in fields.items()
        ]
    elif fields:
        words.append("fields=" + ",".join(fields))
    if "repaired" in named:
        words.append("repaired" if named["repaired"] else f"not repaired: {named['reason']}")
    return "  ".join(words)


def _print(line: str, file: Any = None) -> None:
    print(line, file=file, flush=True)
