"""What providers reported, in PostgreSQL: judged once by however many workers, and not lost."""

from __future__ import annotations

import asyncio
import importlib
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatcher import engagement_store
from dispatcher.callbacks import Callback
from dispatcher.engagement_apply import CallbackApplier
from dispatcher.pace import Wakeup
from leadflow import database
from leadflow.clock import SystemClock
from leadflow.codec import Codec

from .dispatching import own_database

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

INSERT = text("""
    INSERT INTO ledger (message_id, tenant_id, lead_id, channel, attempt, recipient, address,
        compliance_note, stop_on, due_at, ready_at, payload, body_sha256, state)
    VALUES (:id, 'acme', :id, 'email', 1, :id, :id, '', '{}', now(), now(), '{}', '', 'queued')
""")
MIGRATIONS = ("0001_ledger", "0002_releases", "0003_chain", "0004_limits", "0005_suppressions")


@pytest.fixture
async def engine(admin_url: str, secret: str) -> AsyncIterator[AsyncEngine]:
    async with own_database(admin_url, secret) as url:
        made = database.engine(url, pool_size=5)
        try:
            yield made
        finally:
            await made.dispose()


async def enter(engine: AsyncEngine, *message_ids: str, provider: str, ends: str = "sent") -> None:
    """Messages that went out over a provider, whose id for each is `p-` and ours."""
    async with engine.begin() as connection:
        for message_id in message_ids:
            await connection.execute(INSERT, {"id": message_id})
        for state in ("claimed", ends):
            await connection.execute(
                text(
                    "UPDATE ledger SET state = :state, provider = :provider,"
                    " in_doubt = :state <> 'sent', provider_id ="
                    " CASE WHEN :state = 'sent' THEN 'p-' || message_id END"
                    " WHERE message_id = ANY (:ids)"
                ),
                {"state": state, "provider": provider, "ids": list(message_ids)},
            )


def report(kind: str, about: str, *, source: str = "resend", **changes: Any) -> Callback:
    now = datetime.now(UTC)
    fields: dict[str, Any] = {
        "event_id": str(uuid4()),
        "tenant_id": "acme",
        "source": source,
        "kind": kind,
        "message_id": None,
        "provider_id": f"p-{about}",
        "occurred_at": now,
        "received_at": now,
        "details": {},
    }
    return Callback(**{**fields, **changes})


async def receive(engine: AsyncEngine, *reports: Callback, hold_seconds: float = 0.0) -> None:
    async with engine.begin() as connection:
        await engagement_store.receive(connection, [(each, hold_seconds) for each in reports])


async def look(engine: AsyncEngine, *, limit: int = 1_000) -> int:
    applier = CallbackApplier(Codec(), SystemClock(), Wakeup())
    async with engine.begin() as connection:
        return await applier.apply(connection, limit=limit)


async def told(engine: AsyncEngine) -> list[tuple[str, str]]:
    """(type, message id) of what waits to be published, in its order."""
    async with engine.connect() as connection:
        rows = await connection.execute(
            text("SELECT value FROM outbox WHERE topic = 'message-events' ORDER BY position")
        )
        records = [Codec().decode(value) for value in rows.scalars()]
    return [(each.TYPE, each.to_avro()["message_id"]) for each in records]


async def outcomes(engine: AsyncEngine) -> Counter[str | None]:
    async with engine.connect() as connection:
        return Counter((await connection.execute(text("SELECT outcome FROM callbacks"))).scalars())


async def test_however_many_look_at_once_a_delivery_is_told_once(engine: AsyncEngine) -> None:
    ids = [f"m-{number}" for number in range(40)]
    await enter(engine, *ids, provider="resend")
    await receive(engine, *(report("delivered", each) for each in ids * 3))

    async def worker() -> None:
        # Who comes while another one judges goes away again.
        for _ in range(8):
            await look(engine, limit=13)

    await asyncio.gather(*(worker() for _ in range(3)))
    while (await outcomes(engine))[None]:
        await look(engine)
    assert Counter(await told(engine)) == Counter([("MessageDelivered", each) for each in ids])
    assert await outcomes(engine) == Counter({"applied": 40, "repeat": 80})


async def test_opens_and_clicks_are_looked_at_when_their_neighbours_are_here(
    engine: AsyncEngine,
) -> None:
    await enter(engine, "m-1", provider="resend")
    later = datetime.now(UTC) + timedelta(minutes=9)
    links = [
        report("clicked", "m-1", occurred_at=later, details={"url": f"https://{n}.example"})
        for n in range(2)
    ]
    await receive(engine, links[0], hold_seconds=60)
    assert await look(engine) == 0
    await receive(engine, links[1], hold_seconds=60)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE callbacks SET ready_at = now()"))
        await connection.execute(text("UPDATE ledger SET changed_at = now() - interval '1 hour'"))
        await connection.execute(text("UPDATE callbacks SET received_at = occurred_at"))
    assert await look(engine) == 2
    async with engine.connect() as connection:
        values = (await connection.execute(text("SELECT value FROM outbox"))).scalars()
        labels = {Codec().decode(value).to_avro()["automated_reason"] for value in values}
    assert labels == {"burst"}


