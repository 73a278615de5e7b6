"""The dispatcher as a process, on real Kafka and PostgreSQL, against the sandbox's providers."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from leadflow import ids, topics
from leadflow.kafka.port import Outgoing
from leadflow.records import (
    AutomationPaused,
    AutomationResumed,
    ConsentChanged,
    MessageReviewed,
    MessageSent,
    ReplyReceived,
)
from leadflow.tokens import Sealer

from .dispatching import FINAL, World, a_world, callback, queued, said, until
from .reading import headers_of, read_all

pytestmark = pytest.mark.integration


@pytest.fixture
async def world(
    kafka_bootstrap: str, admin_url: str, secret: str, tmp_path: Path
) -> AsyncIterator[World]:
    async with a_world(kafka_bootstrap, admin_url, secret, tmp_path) as made:
        yield made


# --- once ------------------------------------------------------------------------------------


async def kill_while_sending(
    world: World, channel: str, wanted: int, kills: int, seed: int, **settings: str
) -> None:
    """Run one dispatcher after the other, each killed once it has got a little further."""
    choose = random.Random(seed)
    before = 0
    for _ in range(kills):
        goal = min(wanted - 1, before + choose.randint(1, max(1, wanted // (kills + 1))))

        async with world.running(**settings) as process:

            async def got_further(
                goal: int = goal, process: asyncio.subprocess.Process = process
            ) -> bool:
                assert process.returncode is None, "the dispatcher ended by itself"
                return len(await world.accepted(channel)) >= goal

            await until(got_further, f"{goal} messages are accepted")
            process.kill()
            await process.wait()
        before = len(await world.accepted(channel))


async def test_killed_again_and_again_each_key_is_accepted_exactly_once(world: World) -> None:
    """The sandbox fails, stalls, and drops answers after accepting."""
    messages = [queued(world.tenant, number) for number in range(400)]
    await world.fault(target="email", mode="fail", rate=0.1, seed=1, match={"to": "7@"})
    await world.fault(
        target="email", mode="drop_after_accept", rate=0.2, seed=2, match={"to": "3@"}
    )
    await world.fault(target="email", mode="stall", stall_seconds=3, times=3, match={"to": "5@"})
    await world.publish(*messages)
    attempts = {"LEADFLOW_RETRY_ATTEMPTS": "50"}
    await kill_while_sending(world, "email", len(messages), kills=5, seed=3, **attempts)
    await world.no_faults()
    async with world.running(**attempts), world.running(**attempts):
        events = await world.all_final(messages)
    assert Counter(entry["key"] for entry in await world.accepted()) == Counter(
        message.message_id for message in messages
    )
    for records in events.values():
        assert [record.TYPE for record in records if record.TYPE in FINAL] == ["MessageSent"]


async def test_over_smtp_a_doubt_is_unknown_and_nothing_goes_out_twice(world: World) -> None:
    """SMTP has no keys: a lost answer or a kill leaves at most a doubt for each connection."""
    messages = [queued(world.tenant, number) for number in range(120)]
    await world.fault(target="smtp", mode="drop_after_accept", times=4)
    await world.publish(*messages)
    settings = {
        "LEADFLOW_EMAIL_VIA": "smtp",
        "LEADFLOW_EMAIL_WORKERS": "2",
        "LEADFLOW_SMTP_CONNECTIONS": "2",  # each of the two loops
    }
    kills = 3
    await kill_while_sending(world, "smtp", len(messages), kills=kills, seed=4, **settings)
    async with world.running(**settings):
        events = await world.all_final(messages)
    taken = Counter(entry["key"] for entry in await world.accepted("smtp"))
    assert max(taken.values()) == 1
    ended = {
        message_id: next(record.TYPE for record in records if record.TYPE in FINAL)
        for message_id, records in events.items()
    }
    assert set(ended.values()) == {"MessageSent", "MessageUnknown"}
    assert {message_id for message_id, end in ended.items() if end == "MessageSent"} <= set(taken)
    unknown = sum(end == "MessageUnknown" for end in ended.values())
    assert 4 <= unknown <= 4 + kills * 2 * 2


async def test_a_message_that_is_queued_twice_goes_out_once(world: World) -> None:
    message = queued(world.tenant)
    await world.publish(message, message)
    async with world.running():
        await world.becomes(message, "MessageSent")
        await world.publish(message, later := queued(world.tenant, 1))
        await world.becomes(later, "MessageSent")
    assert [entry["attempts"] for entry in await world.accepted()] == [1, 1]
    assert await world.told(message) == ["MessageSent"]


@pytest.mark.either_server
async def test_an_smtp_mail_arrives_whole(world: World) -> None:
    message = queued(world.tenant)
    await world.publish(message)
    async with world.running(LEADFLOW_EMAIL_VIA="smtp"):
        await world.becomes(message, "MessageSent")
    [entry] = await world.accepted("smtp")
    mail = (await world.sandbox.get(f"/accepted/{entry['id']}")).json()
    assert mail["subject"] == "Hello Ann 0"
    about = (message.tenant_id, message.lead_id, "email", message.message_id)
    token = Sealer("only for tests").seal("unsubscribe", *about)
    url = f"http://127.0.0.1:8080/unsubscribe/{token}"
    address = message.variables["postal_address"]
    assert mail["text"].splitlines() == ["Hi Ann 0,", "", f"Stop these: {url}", "", address]
    assert f'<a href="{url}">' in mail["html"]
    # A long header may begin on its second line (RFC 5322, 2.2.3).
    assert mail["headers"]["List-Unsubscribe"].strip() == f"<{url}>"


# --- faults ----------------------------------------------------------------------------------


@pytest.mark.either_server
async def test_a_message_whose_provider_fails_goes_out_later_and_holds_up_nobody(
    world: World,
) -> None:
    slow, quick = queued(world.tenant, "slow"), queued(world.tenant, "quick")
    await world.fault(target="email", mode="fail", status=500, match={"to": "slow@"})
    await world.publish(slow, quick)
    async with world.running(LEADFLOW_RETRY_ATTEMPTS="50"):
        await world.becomes(quick, "MessageSent")
        assert await world.told(slow) == []
        await world.no_faults()
        await world.becomes(slow, "MessageSent")
    assert {entry["to"] for entry in await world.accepted()} == {slow.recipient, quick.recipient}


@pytest.mark.either_server
async def test_a_channel_that_is_down_holds_up_no_other(world: World) -> None:
    mail = queued(world.tenant, "mail")
    task = queued(world.tenant, "task", channel="task", recipient="dana")
    await world.fault(target="email", mode="stall", stall_seconds=60)
    await world.publish(mail, task)
    async with world.running(LEADFLOW_RETRY_ATTEMPTS="50"):
        recorded = await world.becomes(task, "MessageRecorded")
        assert await world.told(mail) == []
    assert (recorded.subject, recorded.channel) == ("Hello Ann task", "task")


@pytest.mark.either_server
async def test_an_answer_that_is_dropped_after_accepting_is_asked_for_again(world: World) -> None:
    message = queued(world.tenant)
    await world.fault(target="email", mode="drop_after_accept", times=2)
    await world.publish(message)
    async with world.running():
        await world.becomes(message, "MessageSent")
    [entry] = await world.accepted()
    assert (entry["key"], entry["attempts"]) == (message.message_id, 3)


@pytest.mark.either_server
async def test_a_refused_message_fails_and_a_failing_one_fails_in_the_end(world: World) -> None:
    never, busy = queued(world.tenant, "never"), queued(world.tenant, "busy")
    await world.fault(target="email", mode="reject", match={"to": "never@"})
    await world.fault(target="email", mode="fail", status=503, match={"to": "busy@"})
    await world.publish(never, busy)
    async with world.running(LEADFLOW_RETRY_FOR_SECONDS="1"):
        refused = await world.becomes(never, "MessageFailed")
        exhausted = await world.becomes(busy, "MessageFailed")
    assert (refused.error_class, refused.attempts) == ("Rejected", 1)
    # It looked at none: what ended is our patience.
    assert (exhausted.error_class, exhausted.attempts) == ("retries_exhausted", 0)
    assert await world.accepted() == []


@pytest.mark.either_server
async def test_messages_of_one_lead_keep_their_order_through_a_failure(world: World) -> None:
    lead_id = ids.lead_id(world.tenant, "test", "one")
    steps = [
        queued(world.tenant, f"step{number}", lead_id=lead_id, step_id=str(number))
        for number in range(4)
    ]
    await world.fault(target="email", mode="fail", times=2, match={"to": "step0@"})
    await world.publish(*steps)
    async with world.running():
        await world.becomes(steps[-1], "MessageSent")
    assert [entry["to"] for entry in await world.accepted()] == [step.recipient for step in steps]


# --- what must not go out --------------------------------------------------------------------


@pytest.mark.either_server
async def test_a_template_with_a_hole_is_held_and_the_others_go_on(world: World) -> None:
    hole = queued(world.tenant, "hole", body="Hi {{ last_name }}")
    whole = queued(world.tenant, "whole")
    await world.publish(hole, whole)
    async with world.running():
        held = await world.becomes(hole, "MessageHeld")
        await world.becomes(whole, "MessageSent")
    assert (held.rule, held.inputs) == ("template_value_missing", {"value": "last_name"})
    assert [entry["to"] for entry in await world.accepted()] == [whole.recipient]


@pytest.mark.either_server
async def test_a_held_message_goes_out_as_the_reviewer_wrote_it(world: World) -> None:
    message = queued(world.tenant, body="Hi {{ last_name }}")
    await world.publish(message)
    async with world.running():
        await world.becomes(message, "MessageHeld")
        now = datetime.now(UTC)
        await world.publish(
            MessageReviewed(
                event_id=str(uuid4()),
                tenant_id=world.tenant,
                occurred_at=now,
                recorded_at=now,
                source="portal-api",
                lead_id=message.lead_id,
                message_id=message.message_id,
                decision="edited",
                body_hash="",
                edited_subject="Hello",
                edited_body="Dear Ann",
                reviewer="ren",
            )
        )
        await world.becomes(message, "MessageSent")
    [entry] = await world.accepted()
    text = (await world.sandbox.get(f"/accepted/{entry['id']}")).json()["text"]
    assert text.startswith(f"Dear Ann\n\n{message.variables['postal_address']}\nUnsubscribe: http")


@pytest.mark.either_server
async def test_an_opt_out_and_a_reply_before_the_send_suppress_it(world: World) -> None:
    out, replied = queued(world.tenant, "out"), queued(world.tenant, "replied")
    onboarding = queued(world.tenant, "kept", stop_on=())
    await world.publish(
        said(out, ConsentChanged, channel="email", granted=False, address=out.recipient.upper()),
        said(replied, ReplyReceived, channel="email", automatic=False),
        said(onboarding, ReplyReceived, channel="email", automatic=False),
    )
    # The same address under another lead is on the list, too.
    other = queued(world.tenant, "other", recipient=out.recipient)
    async with world.running():
        await world.publish(queued(world.tenant, "first"))
        await until(world.accepted, "what was said is applied")
        await world.publish(out, replied, other, onboarding)
        rules = {
            message.recipient + message.lead_id: (
                await world.becomes(message, "MessageSuppressed")
            ).rule
            for message in (out, replied, other)
        }
        await world.becomes(onboarding, "MessageSent")
    assert list(rules.values()) == ["stopped_by_opt_out", "stopped_by_reply", "suppression_list"]
    assert {entry["to"] for entry in await world.accepted()} == {
        onboarding.recipient,
        f"first@{world.tenant}.example",
    }


@pytest.mark.either_server
async def test_a_text_message_waits_for_consent_and_goes_when_it_comes(world: World) -> None:
    message = queued(world.tenant, channel="sms", recipient="+15125550100", subject="")
    await world.publish(message)
    async with world.running():
        held = await world.becomes(message, "MessageHeld")
        assert held.rule == "no_consent"
        assert await world.accepted("sms") == []
        await world.publish(
            said(message, ConsentChanged, channel="sms", granted=True, address="+15125550100")
        )
        await world.becomes(message, "MessageSent")
    [entry] = await world.accepted("sms")
    assert entry["key"] == message.message_id


@pytest.mark.either_server
async def test_a_pause_holds_and_its_end_lets_go(world: World) -> None:
    now = datetime.now(UTC)
    scope = f"tenant:{world.tenant}"
    common: dict[str, Any] = {
        "tenant_id": world.tenant,
        "occurred_at": now,
        "recorded_at": now,
        "source": "portal-api",
        "scope": scope,
        "reason": "test",
        "verification_status": "open",
    }
    await world.publish(
        AutomationPaused(
            **common, event_id=str(uuid4()), workflow="all", rollback="resume", paused_by="ops"
        )
    )
    message = queued(world.tenant)
    await world.publish(message)
    async with world.running():
        held = await world.becomes(message, "MessageHeld")
        assert (held.rule, held.inputs) == ("paused", {"scope": scope})
        assert await world.accepted() == []
        await world.publish(AutomationResumed(**common, event_id=str(uuid4()), resumed_by="ops"))
        await world.becomes(message, "MessageSent")


async def test_what_a_pause_held_goes_on_at_the_rate_of_the_resume_over_two_workers(
    world: World,
) -> None:
    now = datetime.now(UTC)
    scope = f"channel:{world.tenant}:email"
    common: dict[str, Any] = {
        "tenant_id": world.tenant,
        "occurred_at": now,
        "recorded_at": now,
        "source": "portal-api",
        "scope": scope,
        "reason": "test",
        "verification_status": "open",
    }
    await world.publish(
        AutomationPaused(
            **common, event_id=str(uuid4()), workflow="all", rollback="resume", paused_by="ops"
        )
    )
    messages = [queued(world.tenant, number) for number in range(30)]
    await world.publish(*messages)
    async with world.running(), world.running():
        for message in messages:
            assert (await world.becomes(message, "MessageHeld")).rule == "paused"
        resumed = AutomationResumed(
            **common, event_id=str(uuid4()), resumed_by="ops", rate_per_minute=180
        )
        await world.publish(resumed)
        # A new message does not queue up behind those that wait.
        fresh = queued(world.tenant, "fresh")
        await world.publish(fresh)
        await world.becomes(fresh, "MessageSent")
        assert len(await world.accepted()) < 20
        events = await world.all_final([*messages, fresh])
    assert len({entry["key"] for entry in await world.accepted()}) == 31
    sent = sorted(
        record.accepted_at
        for message in messages
        for record in events[message.message_id]
        if isinstance(record, MessageSent)
    )
    assert len(sent) == 30
    # Thirty at three a second.
    assert sent[-1] - sent[0] > timedelta(seconds=6)


async def test_a_record_that_cannot_be_read_is_a_dead_letter_and_the_others_go_on(
    world: World,
) -> None:
    key, nonsense = str(uuid4()).encode(), b"\x00\x01nonsense"
    message = queued(world.tenant)
    fax = queued(world.tenant, "fax", channel="fax")
    await world.producer.send([Outgoing(topics.MESSAGES.name, key, nonsense)])
    await world.publish(fax, message)
    async with world.running():
        await world.becomes(message, "MessageSent")

        async def letters() -> Any:
            found = {
                letter.key(): letter
                for letter in read_all(world.bootstrap, topics.DISPATCHER_DLQ.name)
                if letter.key() in (key, fax.lead_id.encode())
            }
            return found if len(found) == 2 else None

        found = await until(letters, "both are dead letters")
    assert found[key].value() == nonsense
    assert found[fax.lead_id.encode()].value() == world.codec.encode(fax)
    headers = headers_of(found[fax.lead_id.encode()])
    assert headers["dlq-reason"] == b"unknown_channel: 'fax' is not a channel"


# --- what providers report -------------------------------------------------------------------


async def test_callbacks_are_applied_once_and_a_hard_bounce_ends_it(world: World) -> None:
    message = queued(world.tenant)
    await world.publish(message)
    async with world.running():
        sent = await world.becomes(message, "MessageSent")
        delivered = callback(message, "delivered", provider_id=sent.provider_id)
        opened = callback(
            message, "opened", message_id=message.message_id, user_agent="GoogleImageProxy"
        )
        bounced = callback(message, "bounced", message_id=message.message_id, bounce_type="hard")
        foreign = {
            **callback(message, "complained", message_id=message.message_id),
            "tenant_id": "somebody-else",
        }
        await world.report(delivered, delivered, foreign, opened, opened, bounced)
        event = await world.becomes(message, "MessageBounced")
        assert (event.cause_id, event.bounce_type) == (bounced["event_id"], "hard")
        await world.becomes(message, "MessageOpened")
        await world.becomes(message, "MessageDelivered")
        again = queued(world.tenant, step_id="second")
        await world.publish(again)
        suppressed = await world.becomes(again, "MessageSuppressed")
    assert suppressed.rule == "stopped_by_bounce"
    assert sorted(await world.told(message)) == [
        "MessageBounced",
        "MessageDelivered",
        "MessageOpened",
        "MessageSent",
    ]
    assert len(await world.accepted()) == 1


@pytest.mark.either_server
async def test_a_callback_that_comes_before_its_message_waits_for_it(world: World) -> None:
    message = queued(world.tenant)
    nameless = callback(message, "delivered", url="https://x.example")
    async with world.running():
        await world.report(callback(message, "delivered", message_id=message.message_id), nameless)

        async def kept() -> Any:
            async with world.engine.connect() as connection:
                return await connection.scalar(text("SELECT count(*) FROM callbacks"))

        await until(kept, "the callback is kept")
        await world.publish(message)
        await world.becomes(message, "MessageDelivered")
    reasons = [
        headers_of(letter)["dlq-reason"]
        for letter in read_all(world.bootstrap, topics.DISPATCHER_DLQ.name)
        if letter.key() == nameless["external_id"].encode()
    ]
    assert reasons == [b"callback_names_no_message: neither message_id nor provider_id"]


# --- the ledger ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "target"), [("sent", "queued"), ("unknown", "claimed"), ("queued", "sent")]
)
async def test_the_database_refuses_what_the_state_machine_does_not_allow(
    world: World, source: str, target: str
) -> None:
    path = {"queued": (), "sent": ("claimed", "sent"), "unknown": ("claimed", "unknown")}[source]
    move = text("UPDATE ledger SET state = :state")
    async with world.engine.connect() as connection:
        await connection.execute(
            text(
                "INSERT INTO ledger (message_id, tenant_id, lead_id, channel, attempt, recipient,"
                " address, compliance_note, stop_on, due_at, ready_at, payload, state) VALUES"
                " ('m', 't', 'l', 'email', 1, 'a', 'a', '', '{}', now(), now(), '{}', 'queued')"
            )
        )
        for state in path:
            await connection.execute(move, {"state": state})
        with pytest.raises(IntegrityError):
            await connection.execute(move, {"state": target})
