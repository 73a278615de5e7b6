"""The chain of a tenant's messages in PostgreSQL: written by every end, and by nothing else."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

import dispatcher.migrations
from dispatcher.decide import Decision
from dispatcher.doubts import accepted_after_all, settled_by_people
from dispatcher.ledger import Ledger, Settled, arrive
from dispatcher.model import Arrival, Content, State
from leadflow import database
from leadflow.codec import Codec
from leadflow.records import DoubtSettled
from leadflow_cli.verify.chain import ChainWalk, Head, Link

from .dispatching import own_database

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

LINKS = """
    SELECT tenant_id, seq, message_id, state, rule, body_sha256, provider, provider_id,
        response_sha256, (extract(epoch FROM at) * 1000000)::bigint AS at_us, previous, hash,
        format, lead_id, channel, to_sha256
    FROM chain ORDER BY tenant_id COLLATE "C", seq
"""
INSERT = """
    INSERT INTO ledger (message_id, tenant_id, lead_id, channel, attempt, recipient, address,
        compliance_note, stop_on, due_at, ready_at, payload, state)
    VALUES (:id, :tenant_id, 'l', 'email', 1, 'a', 'a', '', '{}', now(), now(), '{}', 'queued')
"""


FOLDER = Path(dispatcher.migrations.__path__[0])
LATER = {path.stem for path in FOLDER.glob("0*.py") if path.stem > "0003_chain"}


@pytest.fixture
async def engine(admin_url: str, secret: str) -> AsyncIterator[AsyncEngine]:
    async with own_database(admin_url, secret) as url:
        made = database.engine(url, pool_size=5)
        try:
            yield made
        finally:
            await made.dispose()


@pytest.fixture
async def admin(engine: AsyncEngine, admin_url: str) -> AsyncIterator[AsyncEngine]:
    """The administrator in the database of `engine`."""
    url = make_url(admin_url).set(database=engine.url.database)
    made = database.engine(url.render_as_string(hide_password=False), pool_size=1)
    try:
        yield made
    finally:
        await made.dispose()


def arrival(tenant_id: str, message_id: str = "") -> Arrival:
    now = datetime.now(UTC)
    payload = b'{"subject":"Gr\xc3\xbc\xc3\x9fe","text":"Hi","to":"ann@example.com"}'
    return Arrival(
        message_id=message_id or str(uuid4()),
        tenant_id=tenant_id,
        lead_id=str(uuid4()),
        owner=None,
        enrollment_id=None,
        sequence_id=None,
        step_id=None,
        channel="email",
        attempt=1,
        first_message_id=None,
        recipient="ann@example.com",
        compliance_note="",
        enrolled_at=None,
        stop_on=(),
        due_at=now,
        content=Content(payload=payload, sha256=hashlib.sha256(payload).hexdigest()),
    )


async def enter(engine: AsyncEngine, *arrivals: Arrival) -> None:
    async with engine.begin() as connection:
        await arrive(connection, [(each, None) for each in arrivals])


async def send_all(engine: AsyncEngine, *, limit: int, response: str = "{}") -> int:
    """Claim and settle as sent until nothing is due; returns how many."""
    ledger, count = Ledger(engine, str(uuid4())), 0
    while entries := await ledger.claim("email", "email-api", limit=limit, lease_seconds=20):
        sent = Decision(
            state=State.SENT, presented=True, provider_id=str(uuid4()), response=response
        )
        count += await ledger.settle(
            [Settled(entry=entry, decision=sent, event=b"") for entry in entries]
        )
    return count


async def wrong(engine: AsyncEngine) -> tuple[list[Link], list[str]]:
    """The rows of all chains, and what a walk over them finds."""
    async with engine.connect() as connection:
        links = [Link(**row) for row in (await connection.execute(text(LINKS))).mappings()]
        heads = {
            row.tenant_id: Head(row.seq, row.hash)
            for row in await connection.execute(text("SELECT * FROM chain_heads"))
        }
    walk = ChainWalk(heads)
    found = [str(each) for link in links for each in walk.step(link)]
    return links, found + [str(each) for each in walk.end()]


async def test_every_end_is_a_row_that_goes_on_from_the_one_before(engine: AsyncEngine) -> None:
    await enter(engine, *(arrival(tenant) for tenant in ("a", "b", "a", "a")))
    assert await send_all(engine, limit=3, response='{"said": "Grüße \\u0001"}') == 4
    links, found = await wrong(engine)
    assert found == []
    assert [(link.tenant_id, link.seq) for link in links] == [
        ("a", 1), ("a", 2), ("a", 3), ("b", 1)
    ]  # fmt: skip
    said = hashlib.sha256('{"said": "Grüße \\u0001"}'.encode()).hexdigest()
    assert {(link.state, link.provider, link.response_sha256) for link in links} == {
        ("sent", "email-api", said)
    }
    assert links[0].previous == b""
    assert links[1].previous == links[0].hash
    async with engine.connect() as connection:
        ledger = await connection.execute(text("SELECT * FROM ledger"))
        whose = {row.message_id: row for row in ledger}
    for link in links:
        row = whose[link.message_id]
        to = f'["{row.salt}", "ann@example.com", "ann@example.com"]'
        assert (link.format, link.lead_id, link.channel, link.to_sha256) == (
            2,
            row.lead_id,
            "email",
            hashlib.sha256(to.encode()).hexdigest(),
        )


async def test_somebody_at_a_prompt_does_not_get_round_it(
    engine: AsyncEngine, admin: AsyncEngine
) -> None:
    await enter(engine, arrival("a", "m-1"), arrival("a", "m-2"))
    async with admin.begin() as connection:
        for state in ("claimed", "failed"):
            await connection.execute(
                text("UPDATE dispatcher.ledger SET state = :state"), {"state": state}
            )
    links, found = await wrong(engine)
    assert found == []
    assert [(link.message_id, link.state) for link in links] == [
        ("m-1", "failed"),
        ("m-2", "failed"),
    ]


REFUSED = (
    "UPDATE chain SET state = 'failed'",
    "DELETE FROM chain",
    "TRUNCATE chain",
    "INSERT INTO chain SELECT tenant_id, seq + 1, message_id, state, rule, body_sha256, provider,"
    " provider_id, response_sha256, at, hash, hash FROM chain",
    "UPDATE chain_heads SET seq = 0",
    "DELETE FROM chain_heads",
    "DELETE FROM ledger",
    "TRUNCATE ledger",
    "UPDATE ledger SET lead_id = 'other'",
    "UPDATE ledger SET channel = 'sms'",
    "UPDATE ledger SET recipient = 'other'",
    "UPDATE ledger SET address = 'other'",
    "UPDATE ledger SET tenant_id = 'other'",
    "UPDATE ledger SET salt = gen_random_uuid()",
    "UPDATE ledger SET provider_id = 'other'",
    "UPDATE ledger SET response = 'other'",
    "UPDATE ledger SET payload = 'other'",
    "UPDATE ledger SET body_sha256 = 'other'",
    "UPDATE ledger SET rule = 'other'",
    "UPDATE ledger SET state = 'queued'",
)


async def test_what_is_written_is_neither_changed_nor_removed(engine: AsyncEngine) -> None:
    await enter(engine, arrival("a"))
    await send_all(engine, limit=1)
    before = await wrong(engine)
    for statement in REFUSED:
        async with engine.connect() as connection:
            with pytest.raises(IntegrityError):
                await connection.execute(text(statement))
    assert await wrong(engine) == before


async def test_bytes_and_answers_may_be_erased_and_the_chain_stays(engine: AsyncEngine) -> None:
    await enter(engine, arrival("a"))
    await send_all(engine, limit=1)
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "UPDATE ledger SET payload = NULL, response = NULL, recipient = '', address = '',"
                " salt = NULL"
            )
        )
    links, found = await wrong(engine)
    assert (len(links), found) == (1, [])


async def test_a_doubt_that_is_settled_is_two_rows(engine: AsyncEngine) -> None:
    await enter(engine, arrival("a", "m-1"))
    async with engine.begin() as connection:
        for state in ("claimed", "unknown", "sent"):
            await connection.execute(text("UPDATE ledger SET state = :state"), {"state": state})
    links, found = await wrong(engine)
    assert found == []
    assert [(link.message_id, link.state) for link in links] == [
        ("m-1", "unknown"),
        ("m-1", "sent"),
    ]


async def test_workers_that_settle_for_the_same_tenants_wait_for_each_other(
    engine: AsyncEngine,
) -> None:
    """Tenants lie in the batches in every order: without one order of locks this can deadlock."""
    tenants = [f"t{number}" for number in range(7)]
    arrivals = [arrival(tenants[(number * 5) % 7 - number % 3]) for number in range(420)]
    await enter(engine, *arrivals)
    counts = await asyncio.gather(*(send_all(engine, limit=5) for _ in range(4)))
    assert sum(counts) == 420
    links, found = await wrong(engine)
    assert (len(links), found) == (420, [])


async def test_what_was_in_the_ledger_before_the_chain_begins_it(
    engine: AsyncEngine, admin: AsyncEngine
) -> None:
    def migration(name: str) -> Any:
        return importlib.import_module(f"dispatcher.migrations.{name}")

    async def run(connection: AsyncConnection, *names: str) -> None:
        for name in names:
            # One without statements moves rows of a kind that this test has none of.
            for statement in getattr(migration(name), "STATEMENTS", ()):
                await connection.execute(text(statement))

    async with admin.begin() as connection:
        await connection.execute(text("DROP SCHEMA dispatcher CASCADE"))
        await connection.execute(text("CREATE SCHEMA dispatcher AUTHORIZATION dispatcher"))
    async with engine.begin() as connection:
        await run(connection, "0001_ledger", "0002_releases")
        for tenant_id in ("a", "b", "a", "c"):
            await connection.execute(text(INSERT), {"tenant_id": tenant_id, "id": str(uuid4())})
        for state in ("claimed", "sent"):
            await connection.execute(
                text("UPDATE ledger SET state = :state WHERE tenant_id <> 'c'"), {"state": state}
            )
        await run(connection, "0003_chain")
        for state in ("claimed", "failed"):
            await connection.execute(
                text("UPDATE ledger SET state = :state WHERE tenant_id = 'c'"), {"state": state}
            )
        # Links that do not say whose a message was stay, and others go on from them.
        others = await connection.scalar(text("SELECT count(*) FROM chain"))
        await run(connection, *sorted(LATER))
        await connection.execute(text(INSERT), {"tenant_id": "a", "id": "m-new"})
        for state in ("claimed", "sent"):
            await connection.execute(
                text("UPDATE ledger SET state = :state WHERE message_id = 'm-new'"),
                {"state": state},
            )
    assert others == 4
    links, found = await wrong(engine)
    assert found == []
    assert [(link.tenant_id, link.seq, link.state, link.format) for link in links] == [
        ("a", 1, "sent", 1), ("a", 2, "sent", 1), ("a", 3, "sent", 2), ("b", 1, "sent", 1),
        ("c", 1, "failed", 1),
    ]  # fmt: skip


async def test_a_queue_that_was_measured_while_it_was_empty_is_claimed_without_reading_it_whole(
    engine: AsyncEngine,
) -> None:
    """With figures of an empty queue the planner once read all that is due for each message."""
    await enter(engine, *(arrival("a") for _ in range(50)))
    await send_all(engine, limit=50)
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("VACUUM ANALYZE ledger"))
    await enter(engine, *(arrival("a") for _ in range(2_000)))
    async with engine.begin() as connection:
        await connection.execute(text("SELECT * FROM due_messages('email', 100)"))
        read = await connection.scalar(
            text(
                "SELECT sum(pg_stat_get_xact_tuples_returned(oid)) FROM pg_class"
                " WHERE relname LIKE 'ledger%'"
            )
        )
    assert int(read or 0) < 1_000, "100 messages, each looked at a few times, of 2,000"


def word(message_id: str, outcome: str) -> DoubtSettled:
    now = datetime.now(UTC)
    return DoubtSettled(
        event_id=str(uuid4()),
        tenant_id="a",
        occurred_at=now,
        recorded_at=now,
        source="portal-api",
        lead_id="l",
        message_id=message_id,
        outcome=outcome,
        provider_id="p-1" if outcome == "sent" else None,
        settled_by="ren",
        reason="asked the provider",
    )


async def test_people_and_the_providers_report_settle_doubts_and_only_those(
    engine: AsyncEngine,
) -> None:
    codec, now = Codec(), datetime.now(UTC)
    ids = ["m-1", "m-2", "m-3", "m-4"]
    await enter(engine, *(arrival("a", each) for each in [*ids, "m-queued"]))
    async with engine.begin() as connection:
        for state in ("claimed", "unknown"):
            await connection.execute(
                text("UPDATE ledger SET state = :state WHERE message_id = ANY(:ids)"),
                {"state": state, "ids": ids},
            )
        words = [word("m-1", "sent"), word("m-2", "failed"), word("m-queued", "failed")]
        assert await settled_by_people(connection, [*words, word("m-3", "lost")], codec, now) == 2
        # A word that comes again, or after another, finds no doubt.
        again = [word("m-1", "failed"), word("m-2", "sent")]
        assert await settled_by_people(connection, again, codec, now) == 0
        assert await accepted_after_all(connection, ["m-3", "m-3", "m-1"], codec, now) == 1
    async with engine.connect() as connection:
        told = [
            codec.decode(value)
            for value in await connection.scalars(
                text("SELECT value FROM outbox ORDER BY position")
            )
        ]
        rows = (
            await connection.execute(
                text("SELECT message_id, state, rule, in_doubt FROM ledger ORDER BY message_id")
            )
        ).all()
    assert [tuple(row) for row in rows] == [
        ("m-1", "sent", "settled_by_person", False),
        ("m-2", "failed", "settled_by_person", False),
        ("m-3", "sent", "reported_by_provider", False),
        ("m-4", "unknown", None, False),
        ("m-queued", "queued", None, False),
    ]
    assert [(each.TYPE, each.to_avro()["message_id"]) for each in told] == [
        ("MessageSent", "m-1"),
        ("MessageFailed", "m-2"),
        ("MessageSent", "m-3"),
    ]
    links, found = await wrong(engine)
    assert (len(links), found) == (7, [])
