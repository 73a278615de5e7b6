"""What is read goes into the ledger: rendered beside the event loop, each word in its own time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from dispatcher import bounces, engagement_store, store, thread_store
from dispatcher.callbacks import Callback, Reported
from dispatcher.content import Identity, Writer
from dispatcher.doubts import settled_by_people
from dispatcher.intake import LeadHandler
from dispatcher.ledger import Ledger
from dispatcher.model import Arrival
from dispatcher.pace import Wakeup
from dispatcher.releases import CONSENTED, Releases
from dispatcher.threads import NO_THREAD, Thread
from leadflow import database
from leadflow.clock import SystemClock
from leadflow.codec import Codec
from leadflow.kafka.loop import Received
from leadflow.kafka.port import Message
from leadflow.records import (
    ConsentChanged,
    DoubtSettled,
    MessageQueued,
    MessageReviewed,
    Record,
    ReplyReceived,
)
from leadflow.tenants import Tenant
from leadflow.tokens import Sealer

from .dispatching import own_database, queued

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

NOW = datetime.now(UTC)
ADDRESS = "Acme, 400 Congress Ave, Austin, TX 78701"
ACME = Tenant(tenant_id="acme", name="Acme", postal_address=ADDRESS, answers_keywords=("sms",))
WRITER = Writer(Identity(), Sealer("only for tests"), {"acme": ACME})


@pytest.fixture
async def engine(admin_url: str, secret: str) -> AsyncIterator[AsyncEngine]:
    async with own_database(admin_url, secret) as url:
        made = database.engine(url, pool_size=5)
        try:
            yield made
        finally:
            await made.dispose()


async def read(engine: AsyncEngine, *records: Record, writer: Writer = WRITER) -> None:
    """The records as one batch of the topics that a dispatcher reads."""
    handler = LeadHandler(
        engine, Codec(), SystemClock(), writer, to_send=Wakeup(), to_publish=Wakeup()
    )
    message = Message("lead-events", 0, 0, b"", b"", (), 0)
    await handler.handle([Received(message, record) for record in records])


async def rows(engine: AsyncEngine, question: str, **values: Any) -> list[Any]:
    async with engine.begin() as connection:
        done = await connection.execute(text(question), values)
        return [tuple(row) for row in done] if done.returns_rows else []


async def states(engine: AsyncEngine) -> dict[str, tuple[str, str | None]]:
    found = await rows(engine, "SELECT message_id, state, rule FROM ledger")
    return {message_id: (state, rule) for message_id, state, rule in found}


async def told(engine: AsyncEngine) -> list[str]:
    found = await rows(
        engine, "SELECT value FROM outbox WHERE topic = 'message-events' ORDER BY position"
    )
    return [Codec().decode(value).TYPE for (value,) in found]


class Turning(Writer):
    """Renders only while the event loop turns."""

    __slots__ = ("turned",)

    def arrive(self, queued: MessageQueued, thread: Thread = NO_THREAD) -> Arrival:
        assert TURNED.wait(10), "nothing else goes on while a template is rendered"
        TURNED.clear()
        return Writer.arrive(self, queued, thread)


TURNED = threading.Event()


async def test_while_templates_are_rendered_everything_else_goes_on(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatcher.intake.RENDER_SECONDS", 0.0)
    entered: list[int] = []

    async def turn() -> None:
        while True:
            TURNED.set()
            [(count,)] = await rows(engine, "SELECT count(*) FROM ledger")
            entered.append(count)
            await asyncio.sleep(0.01)

    turning = asyncio.create_task(turn())
    messages = [queued("acme", number) for number in range(6)]
    await read(engine, *messages, writer=Turning(Identity(), Sealer("s"), {"acme": ACME}))
    turning.cancel()
    assert len(await states(engine)) == 6
    # What is rendered goes out while the rest is being rendered.
    assert {1, 2, 3, 4, 5} & set(entered)


def keyword(word: str, event: str, number: str) -> ReplyReceived:
    return ReplyReceived(
        event_id=str(uuid4()),
        tenant_id="acme",
        occurred_at=datetime.now(UTC),
        recorded_at=datetime.now(UTC),
        source="twilio",
        lead_id="lead-1",
        owner=None,
        cause_id=event,
        channel="sms",
        from_address=number,
        automatic=False,
        keyword=word,
    )


def consent(event: str, *, granted: bool, **changes: Any) -> ConsentChanged:
    fields: dict[str, Any] = {
        "event_id": str(uuid4()),
        "tenant_id": "acme",
        "occurred_at": datetime.now(UTC),
        "recorded_at": datetime.now(UTC),
        "source": "twilio",
        "lead_id": "lead-1",
        "cause_id": event,
        "channel": "sms",
        "granted": granted,
        "basis": "opt-in" if granted else None,
        "address": "+15125550163",
    }
    return ConsentChanged(**{**fields, **changes})


STOPS: list[tuple[list[list[str]], list[str]]] = [
    # Two at once, with what they say about consent behind them or in between.
    ([["STOP", "STOP"]], ["STOP", "STOP again"]),
    ([["STOP"], ["no", "STOP"]], ["STOP", "STOP again"]),
    ([["STOP", "no", "STOP", "no"]], ["STOP", "STOP again"]),
    # Who has subscribed in between is told once more.
    ([["STOP", "START", "STOP"]], ["STOP", "START", "STOP"]),
    ([["STOP", "no"], ["START", "yes"], ["STOP"]], ["STOP", "START", "STOP"]),
    ([["STOP", "no"], ["yes"], ["STOP"]], ["STOP", "STOP"]),
    ([["HELP", "STOP", "HELP"]], ["HELP", "STOP", "HELP"]),
]


async def test_of_several_stops_the_first_is_confirmed(engine: AsyncEngine) -> None:
    """47 CFR 64.1200(a)(12): one text confirms an opt-out."""
    event = ""
    for case, (batches, answers) in enumerate(STOPS):
        number = f"+1512555{case:04}"
        for batch in batches:
            records: list[Record] = []
            for word in batch:
                if word in ("yes", "no"):
                    records.append(consent(event, granted=word == "yes", address=number))
                else:
                    event = str(uuid4())
                    records.append(keyword(word, event, number))
            await read(engine, *records)
        found = await rows(
            engine,
            "SELECT answers FROM ledger WHERE recipient = :number ORDER BY position",
            number=number,
        )
        assert [answer for (answer,) in found] == answers, batches


async def test_of_two_stops_of_one_moment_two_dispatchers_confirm_one(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two leads share the number, and are in partitions of two dispatchers."""
    both, looked = asyncio.Event(), 0
    stopped_before = thread_store.stopped_before

    async def look(connection: AsyncConnection, asked: Any) -> set[str]:
        nonlocal looked
        found = await stopped_before(connection, asked)
        looked += 1
        if looked == 2:
            both.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(both.wait(), 0.5)
        return found

    monkeypatch.setattr(thread_store, "stopped_before", look)
    number = "+15125559999"
    stops = [
        replace(keyword("STOP", f"stop-{lead}", number), lead_id=lead) for lead in ("one", "two")
    ]
    await asyncio.gather(*(read(engine, each) for each in stops))
    found = await rows(engine, "SELECT answers FROM ledger WHERE recipient = :n", n=number)
    assert sorted(answer for (answer,) in found) == ["STOP", "STOP again"]


