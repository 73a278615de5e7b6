"""Limits and breakers in PostgreSQL, shared by several dispatchers."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from dispatcher.breaker import Rules
from dispatcher.breaker_news import teller
from dispatcher.calls import Calls
from dispatcher.ledger import arrive
from dispatcher.limits import Limits, Rate
from dispatcher.model import Accepted, Arrival, Content, Entry, Known, Refused
from dispatcher.pace import Wakeup
from dispatcher.shared_gate import SharedGate
from leadflow import database, records, topics
from leadflow.clock import SystemClock
from leadflow.codec import Codec

from .dispatching import World, a_world, own_database, queued, until
from .reading import read_all

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

GOOD = Accepted(provider_id=None, response="")
BAD = Refused(error_class="Broken", reason="", retryable=True, maybe_accepted=True)


def entry(tenant: str, recipient: str = "ann@example.com", rule: str | None = None) -> Entry:
    payload = b'{"from":"\\"Acme\\" <acme@mail.example.com>","to":"ann@example.com"}'
    return Entry(
        message_id=str(uuid4()),
        tenant_id=tenant,
        lead_id=str(uuid4()),
        owner=None,
        enrollment_id=None,
        sequence_id=None,
        step_id=None,
        channel="email",
        recipient=recipient,
        enrolled_at=None,
        stop_on=(),
        content=Content(payload=payload, sha256=hashlib.sha256(payload).hexdigest()),
        epoch=1,
        attempts=0,
        in_doubt=False,
        provider=None,
        known=Known(),
        rule=rule,
    )


def arrival() -> Arrival:
    made = entry("a")
    return Arrival(
        message_id=made.message_id,
        tenant_id=made.tenant_id,
        lead_id=made.lead_id,
        owner=None,
        enrollment_id=None,
        sequence_id=None,
        step_id=None,
        channel=made.channel,
        attempt=1,
        first_message_id=None,
        recipient=made.recipient,
        compliance_note="",
        enrolled_at=None,
        stop_on=(),
        due_at=datetime.now(UTC),
        content=made.content,
    )


@pytest.fixture
async def database_url(admin_url: str, secret: str) -> AsyncIterator[str]:
    async with own_database(admin_url, secret) as url:
        yield url


async def test_two_dispatchers_together_let_out_what_the_limit_allows(database_url: str) -> None:
    """100 tenants' worth of batches from two sides at once: no deadlock, and one budget."""
    engine = database.engine(database_url, pool_size=8)
    limits = Limits(
        provider={"p": Rate(3600.0, 40)},
        tenant={"*": Rate(3600.0, 30)},
        mailbox={"acme@mail.example.com": Rate(3600.0, 1_000)},
        domain={"example.com": Rate(3600.0, 25)},
    )
    try:
        gates = [
            SharedGate(
                engine,
                limits,
                Rules(),
                told=teller(Codec()),
                clock=SystemClock(),
                to_publish=Wakeup(),
            )
            for _ in range(2)
        ]
        batches = [[entry(f"t{(number + turn) % 3}") for number in range(20)] for turn in range(12)]
        admitted = await asyncio.gather(
            *(gates[turn % 2].admit("p", batch) for turn, batch in enumerate(batches))
        )
        went = [each.tenant_id for admission in admitted for each in admission.go]
        waiting = [wait for admission in admitted for wait in admission.wait]
        assert len(went) == 40  # the provider's, the smallest of three tenants' 25 each
        assert max(went.count(f"t{number}") for number in range(3)) <= 25
        assert len(waiting) == 240 - 40
        assert {wait.rule.split(":")[1] for wait in waiting} <= {"provider", "domain"}
    finally:
        await engine.dispose()


async def test_a_breaker_is_everybodys_and_its_probe_is_one_dispatchers(database_url: str) -> None:
    engine = database.engine(database_url, pool_size=4)
    rules = Rules(rest_seconds=2, at_least=10)
    try:
        one, other = (
            SharedGate(
                engine,
                Limits(),
                rules,
                told=teller(Codec()),
                clock=SystemClock(),
                to_publish=Wakeup(),
            )
            for _ in range(2)
        )
        await one.observe("p", [GOOD])
        for _ in range(9):
            await other.observe("p", [BAD])
        assert await one.allowance("q", 100) == 100, "another provider is not concerned"
        assert await other.allowance("p", 100) == 0

        async def heard() -> bool:
            return await one.allowance("p", 100) <= 1

        await until(heard, "the other dispatcher has looked")
        await one.unused("p", 1)

        async def probe() -> list[int]:
            given = [await one.allowance("p", 100), await other.allowance("p", 100)]
            return given if any(given) else []

        assert sorted(await until(probe, "the rest is over")) == [0, 1]
        await other.observe("p", [GOOD] * 40)
        assert await one.allowance("p", 100) == 100
        async with engine.connect() as connection:
            rows = await connection.execute(text("SELECT topic, key FROM outbox ORDER BY position"))
            told = [tuple(row) for row in rows]
        assert told == [("automation-controls", "breaker:p")] * 2
        # A person's word closes it at once; one from before it opened does not.
        for _ in range(10):
            await one.observe("p", [BAD])
        await other.reset("p", datetime.now(UTC) - timedelta(minutes=1))
        assert await other.allowance("p", 1) == 0
        await other.reset("p", datetime.now(UTC) + timedelta(seconds=1))
        assert await other.allowance("p", 100) == 100
        # One that opened while the clock was a day ahead hears a word, too, now that it is right.
        for _ in range(10):
            await one.observe("p", [BAD])
        async with engine.begin() as connection:
            await connection.execute(
                text(
                    "UPDATE breakers SET since = since + interval '1 day', "
                    "look_at = look_at + interval '1 day'"
                )
            )
        assert await one.allowance("p", 1) == 0
        await other.reset("p", datetime.now(UTC) + timedelta(seconds=1))
        assert await other.allowance("p", 100) == 100
    finally:
        await engine.dispose()


