"""A pause that somebody wrote to the topic by hand, and the incident that comes in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from leadflow import ids, records

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

Wait = Callable[..., Any]
LOCK = "SELECT pg_advisory_xact_lock(hashtext('incidents on ' || $1))"
WAITING = "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
INSERT = """
INSERT INTO incidents (incident_id, tenant_id, kind, scope, workflow, reason, owner, rollback,
    rule, subject, evidence, opened_at, opened_by, task, task_done_at, task_done_by)
VALUES ($1, $2, 'privacy', $3, '', 'A name was shown.', 'ops', 'none', '', '', '{}', now(), 'eve',
    'Look.', now(), 'eve')
"""


@pytest.fixture
def paused(portal: Any, wait_until: Wait) -> Iterator[tuple[httpx.Client, str, str]]:
    """A client, a sequence that a record of the topic has paused, and its scope."""
    story = portal.story()
    tenant_id = story.tenant.tenant_id
    with portal.client("ops", tenant_id, "olga") as ops:
        made = ops.post(
            "/sequences",
            json={
                "name": f"Paused {uuid4().hex[:8]}",
                "steps": [{"channel": "email", "template_name": "a", "template_subject": "A",
                           "template_body": "Text", "delay_minutes": 600}],
                "owner": "dana", "incident_owner": "ops", "rollback_path": "The one before.",
                "status": "active", "trigger": {"kind": "manual"},
            },
            headers={"Prefer": "wait=20"},
        )  # fmt: skip
        assert made.status_code in (201, 202), made.text
        sequence_id = made.json()["id"]
        # A portal that has just begun reads what others wrote first.
        wait_until(lambda: ops.get(f"/sequences/{sequence_id}").status_code == 200, "it is shown")
        scope = f"sequence:{tenant_id}:{sequence_id}"
        pause = records.AutomationPaused(
            event_id=uuid4().hex,
            tenant_id=tenant_id,
            occurred_at=story.at - timedelta(minutes=1),
            recorded_at=story.at - timedelta(minutes=1),
            source="by-hand",
            scope=scope,
            workflow="",
            reason="a hand at the topic",
            rollback="",
            verification_status="open",
            paused_by="somebody",
        )
        story.add("automation-controls", scope, pause)
        story.tell(portal.bootstrap)
        url = f"/sequences/{sequence_id}"
        wait_until(lambda: ops.get(url).json()["status"] == "paused", "the pause")
        yield ops, url, scope


def test_a_pause_from_the_topic_is_lifted_while_no_incident_is_open(
    portal: Any, paused: tuple[httpx.Client, str, str]
) -> None:
    ops, url, scope = paused
    answer = ops.put(url, json={"status": "active"}).json()
    assert (answer["status"], answer["release"]["resumed"]) == ("active", True)
    assert isinstance(portal.read("automation-controls", scope, 2)[-1], records.AutomationResumed)


async def test_a_pause_from_the_topic_is_not_lifted_over_an_incident_that_was_opened_meanwhile(
    portal: Any, paused: tuple[httpx.Client, str, str]
) -> None:
    """The incident is opened when the resume has looked already, and waits for the scope."""
    ops, url, scope = paused
    incident_id = str(uuid4())
    connection = await asyncpg.connect(portal.database_url.replace("+asyncpg", ""))
    try:
        with ThreadPoolExecutor(1) as thread:
            async with connection.transaction():
                await connection.execute(LOCK, scope)
                asked = thread.submit(ops.put, url, json={"status": "active"})
                async with asyncio.timeout(30):
                    while not await connection.fetchval(WAITING):
                        assert not asked.done(), asked.result().text
                        await asyncio.sleep(0.05)
                await connection.execute(INSERT, incident_id, portal.tenants[0].tenant_id, scope)
            answer = await asyncio.wrap_future(asked)
        left = await connection.fetchval("SELECT count(*) FROM controls_to_say")
    finally:
        await connection.close()
    assert (answer.json()["status"], answer.json()["release"]["resumed"]) == ("paused", False)
    assert left == 0
    # The first resume that is said of the scope is the one of the incident's end.
    closed = await asyncio.to_thread(ops.post, f"/incidents/{incident_id}/close", json={})
    assert closed.json()["release"]["resumed"] is True
    said = await asyncio.to_thread(portal.read, "automation-controls", scope, 2)
    assert [type(each) for each in said] == [records.AutomationPaused, records.AutomationResumed]
    assert said[-1].event_id == ids.derived_id("AutomationResumed", incident_id)