def review(message_id: str, decision: str, **changes: Any) -> MessageReviewed:
    fields: dict[str, Any] = {
        "event_id": str(uuid4()),
        "tenant_id": "acme",
        "occurred_at": NOW,
        "recorded_at": NOW,
        "source": "portal-api",
        "lead_id": "lead-1",
        "message_id": message_id,
        "decision": decision,
        "body_hash": "",
        "reviewer": "ren",
    }
    return MessageReviewed(**{**fields, **changes})


async def test_a_rejected_message_that_a_provider_may_have_stays_a_doubt(
    engine: AsyncEngine,
) -> None:
    doubtful, fresh = (queued("acme", number) for number in range(2))
    await read(engine, doubtful, fresh)
    ids = [doubtful.message_id, fresh.message_id]
    for state in ("claimed", "held"):
        await rows(engine, f"UPDATE ledger SET state = '{state}', rule = 'paused'")
    await rows(
        engine,
        "UPDATE ledger SET in_doubt = true, provider = 'smtp' WHERE message_id = :id",
        id=doubtful.message_id,
    )
    # Another tenant's word is about nothing.
    await read(engine, *(review(each, "rejected", tenant_id="other") for each in ids))
    assert set((await states(engine)).values()) == {("held", "paused")}
    await read(engine, *(review(each, "rejected") for each in ids))
    assert await states(engine) == {
        doubtful.message_id: ("unknown", "rejected"),
        fresh.message_id: ("suppressed", "rejected"),
    }
    assert await told(engine) == ["MessageUnknown", "MessageSuppressed"]
    chained = await rows(engine, "SELECT message_id, state FROM chain ORDER BY seq")
    assert chained == [(doubtful.message_id, "unknown"), (fresh.message_id, "suppressed")]


