"""What waits in the ledger does not go out once its enrollment is stopped, nor while paused."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import reduce
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatcher import halt_store
from dispatcher.content import Identity, Writer
from dispatcher.halts import Halted, Word
from dispatcher.releases import Releases
from leadflow import database, ids, topics
from leadflow.records import (
    AutomationPaused,
    AutomationResumed,
    EnrollmentPaused,
    EnrollmentPauseRequested,
    EnrollmentResumed,
    EnrollmentResumeRequested,
    EnrollmentStopped,
    EnrollmentStopRequested,
    LeadCreated,
    MessageQueued,
    StageChanged,
)
from leadflow.records.base import changed
from leadflow.tokens import Sealer
from leadflow_cli.verify.kinds import Disagreement
from leadflow_cli.verify.notes import new_notes
from leadflow_cli.verify.run import Accounts, verify

from . import sequencing
from .dispatching import World, a_world, own_database, queued, until

pytestmark = [pytest.mark.integration, pytest.mark.either_server]


@pytest.fixture
async def world(
    kafka_bootstrap: str, admin_url: str, secret: str, tmp_path: Path
) -> AsyncIterator[World]:
    async with a_world(kafka_bootstrap, admin_url, secret, tmp_path) as made:
        yield made


@pytest.fixture
async def engine(admin_url: str, secret: str) -> AsyncIterator[AsyncEngine]:
    async with own_database(admin_url, secret) as url:
        made = database.engine(url, pool_size=2)
        try:
            yield made
        finally:
            await made.dispose()


def base(tenant: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "event_id": str(uuid4()),
        "tenant_id": tenant,
        "occurred_at": now,
        "recorded_at": now,
        "source": "test",
    }


def of(message: MessageQueued, record_type: type[Any], rule: str, **more: Any) -> Any:
    """The sequencer's word on the enrollment of a message."""
    return record_type(
        **base(message.tenant_id),
        lead_id=message.lead_id,
        enrollment_id=message.enrollment_id or "",
        sequence_id=message.sequence_id or "",
        sequence_version=1,
        rule=rule,
        **more,
    )


def paused(tenant: str) -> AutomationPaused:
    return AutomationPaused(
        **base(tenant),
        scope=f"tenant:{tenant}",
        workflow="",
        reason="an incident",
        rollback="",
        verification_status="open",
        paused_by="olga",
    )


def resumed(tenant: str) -> AutomationResumed:
    return AutomationResumed(
        **base(tenant),
        scope=f"tenant:{tenant}",
        verification_status="verified",
        rate_per_minute=6000,
        resumed_by="olga",
        reason="over",
    )


async def rules(world: World) -> dict[str, tuple[str, str | None]]:
    async with world.engine.connect() as connection:
        found = await connection.execute(text("SELECT message_id, state, rule FROM ledger"))
        return {row.message_id: (row.state, row.rule) for row in found}


async def become(world: World, wanted: dict[str, tuple[str, str | None]]) -> None:
    async def there() -> bool:
        return (await rules(world)).items() >= wanted.items()

    try:
        await until(there, f"the ledger says {wanted}")
    except AssertionError as error:
        error.add_note(str(await rules(world)))
        raise


async def test_what_waits_is_suppressed_held_or_sent_as_was_said_of_its_enrollment(
    world: World, admin_url: str
) -> None:
    words = {
        "by-hand": (EnrollmentStopped, "manual"),
        "stage-left": (EnrollmentStopped, "stage_left"),
        "superseded": (EnrollmentStopped, "superseded"),
        "ended": (EnrollmentStopped, "stop_step"),
        "task": (EnrollmentPaused, "task_open"),
        "paused": (EnrollmentPaused, "manual"),
        "merged": (EnrollmentPaused, "lead_merged"),
        "nothing": None,
    }
    messages = {name: queued(world.tenant, name) for name in words}
    await world.publish(paused(world.tenant))
    async with world.running():
        await world.publish(*messages.values())
        await become(world, {each.message_id: ("held", "paused") for each in messages.values()})
        said = [
            of(messages[name], *word, inputs={"requested_by": "olga"})
            for name, word in words.items()
            if word is not None
        ]
        await world.publish(*said)
        await world.publish(resumed(world.tenant))
        await become(
            world,
            {
                messages["by-hand"].message_id: ("suppressed", "stopped_by_manual"),
                messages["stage-left"].message_id: ("suppressed", "stopped_by_stage_left"),
                messages["superseded"].message_id: ("suppressed", "stopped_by_superseded"),
                messages["ended"].message_id: ("sent", None),
                messages["task"].message_id: ("sent", None),
                messages["paused"].message_id: ("held", "enrollment_paused"),
                messages["merged"].message_id: ("held", "enrollment_paused"),
                messages["nothing"].message_id: ("sent", None),
            },
        )
        suppressed = await world.becomes(messages["by-hand"], "MessageSuppressed")
        assert suppressed.inputs["requested_by"] == "olga"
        # It goes on, or is decided anew: the merged one is stopped now.
        await world.publish(
            of(messages["paused"], EnrollmentResumed, "manual"),
            of(messages["merged"], EnrollmentStopped, "manual"),
        )
        await become(
            world,
            {
                messages["paused"].message_id: ("sent", None),
                messages["merged"].message_id: ("suppressed", "stopped_by_manual"),
            },
        )
        await world.all_final(list(messages.values()))
    sent = {"ended", "task", "nothing", "paused"}
    keys = sorted(each["key"] for each in await world.accepted())
    assert keys == sorted(messages[name].message_id for name in sent)
    assert await asyncio.to_thread(disagreements, world, admin_url) == []


