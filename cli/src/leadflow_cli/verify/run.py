"""The order in which the accounts are read.

Everything goes on while it is read, so what is under way must not pass for a disagreement. Each
account is read after the one that it is to contain: the dispatcher's offsets before the ledger
(what it had read is in the ledger), the ledger before the topics (what was in the ledger is in the
topic, and its event is there or in the outbox), and the provider's list before the ledger and
once more at the end (what was accepted before is known to the ledger; what the ledger calls sent
is accepted by then). What still looks wrong is asked of the ledger once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from leadflow.kafka.progress import reach_of
from leadflow.topics import MESSAGES
from leadflow_cli.reading import reader
from leadflow_cli.sandbox_client import SandboxClient
from leadflow_cli.verify.chain import Head
from leadflow_cli.verify.findings import (
    OF_ALL_TENANTS,
    OF_THE_CHAIN,
    OF_THE_LOG,
    OF_THE_PROVIDER,
    SUSPECTS,
    asked,
)
from leadflow_cli.verify.kinds import Disagreement
from leadflow_cli.verify.notes import Notes
from leadflow_cli.verify.walk_ledger import LedgerWalk
from leadflow_cli.verify.walk_log import LogWalk
from leadflow_cli.verify.wire import SMTP, mail_sha256

NOTE_ACCEPTED = "INSERT INTO accepted VALUES (?, ?, ?, ?, ?)"
FOREIGN = """
    DELETE FROM accepted WHERE key IS NULL OR key NOT IN (
        SELECT message_id FROM ledger UNION SELECT message_id FROM queued
    )
"""


@dataclass(frozen=True, slots=True)
class Accounts:
    """Where the three accounts are. `group` is the dispatcher's consumer group."""

    kafka_bootstrap: str
    database_url: str
    sandbox_url: str
    group: str


def verify(
    accounts: Accounts,
    notes: Notes,
    *,
    tenant_id: str | None,
    kept: Mapping[str, Head] | None,
    found: Callable[[Disagreement], None],
    tell: Callable[[str, int], None],
) -> dict[str, Head]:
    """Calls `found` with every disagreement; returns the heads of the chains. Raises CliError."""
    reached = reach_of(accounts.kafka_bootstrap, accounts.group, MESSAGES.name)
    walk = LedgerWalk(accounts.database_url, tenant_id)
    with SandboxClient(accounts.sandbox_url) as sandbox:
        early, _ = _accepted(sandbox, notes, tell, since=0, early=True)
        asyncio.run(walk.whole(notes, found, tell, kept))
        for disagreement in asked(notes, OF_THE_CHAIN):
            found(disagreement)
        with reader(accounts.kafka_bootstrap) as log:
            read_to = {number: reach.next for number, reach in reached.items()}
            LogWalk(notes, tenant_id, read_to).whole(log, tell)
        _, began = _accepted(sandbox, notes, tell, since=early, early=False)
    if tenant_id is not None:
        notes.db.execute(FOREIGN)
    notes.db.execute(SUSPECTS)
    asyncio.run(walk.again(notes))
    since = int(began.timestamp() * 1_000_000)
    for disagreement in asked(notes, OF_THE_LOG):
        found(disagreement)
    for disagreement in asked(notes, OF_THE_PROVIDER, since=since):
        found(disagreement)
    if tenant_id is None:
        for disagreement in asked(notes, OF_ALL_TENANTS):
            found(disagreement)
    return walk.heads


def _accepted(
    sandbox: SandboxClient,
    notes: Notes,
    tell: Callable[[str, int], None],
    *,
    since: int,
    early: bool,
) -> tuple[int, datetime]:
    """Notes what was accepted from entry `since` on; returns how far, and when the list began."""
    seen = since
    while True:
        items, began = sandbox.accepted_page(seen)
        if not items:
            return seen, began
        notes.add(
            NOTE_ACCEPTED,
            [
                (item["id"], item["key"], item["channel"], _hash_of(sandbox, item), int(early))
                for item in items
            ],
        )
        seen += len(items)
        tell("sends that the provider accepted", seen)


def _hash_of(sandbox: SandboxClient, item: dict[str, Any]) -> str:
    """The hash of what was accepted; of a mail without its date."""
    if item["channel"] != SMTP:
        return str(item["body_sha256"])
    return mail_sha256(sandbox.mail(item["id"]))