async def test_calls_of_all_dispatchers_take_turns_and_one_that_is_too_far_away_takes_none(
    database_url: str,
) -> None:
    engine = database.engine(database_url, pool_size=4)
    try:
        one, other = Calls(engine), Calls(engine)
        waits = [await book.turn("p", 10.0, 25.0) for book in (one, other, one, other, one)]
        assert waits == pytest.approx([0, 10, 20, 30, 30], abs=2)
        assert await other.turn("q", 10.0, 25.0) == pytest.approx(0, abs=2)
    finally:
        await engine.dispose()


async def test_who_waits_for_a_limit_that_was_changed_asks_again_and_old_buckets_go(
    database_url: str,
) -> None:
    engine = database.engine(database_url, pool_size=4)

    def gate(limits: Limits) -> SharedGate:
        return SharedGate(
            engine, limits, Rules(), told=teller(Codec()), clock=SystemClock(), to_publish=Wakeup()
        )

    async def ready_in() -> float:
        async with engine.connect() as connection:
            left = "SELECT extract(epoch FROM max(ready_at) - now())::float8 FROM ledger"
            return float(await connection.scalar(text(left)))

    slow, fast = Limits(tenant={"*": Rate(9.0)}), Limits(tenant={"*": Rate(1.0)})
    try:
        await gate(slow).begin()
        async with engine.begin() as connection:
            await arrive(connection, [(arrival(), None)])
            waits = "UPDATE ledger SET rule = 'limit:tenant:a', ready_at = now() + interval '6h'"
            await connection.execute(text(waits))
        await gate(slow).begin()
        assert await ready_in() > 21_000, "another process that starts changes nothing"
        await gate(fast).begin()
        assert await ready_in() <= 72
        await gate(fast).admit("p", [entry("a"), entry("b")])
        assert await gate(fast).forget(limit=10) == 0
        async with engine.begin() as connection:
            old = "UPDATE buckets SET full_at = now() - interval '2 days' WHERE key LIKE 'tenant:%'"
            await connection.execute(text(old))
        assert await gate(fast).forget(limit=10) == 2
    finally:
        await engine.dispose()


@pytest.fixture
async def world(
    kafka_bootstrap: str, admin_url: str, secret: str, tmp_path: Path
) -> AsyncIterator[World]:
    async with a_world(kafka_bootstrap, admin_url, secret, tmp_path) as made:
        yield made


async def test_a_failing_provider_rests_and_nothing_is_lost_or_sent_twice(world: World) -> None:
    """It fails for good, as it seems. Then it is back. Sixty messages are a call or two: a batch
    that nobody looked at stays one."""
    messages = [queued(world.tenant, number) for number in range(60)]
    provider = "email-api"
    await world.fault(target="email", mode="fail", status=503)
    settings = {
        "LEADFLOW_RETRY_FIRST_SECONDS": "0.1",
        "LEADFLOW_BREAKER_AT_LEAST": "4",
        "LEADFLOW_BREAKER_REST_SECONDS": "0.5",
    }

    def controls() -> list[Any]:
        found = [
            world.codec.decode(message.value())
            for message in read_all(world.bootstrap, topics.AUTOMATION_CONTROLS.name)
            if message.key() == f"breaker:{provider}".encode() and message.value()
        ]
        return [each for each in found if each.recorded_at >= began]

    began = datetime.now(UTC) - timedelta(milliseconds=1)
    resting = f"(SELECT state FROM breakers WHERE provider = '{provider}')"
    async with world.running(**settings):
        await world.publish(*messages)

        async def rests() -> bool:
            async with world.engine.connect() as connection:
                return bool(await connection.scalar(text(f"SELECT {resting} <> 'closed'")))

        await until(rests, "the provider is given a rest")
        async with world.engine.connect() as connection:
            tries = await connection.scalar(text("SELECT max(attempts) FROM ledger"))
        assert tries == 0, "a provider that looks at nothing uses up no attempt"
        await world.no_faults()
        await world.all_final(messages)

    accepted = await world.accepted()
    assert sorted(each["key"] for each in accepted) == sorted(m.message_id for m in messages)
    paused, resumed = await asyncio.to_thread(controls)
    assert isinstance(paused, records.AutomationPaused)
    assert isinstance(resumed, records.AutomationResumed)
    assert (paused.paused_by, resumed.resumed_by) == ("rule:breaker", "rule:breaker")


async def test_a_tenants_limit_holds_its_messages_and_nobody_elses(
    world: World, tmp_path: Path
) -> None:
    slow, fast = f"slow-{uuid4()}", f"fast-{uuid4()}"
    limits = tmp_path / "limits.toml"
    limits.write_text(f'[tenant."{slow}"]\nper_hour = 1\nburst = 3\n')
    messages = [queued(tenant, number) for number in range(10) for tenant in (slow, fast)]
    async with world.running(LEADFLOW_LIMITS_FILE=str(limits)):
        await world.publish(*messages)

        async def sent() -> bool:
            return len(await world.accepted()) == 13

        await until(sent, "ten of one tenant and three of the other are accepted")
        async with world.engine.connect() as connection:
            waiting = await connection.execute(
                text("SELECT DISTINCT tenant_id, rule FROM ledger WHERE state = 'queued'")
            )
            assert [tuple(row) for row in waiting] == [(slow, f"limit:tenant:{slow}")]