async def test_a_doubt_is_settled_by_a_word_of_its_own_tenant_alone(engine: AsyncEngine) -> None:
    message = queued("acme")
    await read(engine, message)
    for state in ("claimed", "unknown"):
        await rows(engine, f"UPDATE ledger SET state = '{state}'")
    for tenant_id, settled in (("other", 0), ("acme", 1)):
        word = DoubtSettled(
            event_id=str(uuid4()),
            tenant_id=tenant_id,
            occurred_at=NOW,
            recorded_at=NOW,
            source="portal-api",
            lead_id=message.lead_id,
            message_id=message.message_id,
            outcome="failed",
            provider_id=None,
            settled_by="ren",
            reason="asked the provider",
        )
        async with engine.begin() as connection:
            assert await settled_by_people(connection, [word], Codec(), NOW) == settled


async def test_a_message_that_wanted_its_tenants_address_goes_once_there_is_one(
    engine: AsyncEngine,
) -> None:
    nowhere = replace(WRITER, tenants={"acme": replace(ACME, postal_address="")})
    message = queued("acme", variables={"first_name": "Ann"}, purpose="news")
    await read(engine, message, writer=nowhere)
    held = {message.message_id: ("held", "compliance_footer_missing")}
    assert await states(engine) == held
    [(sha256,)] = await rows(engine, "SELECT body_sha256 FROM ledger")
    await read(engine, review(message.message_id, "approved", body_hash=sha256), writer=nowhere)
    assert await Releases(engine, nowhere).addressed() == 0
    assert await states(engine) == held
    assert await Releases(engine, WRITER).addressed() == 1
    assert await states(engine) == {message.message_id: ("queued", None)}
    [entry] = await Ledger(engine, "w").claim("email", "smtp", limit=1, lease_seconds=9)
    send = entry.content.send()
    assert send["text"].endswith(ADDRESS)
    assert ADDRESS in send["html"]


async def test_who_waited_for_consent_goes_when_it_comes_also_where_it_came_unseen(
    engine: AsyncEngine,
) -> None:
    await rows(
        engine,
        """
        INSERT INTO ledger (message_id, tenant_id, lead_id, channel, attempt, recipient, address,
            compliance_note, stop_on, due_at, ready_at, payload, state, rule)
        SELECT n::text, 'acme', 'lead-' || n, 'sms', 1, '+1', '+1', '', '{}', now(), now(), '{}',
            'held', 'no_consent' FROM generate_series(1, 3000) AS n
        """,
    )
    releases = Releases(engine, WRITER)
    assert await releases.consented(limit=1000) == 0
    await read(engine, *(consent(f"c{n}", granted=n != 2, lead_id=f"lead-{n}") for n in (1, 2)))
    async with engine.connect() as connection:
        window = {"since": NOW, "until": datetime.now(UTC) + timedelta(hours=1), "limit": 1000}
        before = await looked_at(connection)
        assert await connection.scalar(CONSENTED, window) == 2
        assert await looked_at(connection) - before < 20
    assert await releases.consented(limit=1000) == 2
    # What was noted in a transaction that ended late is found a minute later, or by the hour.
    await rows(
        engine,
        "INSERT INTO consents (lead_id, channel, granted, explicit, at, noted_at) VALUES"
        " ('lead-3', 'sms', true, true, now(), now() - interval '1 hour')",
    )
    assert await releases.consented(limit=1000) == 0
    assert await Releases(engine, WRITER).consented(limit=1000) == 1
    assert await releases.consented(limit=1000) == 0


async def looked_at(connection: AsyncConnection) -> int:
    """Rows of the ledger and entries of its indexes that this connection has read."""
    read_rows = "SELECT sum(pg_stat_get_xact_tuples_returned(oid)) FROM pg_class"
    return int(await connection.scalar(text(f"{read_rows} WHERE relname LIKE 'ledger%'")) or 0)


async def test_who_stands_behind_a_message_that_waits_costs_no_claim_anything(
    engine: AsyncEngine,
) -> None:
    await rows(
        engine,
        """
        INSERT INTO ledger (message_id, tenant_id, lead_id, channel, attempt, recipient, address,
            compliance_note, stop_on, due_at, ready_at, payload, body_sha256, state)
        SELECT n || '-' || step, 'acme', 'lead-' || n, 'email', 1, 'a@b.example', 'a@b.example', '',
            '{}', now(), now() + CASE step WHEN 1 THEN interval '1 hour' ELSE '-1 hour' END, '{}',
            '', 'queued'
        FROM generate_series(1, 1500) AS n, generate_series(1, 3) AS step ORDER BY step, n
        """,
    )
    last = queued("acme")
    await read(engine, last)
    releases = Releases(engine, WRITER)
    assert [await releases.postponed() for _ in range(3)] == [2000, 1000, 0]
    claim = text("SELECT * FROM due_messages('email', 100)")
    async with engine.connect() as connection:
        await connection.execute(claim)  # passes over what was there, for the last time
        await connection.rollback()
        before = await looked_at(connection)
        assert [row.message_id for row in await connection.execute(claim)] == [last.message_id]
        assert await looked_at(connection) - before < 10
    # When the first one's time comes, they come behind it.
    await rows(engine, "UPDATE ledger SET ready_at = now() WHERE message_id = '7-1'")
    await rows(engine, "UPDATE ledger SET ready_at = now() WHERE message_id LIKE '7-_'")
    ledger = Ledger(engine, "w")
    claimed = await ledger.claim("email", "smtp", limit=9, lease_seconds=9)
    assert {each.message_id for each in claimed} == {"7-1", last.message_id}