async def test_what_nobody_knows_is_looked_at_ever_more_rarely(engine: AsyncEngine) -> None:
    await receive(engine, report("delivered", "nobody"))
    assert await look(engine) == 0
    assert await look(engine) == 0
    age = text("UPDATE callbacks SET received_at = now() - CAST(:age AS interval)")
    again = text("UPDATE callbacks SET ready_at = now()")
    wait = text("SELECT ready_at - now() FROM callbacks")
    for old, waits in (
        (timedelta(seconds=8), timedelta(seconds=8)),
        (timedelta(hours=1), timedelta(minutes=5)),
    ):
        async with engine.begin() as connection:
            await connection.execute(age, {"age": old})
            await connection.execute(again)
            applier = CallbackApplier(Codec(), SystemClock(), Wakeup())
            assert await applier.apply(connection, limit=10) == 0
            assert await connection.scalar(wait) == waits
    async with engine.begin() as connection:
        await connection.execute(age, {"age": timedelta(days=7, seconds=1)})
        await connection.execute(again)
    assert await look(engine) == 1
    assert await outcomes(engine) == Counter({"unknown_message": 1})


async def test_a_look_at_a_few_reports_reads_no_table_whole(engine: AsyncEngine) -> None:
    """Whatever the planner was told: the figures are those of tables that were empty."""
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("VACUUM ANALYZE callbacks"))
        await connection.execute(text("VACUUM ANALYZE ledger"))
    ids = [f"m-{number}" for number in range(3_000)]
    async with engine.begin() as connection:
        await connection.execute(INSERT, [{"id": each} for each in ids])
    async with engine.begin() as connection:
        await connection.execute(
            text("""
                INSERT INTO callbacks (event_id, tenant_id, source, kind, provider_id, occurred_at,
                    details, applied_at, outcome, about, told)
                SELECT 'c-' || n, 'acme', 'resend', 'delivered', 'p-m-' || n, now(), '{}', now(),
                    'applied', 'm-' || n, 'delivered' FROM generate_series(10, 3000) AS n
            """)
        )
    await receive(engine, *(report("delivered", each) for each in ids[:10]))
    await receive(engine, *(report("opened", each, message_id=each) for each in ids[:10]))
    async with engine.begin() as connection:
        due = await engagement_store.due(connection, limit=1_000)
        messages = [message for each in due for message, _ in each.messages]
        await engagement_store.told_of(connection, {each.message_id for each in messages})
        await engagement_store.around(connection, messages)
        rows = await connection.execute(
            text(
                "SELECT relname, pg_stat_get_xact_tuples_returned(oid) AS read FROM pg_class"
                " WHERE relname LIKE 'ledger%' OR relname LIKE 'callbacks%'"
            )
        )
        read = {row.relname: row.read for row in rows if row.read}
    assert len(messages) == 10
    assert sum(read.values()) < 500, read


async def test_a_report_that_names_our_id_settles_a_doubt_and_the_send_is_told_first(
    engine: AsyncEngine,
) -> None:
    await enter(engine, "m-1", "m-2", provider="twilio-sms", ends="unknown")
    await receive(
        engine,
        report("delivered", "m-1", source="twilio", message_id="m-1", provider_id="SM1"),
        # Another provider's word settles nothing.
        report("delivered", "m-2", source="resend", message_id="m-2", provider_id="x"),
    )
    assert await look(engine) == 2
    assert await told(engine) == [("MessageSent", "m-1"), ("MessageDelivered", "m-1")]
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT state FROM ledger ORDER BY message_id"))
        assert list(rows.scalars()) == ["sent", "unknown"]


async def test_reports_from_before_the_rules_are_known_and_not_told_again(
    engine: AsyncEngine, admin_url: str
) -> None:
    url = make_url(admin_url).set(database=engine.url.database)
    admin = database.engine(url.render_as_string(hide_password=False), pool_size=1)
    async with admin.begin() as connection:
        await connection.execute(text("DROP SCHEMA dispatcher CASCADE"))
        await connection.execute(text("CREATE SCHEMA dispatcher AUTHORIZATION dispatcher"))
    await admin.dispose()

    async def run(*names: str) -> None:
        async with engine.begin() as connection:
            for name in names:
                module = importlib.import_module(f"dispatcher.migrations.{name}")
                for statement in module.STATEMENTS:
                    # Not `text`: a colon in a statement is no parameter.
                    await connection.exec_driver_sql(statement)

    await run(*MIGRATIONS)
    await enter(engine, "m-1", "m-2", provider="resend")
    old = text("""
        INSERT INTO callbacks
            (event_id, tenant_id, kind, message_id, provider_id, occurred_at, details, applied_at)
        VALUES (:event_id, 'acme', :kind, :message_id, :provider_id, now(), CAST(:details AS json),
            CASE WHEN :applied THEN now() END)
    """)
    rows = [
        ("a", "delivered", "m-1", None, "{}", True),
        ("b", "delivered", None, "p-m-1", "{}", True),
        ("c", "bounced", "m-1", None, '{"bounce_type": "Soft"}', True),
        ("d", "bounced", "m-2", None, '{"diagnostic": "\\u0000"}', True),
        ("e", "opened", "m-1", None, "{}", True),
        ("f", "complained", "m-2", None, "{}", False),
    ]
    names = ("event_id", "kind", "message_id", "provider_id", "details", "applied")
    async with engine.begin() as connection:
        await connection.execute(old, [dict(zip(names, row, strict=True)) for row in rows])
    await run("0006_callbacks", "0007_threads", "0008_content", "0009_calls")
    async with engine.connect() as connection:
        known = await connection.execute(
            text("SELECT about, told FROM callbacks WHERE told IS NOT NULL ORDER BY about, told")
        )
        assert [tuple(row) for row in known] == [
            ("m-1", "bounced:soft"),
            ("m-1", "delivered"),
            ("m-2", "bounced:hard"),
        ]
    await receive(engine, report("delivered", "m-1"), report("bounced", "m-2"))
    assert await look(engine) == 3
    assert await told(engine) == [("MessageComplained", "m-2")]
