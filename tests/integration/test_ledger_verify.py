"""`leadflow ledger verify` on real servers: each tampering is found and named.

One world is filled once, then copied for each test: what a test breaks is broken for it alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import make_url, text

from leadflow import database, topics
from leadflow.kafka.port import Outgoing
from leadflow.records import ConsentChanged, MessageFailed, MessageSent
from leadflow_cli.verify import columns
from leadflow_cli.verify.chain import Head
from leadflow_cli.verify.kinds import Disagreement, Kind
from leadflow_cli.verify.notes import new_notes
from leadflow_cli.verify.run import Accounts, verify

from .dispatching import World, a_world, queued, said

pytestmark = [
    pytest.mark.integration,
    pytest.mark.either_server,
    pytest.mark.asyncio(loop_scope="module"),
]

LAST = 23  # ends, and so rows of the chain
FREE = "SET session_replication_role = replica"  # a superuser who switches triggers off


@dataclass
class Filled:
    """A world whose messages have all come to an end, and what a look at it takes."""

    world: World
    admin_url: str
    messages: dict[str, str]
    found: list[Disagreement] = field(default_factory=list)
    database: str = ""

    @property
    def accounts(self) -> Accounts:
        url = make_url(self.admin_url).set(database=self.database)
        return Accounts(
            kafka_bootstrap=self.world.bootstrap,
            database_url=url.render_as_string(hide_password=False),
            sandbox_url=str(self.world.sandbox.base_url),
            group=self.world.group,
        )

    async def look(self, *, whole: bool = False, kept: Any = None) -> dict[str, Head]:
        """Verify, of this tenant alone unless `whole`."""

        def run() -> dict[str, Head]:
            self.found.clear()
            with new_notes() as notes:
                return verify(
                    self.accounts,
                    notes,
                    tenant_id=None if whole else self.world.tenant,
                    kept=kept,
                    found=self.found.append,
                    tell=lambda what, count: None,
                )

        return await asyncio.to_thread(run)

    @property
    def said(self) -> set[tuple[str, str | None]]:
        return {(str(each.kind), each.message_id) for each in self.found}

    async def tamper(self, *statements: str, **values: Any) -> None:
        """As a superuser, past every trigger."""
        admin = database.engine(self.accounts.database_url, pool_size=1)
        try:
            async with admin.begin() as connection:
                await connection.execute(text(FREE))
                for statement in statements:
                    await connection.execute(text(statement), values)
        finally:
            await admin.dispose()


@asynccontextmanager
async def copied(filled: Filled) -> AsyncIterator[None]:
    """A copy of the database for one test."""
    source = make_url(filled.world.database_url).database
    filled.database = f"verify_{uuid4().hex}"
    admin = database.engine(filled.admin_url, pool_size=1)
    admin = admin.execution_options(isolation_level="AUTOCOMMIT")
    try:
        async with admin.connect() as connection:
            await filled.world.engine.dispose()  # a template has no other users
            await connection.execute(text(f"CREATE DATABASE {filled.database} TEMPLATE {source}"))
            yield
            await connection.execute(text(f"DROP DATABASE {filled.database} WITH (FORCE)"))
    finally:
        await admin.dispose()


async def fill(world: World) -> dict[str, str]:
    """Messages with every end; returns their ids by a name."""
    sent = [queued(world.tenant, number) for number in range(19)]
    mail = queued(world.tenant, "out")
    call = queued(world.tenant, "task", channel="task", recipient="dana")
    refused = queued(world.tenant, "never")
    held = queued(world.tenant, "hole", body="Hi {{ last_name }}")
    await world.fault(target="email", mode="reject", match={"to": "never@"})
    await world.publish(
        said(mail, ConsentChanged, channel="email", granted=False, address=mail.recipient)
    )
    await world.publish(*sent, call, refused, held)
    async with world.running():
        for message in sent:
            await world.becomes(message, "MessageSent")
        await world.becomes(call, "MessageRecorded")
        await world.becomes(refused, "MessageFailed")
        await world.publish(mail)
        await world.becomes(mail, "MessageSuppressed")
        await world.becomes(held, "MessageHeld")
    await world.no_faults()
    mailed = queued(world.tenant, "smtp")
    await world.publish(mailed)
    async with world.running(LEADFLOW_EMAIL_VIA="smtp"):
        await world.becomes(mailed, "MessageSent")
    named = {f"sent{number}": message.message_id for number, message in enumerate(sent[:9])}
    more = {f"for{number}": message.message_id for number, message in enumerate(sent[9:])}
    return {
        **named,
        **more,
        "recorded": call.message_id,
        "failed": refused.message_id,
        "suppressed": mail.message_id,
        "held": held.message_id,
        "mailed": mailed.message_id,
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(
    kafka_bootstrap: str, admin_url: str, secret: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Filled]:
    folder = tmp_path_factory.mktemp("verify")
    async with a_world(kafka_bootstrap, admin_url, secret, folder) as world:
        yield Filled(world, admin_url, await fill(world))


@pytest_asyncio.fixture(loop_scope="module")
async def filled(shared: Filled) -> AsyncIterator[Filled]:
    async with copied(shared):
        yield shared


async def test_a_ledger_that_nobody_touched_agrees(filled: Filled) -> None:
    heads = await filled.look()
    assert filled.found == []
    assert heads[filled.world.tenant].seq == LAST
    assert len(heads[filled.world.tenant].hash) == 32


LEDGER, CHAIN, OF = "UPDATE dispatcher.ledger", "UPDATE dispatcher.chain", "WHERE message_id = :id"
UNLIKE_ALL = {Kind.LEDGER_ROW_CHANGED, Kind.TOPIC_DIFFERS}
CHANGED = {Kind.CHAIN_ROW_CHANGED, Kind.LEDGER_ROW_CHANGED}
# Message, statement, and every kind that is to be named for it: each of another message.
TAMPERED: list[tuple[str, str, set[Kind]]] = [
    (
        "sent1",
        f"DELETE FROM dispatcher.ledger {OF}",
        {Kind.LEDGER_ROW_REMOVED, Kind.TOPIC_NOT_IN_LEDGER, Kind.EVENT_WITHOUT_END},
    ),
    ("for0", f"{LEDGER} SET recipient = 'eve@evil.example' {OF}", UNLIKE_ALL),
    ("for1", f"{LEDGER} SET lead_id = 'another' {OF}", UNLIKE_ALL),
    ("for2", f"{LEDGER} SET address = 'eve@evil.example' {OF}", UNLIKE_ALL),
    ("for3", f"{LEDGER} SET channel = 'sms' {OF}", UNLIKE_ALL),
    ("for4", f"{LEDGER} SET salt = gen_random_uuid() {OF}", {Kind.LEDGER_ROW_CHANGED}),
    ("for5", f"{LEDGER} SET recipient = '', address = '', salt = NULL {OF}", set()),
    ("for6", f"{CHAIN} SET lead_id = 'another' {OF}", CHANGED),
    ("for7", f"{CHAIN} SET channel = 'sms' {OF}", CHANGED),
    ("for8", f"{CHAIN} SET to_sha256 = encode(sha256('eve'), 'hex') {OF}", CHANGED),
    ("for9", f"{CHAIN} SET format = 1 {OF}", {Kind.CHAIN_ROW_CHANGED}),
    # It has not come to an end: no chain knows it yet.
    ("held", f"{LEDGER} SET recipient = 'eve@evil.example' {OF}", {Kind.TOPIC_DIFFERS}),
    (
        "sent2",
        f"{LEDGER} SET provider_id = 'other' {OF}",
        {Kind.LEDGER_ROW_CHANGED, Kind.EVENT_DIFFERS},
    ),
    ("sent3", f"{LEDGER} SET response = 'other' {OF}", {Kind.LEDGER_ROW_CHANGED}),
    (
        "sent4",
        f"{LEDGER} SET state = 'failed' {OF}",
        {
            Kind.LEDGER_ROW_CHANGED,
            Kind.END_WITHOUT_EVENT,
            Kind.EVENT_WITHOUT_END,
            Kind.ACCEPTED_NOT_SENT,
        },
    ),
    (
        "failed",
        f"{LEDGER} SET state = 'sent' {OF}",
        {
            Kind.LEDGER_ROW_CHANGED,
            Kind.END_WITHOUT_EVENT,
            Kind.EVENT_WITHOUT_END,
            Kind.SENT_NOT_ACCEPTED,
        },
    ),
    (
        "suppressed",
        f"{LEDGER} SET rule = 'consent_refused' {OF}",
        {Kind.LEDGER_ROW_CHANGED},
    ),
    ("sent5", f"{LEDGER} SET payload = 'other' {OF}", {Kind.PAYLOAD_CHANGED}),
    (
        "sent6",
        f"{LEDGER} SET payload = 'other', body_sha256 = encode(sha256('other'), 'hex') {OF}",
        {Kind.LEDGER_ROW_CHANGED, Kind.EVENT_DIFFERS, Kind.ACCEPTED_OTHER_BYTES},
    ),
    (
        "sent7",
        f"{CHAIN} SET provider_id = 'other' {OF}",
        {Kind.CHAIN_ROW_CHANGED, Kind.LEDGER_ROW_CHANGED},
    ),
    (
        "mailed",
        f"{LEDGER} SET payload = "
        f"convert_to(replace(convert_from(payload, 'UTF8'), 'Hi', 'Ho'), 'UTF8') {OF}",
        {Kind.PAYLOAD_CHANGED, Kind.ACCEPTED_OTHER_BYTES},
    ),
    ("sent8", f"{CHAIN} SET at = at - interval '1 day' {OF}", CHANGED),
]


async def test_what_is_changed_past_every_trigger_is_named_and_nothing_else(
    filled: Filled,
) -> None:
    for name, statement, _ in TAMPERED:
        await filled.tamper(statement, id=filled.messages[name])
    await filled.look()
    assert filled.said == {
        (str(kind), filled.messages[name]) for name, _, kinds in TAMPERED for kind in kinds
    }


OTHER = {
    "text": "'other'",
    "integer": "7",
    "timestamp with time zone": "now() + interval '1 day'",
    "ARRAY": "ARRAY['other']",
    "json": """'{"purpose": "other"}'""",
    "uuid": "gen_random_uuid()",
}


async def types_of(filled: Filled) -> dict[str, str]:
    """The columns of the ledger with their types, as the database has them."""
    admin = database.engine(filled.accounts.database_url, pool_size=1)
    try:
        async with admin.connect() as connection:
            rows = await connection.execute(
                text(
                    "SELECT column_name, data_type FROM information_schema.columns "
                    "WHERE table_schema = 'dispatcher' AND table_name = 'ledger'"
                )
            )
            return {row.column_name: row.data_type for row in rows}
    finally:
        await admin.dispose()


async def test_every_column_of_the_ledger_is_compared_or_has_a_reason_not_to_be(
    filled: Filled,
) -> None:
    compared = {*columns.WITH_CHAIN, *columns.WITH_TOPIC, *columns.AS_QUEUED, *columns.OTHERWISE}
    assert not compared & columns.NOT_COMPARED.keys()
    assert compared | columns.NOT_COMPARED.keys() == (await types_of(filled)).keys()
    assert all(columns.NOT_COMPARED.values())


async def test_a_change_of_any_column_that_is_compared_is_named(filled: Filled) -> None:
    types = await types_of(filled)
    # Each change of the tenant would be looked for in the other tenant's accounts.
    of_topic = {*columns.WITH_TOPIC, *columns.AS_QUEUED} - {"tenant_id"}
    of_chain = {*columns.WITH_CHAIN} - {"tenant_id"}
    for name, changed in (("sent1", of_topic), ("sent2", of_chain), ("held", of_topic)):
        others = ", ".join(f"{column} = {OTHER[types[column]]}" for column in changed)
        await filled.tamper(f"{LEDGER} SET {others} {OF}", id=filled.messages[name])
    await filled.look()

    def named(kind: Kind, name: str) -> str:
        (detail,) = (
            each.detail
            for each in filled.found
            if each.kind is kind and each.message_id == filled.messages[name]
        )
        return detail

    for name in ("sent1", "held"):
        told = set(named(Kind.TOPIC_DIFFERS, name).partition(" differ in ")[2].split(", "))
        assert told == of_topic
    told_of_chain = named(Kind.LEDGER_ROW_CHANGED, "sent2")
    assert not {column for column in of_chain if column not in told_of_chain}


@pytest.mark.parametrize("column", ["sequence_id", "step_id", "answers", "changed_at"])
async def test_a_change_of_one_column_of_a_sent_row_is_named_by_itself(
    filled: Filled, column: str
) -> None:
    types = await types_of(filled)
    await filled.tamper(
        f"{LEDGER} SET {column} = {OTHER[types[column]]} {OF}", id=filled.messages["sent3"]
    )
    await filled.look()
    kind = Kind.LEDGER_ROW_CHANGED if column == "changed_at" else Kind.TOPIC_DIFFERS
    assert [(each.kind, each.message_id) for each in filled.found] == [
        (kind, filled.messages["sent3"])
    ]
    assert filled.found[0].detail.endswith(f"differ in {column}")


IN_CHAIN = "WHERE tenant_id = :tenant AND seq"


async def rows_of(filled: Filled) -> dict[int, str]:
    """The message of each row of the chain."""
    admin = database.engine(filled.accounts.database_url, pool_size=1)
    try:
        async with admin.connect() as connection:
            rows = await connection.execute(text("SELECT seq, message_id FROM dispatcher.chain"))
            return {row.seq: row.message_id for row in rows}
    finally:
        await admin.dispose()


async def test_a_row_removed_from_the_chain_is_named(filled: Filled) -> None:
    rows = await rows_of(filled)
    await filled.tamper(f"DELETE FROM dispatcher.chain {IN_CHAIN} = 3", tenant=filled.world.tenant)
    await filled.look()
    assert filled.said == {("chain_row_removed", rows[4]), ("not_in_chain", rows[3])}


async def test_a_removed_row_whose_followers_are_renumbered_is_named(filled: Filled) -> None:
    rows = await rows_of(filled)
    await filled.tamper(
        f"DELETE FROM dispatcher.chain {IN_CHAIN} = 3",
        f"UPDATE dispatcher.chain SET seq = seq - 100 {IN_CHAIN} > 3",
        f"UPDATE dispatcher.chain SET seq = seq + 99 {IN_CHAIN} < 0",
        f"UPDATE dispatcher.chain_heads SET seq = seq - 1 {IN_CHAIN} > 0",
        tenant=filled.world.tenant,
    )
    await filled.look()
    assert ("chain_broken", rows[4]) in filled.said
    assert ("not_in_chain", rows[3]) in filled.said
    # A row's number is in its hash, too.
    assert {each for kind, each in filled.said if kind == "chain_row_changed"} == {
        rows[number] for number in range(4, LAST + 1)
    }


async def test_a_cut_tail_is_named_by_the_head(filled: Filled) -> None:
    rows = await rows_of(filled)
    await filled.tamper(
        f"DELETE FROM dispatcher.chain {IN_CHAIN} > {LAST - 2}", tenant=filled.world.tenant
    )
    await filled.look()
    assert filled.said == {
        ("chain_cut", None),
        ("not_in_chain", rows[LAST - 1]),
        ("not_in_chain", rows[LAST]),
    }


async def test_a_tail_cut_from_chain_head_and_ledger_is_named_by_the_log_and_kept_heads(
    filled: Filled,
) -> None:
    rows, kept = await rows_of(filled), await filled.look()
    await filled.tamper(
        "DELETE FROM dispatcher.ledger WHERE message_id = :id",
        f"DELETE FROM dispatcher.chain {IN_CHAIN} > {LAST - 1}",
        "UPDATE dispatcher.chain_heads h SET seq = c.seq, hash = c.hash FROM dispatcher.chain c "
        f"WHERE c.tenant_id = h.tenant_id AND c.seq = {LAST - 1}",
        tenant=filled.world.tenant,
        id=rows[LAST],
    )
    await filled.look(kept=kept)
    assert {kind for kind, _ in filled.said} >= {
        "chain_rewritten",
        "topic_not_in_ledger",
        "event_without_end",
    }


async def test_numbers_left_out_are_a_gap(filled: Filled) -> None:
    rows = await rows_of(filled)
    await filled.tamper(
        f"UPDATE dispatcher.chain SET seq = seq + 10 {IN_CHAIN} = {LAST}",
        "UPDATE dispatcher.chain_heads SET seq = seq + 10",
        tenant=filled.world.tenant,
    )
    await filled.look()
    assert filled.said == {("chain_gap", rows[LAST]), ("chain_row_changed", rows[LAST])}


async def test_a_row_that_only_the_ledger_has_is_named(filled: Filled) -> None:
    await filled.tamper(
        "CREATE TEMP TABLE one AS SELECT * FROM dispatcher.ledger WHERE message_id = :id",
        "UPDATE one SET message_id = 'forged', position = position + 1000",
        "INSERT INTO dispatcher.ledger OVERRIDING SYSTEM VALUE SELECT * FROM one",
        id=filled.messages["sent1"],
    )
    await filled.look()
    assert filled.said == {
        (kind, "forged")
        for kind in (
            "ledger_not_in_topic",
            "end_without_event",
            "not_in_chain",
            "sent_not_accepted",
        )
    }


async def test_events_that_the_ledger_does_not_know_are_named(filled: Filled) -> None:
    world, message_id = filled.world, filled.messages["held"]
    now = datetime.now(UTC)
    about: dict[str, Any] = {
        "tenant_id": world.tenant,
        "occurred_at": now,
        "recorded_at": now,
        "source": "somebody",
        "lead_id": "l",
        "enrollment_id": None,
        "sequence_id": None,
        "step_id": None,
        "channel": "email",
        "provider": "email-api",
        "provider_id": None,
    }
    forged = [
        MessageSent(
            **about,
            event_id=str(uuid4()),
            message_id=message_id,
            body_hash="",
            accepted_at=now,
            epoch=1,
        ),
        MessageFailed(
            **about,
            event_id=str(uuid4()),
            message_id="nobody",
            error_class="",
            reason="",
            attempts=1,
        ),
    ]
    await world.producer.send(
        [
            Outgoing(topics.MESSAGE_EVENTS.name, b"l", world.codec.encode(record))
            for record in forged
        ]
    )
    await filled.look()
    assert filled.said == {("event_without_end", message_id), ("event_without_end", "nobody")}


async def test_what_the_provider_has_beyond_the_ledger_is_named(filled: Filled) -> None:
    """Last of this file: what the sandbox accepted stays accepted."""
    twice, held = filled.messages["sent0"], filled.messages["held"]
    send = {"to": "+15125550100", "text": "Hi"}

    async def accept(key: str | None) -> None:
        headers = {} if key is None else {"Idempotency-Key": key}
        answer = await filled.world.sandbox.post("/providers/sms", json=send, headers=headers)
        answer.raise_for_status()

    for key in (twice, held, "stranger", None):
        await accept(key)
    await filled.look()
    provider = {"accepted_twice", "accepted_not_sent", "accepted_other_bytes"}
    assert {each for each in filled.said if each[0] in provider} == {
        ("accepted_twice", twice),
        ("accepted_other_bytes", twice),
        ("accepted_not_sent", held),
    }
    await filled.look(whole=True)
    assert {("accepted_never_queued", "stranger"), ("accepted_without_key", None)} <= filled.said
    await the_command_says_so(filled)


async def the_command_says_so(filled: Filled) -> None:
    accounts, tenant = filled.accounts, filled.world.tenant
    asked = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, *["-m", "leadflow_cli", "ledger", "verify", "--json", "--tenant"], tenant],
        env={
            **os.environ,
            "LEADFLOW_HOME": str(filled.world.logs),
            "LEADFLOW_KAFKA_BOOTSTRAP": accounts.kafka_bootstrap,
            "LEADFLOW_DATABASE_URL": accounts.database_url,
            "LEADFLOW_SANDBOX_URL": accounts.sandbox_url,
            "LEADFLOW_GROUP": accounts.group,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode == 1, asked.stderr
    *lines, last = map(json.loads, asked.stdout.splitlines())
    assert {"kind": "accepted_twice", "message_id": filled.messages["sent0"]}.items() <= next(
        line for line in lines if line["kind"] == "accepted_twice"
    ).items()
    assert (last["agree"], last["disagreements"]["accepted_twice"]) == (False, 1)
    assert last["heads"][filled.world.tenant]["seq"] == LAST