async def test_reports_are_forgotten_when_their_tenant_wants_it(engine: AsyncEngine) -> None:
    tenants = {
        "short": Tenant(tenant_id="short", retention_days=1),
        "ever": Tenant(tenant_id="ever", retention_days=0),
    }
    await rows(
        engine,
        """
        INSERT INTO callbacks (event_id, tenant_id, kind, occurred_at, details, applied_at)
        SELECT tenant || days, tenant, 'opened', now(), '{}', now() - make_interval(days => days)
        FROM unnest(ARRAY['short', 'ever', 'other']) AS tenant, unnest(ARRAY[96, 98, 399, 401]) days
        """,
    )
    async with engine.begin() as connection:
        kept = engagement_store.kept_days(tenants)
        assert await engagement_store.forget(connection, kept, limit=100) == 4
    found = await rows(engine, "SELECT event_id FROM callbacks ORDER BY event_id")
    # As long as the topic could bring a report again it is known.
    assert [event for (event,) in found] == [
        "ever399", "ever401", "ever96", "ever98", "other399", "other96", "other98", "short96"
    ]  # fmt: skip


SENT = Reported(
    message_id="m-1",
    tenant_id="acme",
    lead_id="lead-1",
    owner=None,
    enrollment_id=None,
    sequence_id=None,
    step_id=None,
    channel="email",
    recipient="full@example.com",
    provider="smtp",
    provider_id=None,
)


async def listed_after(
    engine: AsyncEngine, *reports: tuple[str, float], to: str = SENT.recipient
) -> bool | None:
    """Whether the address is on the list after reports (kind, days ago), applied now, in order."""
    now = datetime.now(UTC)
    async with engine.begin() as connection:
        for kind, days in reports:
            report = Callback(
                event_id=str(uuid4()),
                tenant_id="acme",
                source="standard",
                kind=kind,
                message_id="m-1",
                provider_id=None,
                occurred_at=datetime.fromtimestamp(now.timestamp() - days * 86_400, UTC),
                received_at=now,
                details={"bounce_type": "soft"},
            )
            now = datetime.fromtimestamp(now.timestamp() + 1, UTC)
            facts = await bounces.count(connection, report, replace(SENT, recipient=to), {}, now)
            await store.remember(connection, facts)
        active: bool | None = await connection.scalar(
            text("SELECT active FROM suppressions WHERE address = :to"), {"to": to}
        )
    return active


FULL = [("bounced", 3.0), ("bounced", 2.0), ("bounced", 1.0)]


async def test_a_late_report_of_a_delivery_lifts_what_it_would_have_kept_from_happening(
    engine: AsyncEngine,
) -> None:
    for late, listed in ((9.0, True), (40.0, True), (2.5, False), (0.5, False)):
        after = await listed_after(
            engine, *FULL, ("delivered", late), to=f"full-{late}@example.com"
        )
        assert after is listed, late


async def test_old_bounces_count_for_what_they_brought_about(engine: AsyncEngine) -> None:
    assert await listed_after(engine, *FULL)
    await rows(engine, "UPDATE soft_bounces SET at = at - interval '60 days'")
    await rows(engine, "UPDATE suppressions SET changed_at = changed_at - interval '60 days'")
    assert await listed_after(engine, ("delivered", 70.0)) is True
    assert await listed_after(engine, ("delivered", 50.0)) is False


async def test_a_list_that_was_imported_is_lifted_by_what_was_delivered_after_it(
    engine: AsyncEngine,
) -> None:
    await rows(
        engine,
        "INSERT INTO suppressions (tenant_id, channel, address, reason, active, cause_id,"
        " changed_at, source) VALUES ('acme', 'email', 'full@example.com', 'soft_bounces', true,"
        " 'import-1', now() - interval '2 days', 'import')",
    )
    assert await listed_after(engine, ("delivered", 3.0)) is True
    assert await listed_after(engine, ("delivered", 1.0)) is False