def disagreements(world: World, admin_url: str) -> list[Disagreement]:
    """What `leadflow ledger verify` finds."""
    found: list[Disagreement] = []
    name = make_url(world.database_url).database
    url = make_url(admin_url).set(database=name).render_as_string(hide_password=False)
    accounts = Accounts(
        kafka_bootstrap=world.bootstrap,
        database_url=url,
        sandbox_url=str(world.sandbox.base_url),
        group=world.group,
    )
    with new_notes() as notes:
        verify(
            accounts,
            notes,
            tenant_id=world.tenant,
            kept=None,
            found=found.append,
            tell=lambda what, count: None,
        )
    return found


async def test_what_people_stop_and_pause_while_it_waits_does_not_go_out(
    world: World, tmp_path: Path
) -> None:
    """With the sequencer: by hand, by a stage that is left, by a pause, and on again."""
    tenant = world.tenant
    sequence = changed(
        sequencing.sequence(
            tenant, sequencing.step("hello"), sequencing.step("later", minutes=600)
        ),
        stop_on=("stage_left",),
    )
    leads = {name: sequencing.created(tenant, name) for name in ("stop", "pause", "left", "none")}
    group = await asyncio.to_thread(sequencing.new_group, world.bootstrap, tenant)
    await asyncio.to_thread(sequencing.published, world.bootstrap, sequence)
    tenants = tmp_path / "with_address.toml"
    tenants.write_text(f'[tenants.{tenant}]\npostal_address = "Acme, 400 Congress Ave, Austin"\n')
    hello = {name: message_of(lead) for name, lead in leads.items()}
    written = sequencing.Tail(world.bootstrap, [topics.MESSAGES.name], id_of)
    worker = sequencing.Worker(world.bootstrap, group, tmp_path)
    with closing(written), sequencing.running([worker]):
        await asyncio.to_thread(sequencing.wait, worker.ready)
        await world.publish(*leads.values())
        await asyncio.to_thread(written.until, set(hello.values()).issubset)
        await world.publish(paused(tenant))
        async with world.running(LEADFLOW_TENANTS_FILE=str(tenants)):
            await become(world, dict.fromkeys(hello.values(), ("held", "paused")))
            await world.publish(
                command(leads["stop"], EnrollmentStopRequested),
                command(leads["pause"], EnrollmentPauseRequested),
                StageChanged(
                    **base(tenant),
                    lead_id=leads["left"].lead_id,
                    cause_id=str(uuid4()),
                    revision=2,
                    from_stage="new",
                    to_stage="contacted",
                ),
            )

            async def known() -> bool:
                async with world.engine.connect() as connection:
                    count = await connection.scalar(text("SELECT count(*) FROM halts"))
                return int(count or 0) == 3

            await until(known, "the dispatcher has heard of all three")
            await world.publish(resumed(tenant))
            await become(
                world,
                {
                    hello["stop"]: ("suppressed", "stopped_by_manual"),
                    hello["left"]: ("suppressed", "stopped_by_stage_left"),
                    hello["pause"]: ("held", "enrollment_paused"),
                    hello["none"]: ("sent", None),
                },
            )
            assert [each["key"] for each in await world.accepted()] == [hello["none"]]
            await world.publish(command(leads["pause"], EnrollmentResumeRequested))
            await become(world, {hello["pause"]: ("sent", None)})


def id_of(message: Any) -> str | None:
    record = sequencing.CODEC.decode(message.value())
    return record.message_id if isinstance(record, MessageQueued) else None


def enrollment_of(lead: LeadCreated) -> str:
    return ids.enrollment_id(lead.lead_id, f"{lead.tenant_id}.first-touch", 1)


def message_of(lead: LeadCreated) -> str:
    return ids.message_id(enrollment_of(lead), "hello")


def command(lead: LeadCreated, record_type: type[Any]) -> Any:
    return record_type(
        **base(lead.tenant_id),
        lead_id=lead.lead_id,
        enrollment_id=enrollment_of(lead),
        requested_by="olga",
    )


# --- the table ------------------------------------------------------------------------------


async def rows(engine: AsyncEngine, question: str) -> list[Any]:
    async with engine.begin() as connection:
        done = await connection.execute(text(question))
        return [tuple(row) for row in done] if done.returns_rows else []


async def remember(engine: AsyncEngine, *found: Halted) -> None:
    async with engine.begin() as connection:
        await halt_store.remember(connection, found)


