"""What was kept back for days goes out no faster than the lead's cap, whoever sends it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatcher import cap_store
from dispatcher.caps import Cap
from dispatcher.content import Identity, Writer
from dispatcher.decide import Decision
from dispatcher.ledger import Ledger, Settled, arrive
from dispatcher.model import Entry, State
from dispatcher.releases import Releases
from leadflow import database, ids
from leadflow.records import AutomationPaused, AutomationResumed, ConsentChanged, MessageQueued
from leadflow.records.base import changed
from leadflow.tokens import Sealer

from .dispatching import World, a_world, own_database, queued, said, until

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

CAP = Cap(messages=3, days=7)
PHONE = "+15125550100"
WRITER = Writer(Identity(), Sealer("only for tests"))


@pytest.fixture
async def world(
    kafka_bootstrap: str, admin_url: str, secret: str, tmp_path: Path
) -> AsyncIterator[World]:
    async with a_world(kafka_bootstrap, admin_url, secret, tmp_path) as made:
        yield made


@pytest.fixture
async def engine(admin_url: str, secret: str) -> AsyncIterator[AsyncEngine]:
    async with own_database(admin_url, secret) as url:
        made = database.engine(url, pool_size=4)
        try:
            yield made
        finally:
            await made.dispose()


def message(tenant: str, lead: str, number: int, **changes: Any) -> MessageQueued:
    """Of an enrollment of its own: the cap is over all sequences."""
    lead_id = ids.lead_id(tenant, "test", lead)
    sequence_id = f"{tenant}.sequence-{number}"
    enrollment_id = ids.enrollment_id(lead_id, sequence_id, 1)
    fields = {"enrollment_id": enrollment_id, "sequence_id": sequence_id, **changes}
    if fields.get("channel") == "sms":
        fields["subject"] = ""
    message_id = ids.message_id(enrollment_id, f"step-{number}")
    return queued(tenant, lead, message_id=message_id, step_id=f"step-{number}", **fields)


# --- what the ledger says ----------------------------------------------------------------------


async def enter(engine: AsyncEngine, *messages: MessageQueued) -> None:
    async with engine.begin() as connection:
        await arrive(connection, [(WRITER.arrive(each), None) for each in messages])


async def claimed(ledger: Ledger, channel: str) -> list[Entry]:
    return await ledger.claim(channel, "p", limit=100, lease_seconds=60)


async def become(ledger: Ledger, entries: Sequence[Entry], state: State, **more: Any) -> None:
    decision = Decision(state=state, **more)
    done = [Settled(entry=each, decision=decision, event=None) for each in entries]
    assert await ledger.settle(done) == len(entries)


async def test_of_a_leads_messages_those_count_that_are_out_may_be_or_are_being_given(
    engine: AsyncEngine,
) -> None:
    ledger = Ledger(engine, "w")
    await enter(
        engine,
        message("acme", "ann", 0),
        message("acme", "ann", 1, channel="sms", recipient=PHONE),
        message("acme", "bob", 0),
        message("acme", "ann", 2, channel="task", recipient="dana"),
    )
    [ann, bob], [sms] = await claimed(ledger, "email"), await claimed(ledger, "sms")
    await claimed(ledger, "task")
    had = await ledger.others({each.message_id: CAP for each in (ann, bob, sms)})
    # Each sees the other; the one that came first waits less.
    assert (had[ann.message_id].claimed, had[ann.message_id].ahead) == (1, 0)
    assert (had[sms.message_id].claimed, had[sms.message_id].ahead) == (1, 1)
    assert (had[bob.message_id].claimed, had[bob.message_id].accepted) == (0, ())
    for number, state in enumerate((State.SENT, State.UNKNOWN, State.FAILED), start=1):
        await become(ledger, [ann], state, in_doubt=state is State.UNKNOWN)
        [found] = (await ledger.others({sms.message_id: CAP})).values()
        # What was refused for good was never out.
        out = min(number, 2)
        assert (found.claimed, found.doubts, len(found.accepted)) == (0, 0, out)
        assert timedelta(0) <= found.asked_at - found.accepted[-1] < timedelta(minutes=1)
        await enter(engine, message("acme", "ann", 2 + number))
        [ann] = await claimed(ledger, "email")
    [found] = (await ledger.others({ann.message_id: Cap(1, 7)})).values()
    assert len(found.accepted) == 1, "no more than are asked for"


@pytest.mark.parametrize("state", [State.CLAIMED, State.SENT])
@pytest.mark.parametrize(
    "other", [{"tenant_id": "beta"}, {"enrollment_id": None}, {"lead_id": "another"}], ids=str
)
async def test_what_is_anothers_or_of_no_enrollment_does_not_count(
    engine: AsyncEngine, other: dict[str, Any], state: State
) -> None:
    ledger = Ledger(engine, "w")
    sms = message("acme", "ann", 1, channel="sms", recipient=PHONE)
    await enter(engine, message("acme", "ann", 0), changed(sms, **other))
    [ann], texts = await claimed(ledger, "email"), await claimed(ledger, "sms")
    assert len(texts) == 1
    if state is State.SENT:
        await become(ledger, texts, state)
    [found] = (await ledger.others({ann.message_id: CAP})).values()
    assert (found.claimed, found.doubts, found.accepted) == (0, 0, ())


@pytest.mark.parametrize("state", [State.QUEUED, State.HELD])
async def test_of_two_that_wait_in_doubt_the_earlier_doubt_has_the_place(
    engine: AsyncEngine, state: State
) -> None:
    ledger = Ledger(engine, "w")
    await enter(
        engine,
        message("acme", "ann", 0),
        message("acme", "ann", 1, channel="sms", recipient=PHONE),
    )
    [early], [late] = await claimed(ledger, "email"), await claimed(ledger, "sms")
    await become(ledger, [early, late], state, in_doubt=True, delay_seconds=60.0)
    had = await ledger.others({each.message_id: CAP for each in (early, late)})
    assert [had[each.message_id].doubts for each in (early, late)] == [0, 1]
    assert all(each.claimed == 0 for each in had.values())


async def test_what_may_be_out_is_asked_about_before_others_of_its_lead_in_whatever_order_they_came(
    engine: AsyncEngine,
) -> None:
    """The first waits for what becomes of the others: they must not stand behind it."""
    ledger = Ledger(engine, "w")
    await enter(engine, *(message("acme", "ann", number) for number in range(3)))
    order = []
    for _ in range(3):
        [entry] = await claimed(ledger, "email")
        order.append(entry.message_id)
        await become(ledger, [entry], State.HELD, rule="paused", in_doubt=len(order) != 1)
    # The pause ends. The first is in no doubt, the other two are.
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE ledger SET state = 'queued', ready_at = now()"))
    again = []
    for _ in range(3):
        [entry] = await claimed(ledger, "email")
        again.append(entry.message_id)
        assert await claimed(ledger, "email") == []
        if len(again) == 1:
            # Put off, it puts off who stands behind it, and nobody else.
            await become(ledger, [entry], State.QUEUED, in_doubt=True, delay_seconds=60.0)
            assert await claimed(ledger, "email") == []
            assert await Releases(engine, WRITER).postponed() == 2
            async with engine.begin() as connection:
                await connection.execute(text("UPDATE ledger SET ready_at = now()"))
            [entry] = await claimed(ledger, "email")
            assert entry.message_id == again[0]
        await become(ledger, [entry], State.SENT)
    assert again == [order[1], order[2], order[0]]


async def test_what_left_the_window_does_not_count(engine: AsyncEngine) -> None:
    ledger = Ledger(engine, "w")
    ago = {"out": timedelta(days=7), "within": timedelta(days=7, minutes=-1)}
    await enter(engine, *(message("acme", lead, 0) for lead in ago))
    await become(ledger, await claimed(ledger, "email"), State.SENT)
    await enter(engine, *(message("acme", lead, 1) for lead in ago))
    async with engine.begin() as connection:
        for lead, interval in ago.items():
            await connection.execute(
                text(
                    "UPDATE ledger SET changed_at = now() - CAST(:ago AS interval) "
                    "WHERE lead_id = :lead AND state = 'sent'"
                ),
                {"ago": interval, "lead": ids.lead_id("acme", "test", lead)},
            )
    out, within = await claimed(ledger, "email")
    had = await ledger.others({each.message_id: CAP for each in (out, within)})
    assert [len(had[each.message_id].accepted) for each in (out, within)] == [0, 1]


async def test_a_leads_messages_are_found_by_an_index_whatever_there_is(
    engine: AsyncEngine,
) -> None:
    async with engine.begin() as connection:
        # Where an index cannot be used this does not help.
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        rows = '[{"message_id": "m", "messages": 3, "days": 7}]'
        found = await connection.scalars(text(f"EXPLAIN {cap_store.OTHERS}"), {"rows": rows})
        plan = "\n".join(found)
    assert "Seq Scan on ledger" not in plan, plan
    assert "ledger_accepted" in plan, plan


# --- two dispatchers ----------------------------------------------------------------------------


def pause(world: World) -> AutomationPaused:
    return AutomationPaused(
        **said_by_ops(world),
        workflow="",
        rollback="",
        verification_status="open",
        paused_by="olga",
    )


def resume(world: World) -> AutomationResumed:
    return AutomationResumed(
        **said_by_ops(world),
        verification_status="verified",
        rate_per_minute=60_000,
        resumed_by="olga",
    )


def said_by_ops(world: World) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "event_id": str(uuid4()),
        "tenant_id": world.tenant,
        "occurred_at": now,
        "recorded_at": now,
        "source": "test",
        "scope": f"tenant:{world.tenant}",
        "reason": "an incident",
    }


async def states(world: World) -> Counter[tuple[str, str | None]]:
    async with world.engine.connect() as connection:
        found = await connection.execute(text("SELECT state, rule FROM ledger"))
        return Counter((row.state, row.rule) for row in found)


LEADS, EMAILS, TEXTS, MOST = 20, 3, 2, 3


async def test_of_what_a_pause_held_back_no_more_goes_out_than_the_cap_with_two_dispatchers(
    world: World, tmp_path: Path
) -> None:
    file = tmp_path / "capped.toml"
    file.write_text(f"[tenants.{world.tenant}]\nsend_hours = {{}}\nmessage_cap = {MOST}\n")
    messages = [
        message(world.tenant, f"lead-{lead}", number)
        if number < EMAILS
        else message(
            world.tenant, f"lead-{lead}", number, channel="sms", recipient=f"+1512555{lead:04}"
        )
        for lead in range(LEADS)
        for number in range(EMAILS + TEXTS)
    ]
    agreed = {each.lead_id: each for each in messages if each.channel == "sms"}.values()
    await world.publish(pause(world))
    await world.publish(
        *(
            said(each, ConsentChanged, channel="sms", granted=True, address=each.recipient)
            for each in agreed
        )
    )
    settings = {"LEADFLOW_TENANTS_FILE": str(file)}
    async with world.running(**settings), world.running(**settings):
        await world.publish(*messages)

        async def all_held() -> bool:
            return await states(world) == {("held", "paused"): len(messages)}

        await until(all_held, "everything is held")
        await world.publish(resume(world))

        async def the_rest_waits() -> bool:
            found = await states(world)
            sent = sum(count for (state, _), count in found.items() if state == "sent")
            waits = sum(count for (state, _), count in found.items() if state == "queued")
            # Of each lead at least the first that was too much says why.
            return (
                sent >= LEADS * MOST
                and sent + waits == len(messages)
                and found["queued", "cap"] >= LEADS
            )

        await until(the_rest_waits, "the rest waits for the cap")
        await asyncio.sleep(4)  # what met another that was claimed has been asked again by then
        lead_of = {each.message_id: each.lead_id for each in messages}
        assert await accepted(world, lead_of) == {each.lead_id: MOST for each in agreed}
        events = await asyncio.to_thread(world.events)
        told = [each for some in events.values() for each in some if each.TYPE == "MessageHeld"]
        inputs = [each.to_avro()["inputs"] for each in told if each.to_avro()["rule"] == "cap"]
        assert len(inputs) >= LEADS
        for each in inputs:
            assert (each["messages"], each["days"]) == (str(MOST), "7")
            left = datetime.fromisoformat(each["until"]) - datetime.now(UTC)
            assert timedelta(days=6, hours=23) < left < timedelta(days=7)

        # A week on: as if all that was accepted had been, and the rest had waited since.
        async with world.engine.begin() as connection:
            await connection.execute(
                text("UPDATE ledger SET changed_at = changed_at - interval '7 days' "
                     "WHERE state = 'sent'")
            )  # fmt: skip
            await connection.execute(
                text("UPDATE ledger SET ready_at = now() WHERE state = 'queued'")
            )

        async def all_sent() -> bool:
            return {state for state, _ in await states(world)} == {"sent"}

        await until(all_sent, "the rest has gone out")
        assert await accepted(world, lead_of) == {each.lead_id: EMAILS + TEXTS for each in agreed}


async def accepted(world: World, lead_of: dict[str, str]) -> Counter[str]:
    keys = [each["key"] for channel in ("email", "sms") for each in await world.accepted(channel)]
    assert len(set(keys)) == len(keys)
    return Counter(lead_of[key] for key in keys)