def a_word(choose: random.Random) -> Halted:
    stopped = choose.random() < 0.3
    return Halted(
        enrollment_id="e-1",
        lead_id="lead-1",
        stopped_by=choose.choice(("manual", "reply")) if stopped else None,
        stopped_at=datetime(2026, 11, 21, choose.randrange(24), tzinfo=UTC) if stopped else None,
        inputs={"by": str(choose.random())} if stopped else {},
        word=None
        if stopped and choose.random() < 0.7
        else Word(
            paused_by=choose.choice((None, "manual", "lead_merged")),
            partition=0 if choose.random() < 0.9 else 1,
            offset=choose.randrange(9),
        ),
    )


async def test_the_table_says_what_the_words_say_in_every_order(engine: AsyncEngine) -> None:
    choose = random.Random(20_261_122)
    for _ in range(60):
        words = [a_word(choose) for _ in range(choose.randint(1, 6))]
        await rows(engine, "DELETE FROM halts")
        for each in words:
            await remember(engine, each)
        said = reduce(Halted.and_then, words)
        async with engine.connect() as connection:
            (row,) = await connection.execute(
                text("SELECT *, inputs AS halt_inputs FROM halts"),
            )
        assert halt_store.halt_of(row) == said.halt, words
        word = said.word
        place = (None, None) if word is None else (word.partition, word.offset)
        assert (row.word_partition, row.word_offset) == place


HELD = """
    INSERT INTO ledger (message_id, tenant_id, lead_id, enrollment_id, channel, attempt, recipient,
        address, compliance_note, stop_on, due_at, ready_at, payload, state, rule, scope)
    SELECT n::text, 'acme', 'lead-' || n, 'e-' || n, 'email', 1, 'a@b.example', 'a@b.example', '',
        '{}', now(), now(), '{}', 'held', 'enrollment_paused', 'enrollment:e-' || n
    FROM generate_series(1, 6) AS n
"""


def word(number: int, paused_by: str | None, offset: int, stopped: bool = False) -> Halted:
    return Halted(
        enrollment_id=f"e-{number}",
        lead_id=f"lead-{number}",
        stopped_by="manual" if stopped else None,
        stopped_at=datetime.now(UTC) if stopped else None,
        word=Word(paused_by=paused_by, partition=0, offset=offset),
    )


async def test_an_end_of_its_own_lifts_a_pause_and_is_not_kept_by_itself(
    engine: AsyncEngine,
) -> None:
    await remember(engine, word(1, "manual", 1))
    await remember(engine, *(replace(word(each, None, 2), news=False) for each in (1, 2)))
    kept = await rows(engine, "SELECT enrollment_id, paused_by, word_offset FROM halts")
    assert kept == [("e-1", None, 2)]


async def test_what_is_held_goes_on_when_its_pause_ends_also_where_that_came_unseen(
    engine: AsyncEngine,
) -> None:
    await rows(engine, HELD)
    await remember(engine, *(word(number, "manual", 1) for number in range(1, 7)))
    releases = releases_of(engine)
    assert await releases.resumed(limit=100) == 0
    await remember(engine, word(1, None, 2), word(2, "manual", 2), word(3, "manual", 2, True))
    assert await releases.resumed(limit=100) == 2
    assert await queued_ids(engine) == ["1", "3"]
    # Held by somebody who had looked before the word came; a minute later, or by the hour.
    await rows(
        engine,
        "UPDATE halts SET paused_by = NULL, noted_at = now() - interval '90 seconds'"
        " WHERE enrollment_id = 'e-4'",
    )
    assert await releases.resumed(limit=100) == 0
    assert await releases_of(engine).resumed(limit=100) == 1
    assert await queued_ids(engine) == ["1", "3", "4"]


async def test_a_halt_is_forgotten_when_nothing_can_wait_for_it_any_more(
    engine: AsyncEngine,
) -> None:
    await rows(engine, HELD)
    await rows(engine, "UPDATE ledger SET state = 'queued' WHERE message_id = '2'")
    await remember(engine, *(word(number, "manual", 1, True) for number in (1, 2, 7, 8)))
    old = halt_store.KEPT + timedelta(minutes=1)
    await rows(
        engine,
        f"UPDATE halts SET noted_at = noted_at - interval '{old.total_seconds()} seconds'"
        " WHERE enrollment_id <> 'e-8'",
    )
    async with engine.begin() as connection:
        assert await halt_store.forget(connection, limit=100) == 1
    found = await rows(engine, "SELECT enrollment_id FROM halts ORDER BY enrollment_id")
    assert found == [("e-1",), ("e-2",), ("e-8",)]


def releases_of(engine: AsyncEngine) -> Releases:
    return Releases(engine, Writer(Identity(), Sealer("only for tests"), {}))


async def queued_ids(engine: AsyncEngine) -> Sequence[str]:
    found = await rows(engine, "SELECT message_id FROM ledger WHERE state = 'queued' ORDER BY 1")
    return [message_id for (message_id,) in found]
