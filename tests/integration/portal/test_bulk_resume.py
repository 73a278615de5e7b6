"""Holds of their own, a bulk resume at its rate, and commands that find nothing to do: a portal and
a sequencer on real servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from leadflow import ids, records, topics

from ..sequencing import Tail, Worker, queued, running, wait

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

Wait = Callable[..., Any]
LEADS = 40
PER_MINUTE = 300
GATE = {
    "owner": "dana",
    "incident_owner": "ops-lead",
    "rollback_path": "Publish the version before.",
    "status": "active",
    "trigger": {"kind": "manual"},
}


@pytest.fixture(scope="module")
def worker(kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    folder = tmp_path_factory.mktemp("sequencer")
    made = Worker(kafka_bootstrap, f"seq-{uuid4().hex[:8]}", folder)
    with running([made]):
        wait(made.ready)
        yield made


@pytest.fixture
def ops(portal: Any, worker: Worker) -> Iterator[httpx.Client]:
    with portal.client("ops", portal.tenants[0].tenant_id, "olga") as client:
        yield client


def a_sequence(ops: httpx.Client, name: str, minutes: int) -> str:
    step = {
        "channel": "email", "template_name": "hello", "template_subject": "Hello",
        "template_body": "A text", "delay_minutes": minutes,
    }  # fmt: skip
    body = {"name": name, "steps": [step], **GATE}
    made = ops.post("/sequences", json=body, headers={"Prefer": "wait=20"})
    # Not shown yet (202) by a portal that has just begun.
    assert made.status_code in (201, 202), made.text
    sequence_id = str(made.json()["id"])
    wait(lambda: ops.get(f"/sequences/{sequence_id}").status_code == 200)
    return sequence_id


def leads(portal: Any, mark: str, number: int) -> list[str]:
    story = portal.story()
    made = []
    for each in range(number):
        external_id = f"{mark}-{each}"
        lead_id = ids.lead_id(story.tenant.tenant_id, "fair", external_id)
        created = records.LeadCreated(
            **story.about(lead_id, story.at, "created", source="fair"),
            cause_id=f"raw-{lead_id}",
            revision=1,
            external_id=external_id,
            status="active",
            stage="new",
            first_name=f"{mark.title()} {each}",
            email=f"{external_id}@example.com",
            urgency="normal",
            timezone="UTC",
            timezone_from="default",
            received="{}",
            extra="{}",
        )
        story.add("lead-events", lead_id, created)
        made.append(lead_id)
    story.tell(portal.bootstrap)
    return made


def bulk(ops: httpx.Client, sequence: str, **body: Any) -> dict[str, Any]:
    answer = ops.post(f"/sequences/{sequence}/bulk", json=body)
    assert answer.status_code == 202, answer.text
    made: dict[str, Any] = answer.json()
    return made


def finished(ops: httpx.Client, bulk_id: str, wait_until: Wait) -> dict[str, Any]:
    def over() -> Any:
        answer = ops.get(f"/bulk/{bulk_id}").json()
        return answer if answer["finished_at"] else None

    done: dict[str, Any] = wait_until(over, f"bulk job {bulk_id}")
    return done


def enrolled(ops: httpx.Client, sequence: str, who: list[str], wait_until: Wait) -> None:
    """All of them, also where the sequencer hears of a lead later than of the command."""
    wait_until(lambda: ops.get("/leads", params={"q": "@"}).status_code == 200, "the leads")

    def all_in() -> bool:
        begun = bulk(ops, sequence, action="enroll", lead_ids=who)
        finished(ops, begun["id"], wait_until)
        stats = ops.get(f"/sequences/{sequence}").json()["stats"]
        return bool(stats["enrolled"] == len(who))

    wait_until(all_in, "everybody to be enrolled")


def runs(ops: httpx.Client, sequence: str, held_by: str) -> list[dict[str, Any]]:
    found = ops.get(f"/sequences/{sequence}/enrollments?limit=200").json()["items"]
    return [each for each in found if (each["status"], each["held_by"]) == ("paused", held_by)]


def test_what_was_paused_by_hand_in_an_incident_outlasts_it_and_goes_on_at_a_rate(
    portal: Any, kafka_bootstrap: str, ops: httpx.Client, wait_until: Wait
) -> None:
    tenant = portal.tenants[0].tenant_id
    sequence = a_sequence(ops, "Flood", 0)
    scope = f"sequence:{tenant}:{sequence}"
    body = {"kind": "delivery", "scope": scope, "reason": "Everything bounces."}
    url = f"/incidents/{ops.post('/incidents', json=body).json()['id']}"
    who = leads(portal, "flood", LEADS)
    enrolled(ops, sequence, who, wait_until)
    wait_until(lambda: len(runs(ops, sequence, scope)) == LEADS, "the incident to hold them")
    tail = Tail(kafka_bootstrap, [topics.MESSAGES.name], queued(tenant))

    # Held by the incident, they are paused by hand as well.
    held = bulk(ops, sequence, action="pause")
    assert (held["total"], held["expected"]["rules"]) == (LEADS, {})
    assert finished(ops, held["id"], wait_until)["counts"]["done"] == LEADS
    assert len(runs(ops, sequence, "manual")) == LEADS
    again = bulk(ops, sequence, action="pause", lead_ids=who[:1])
    assert again["refused"] == {"already_paused": 1}
    ops.post(f"{url}/verify", json={"note": "a test message arrived"})
    closed = ops.post(f"{url}/close", json={"rate_per_minute": 6000}).json()
    assert (closed["release"]["messages"], closed["release"]["resumed"]) == (0, True)

    preview = bulk(ops, sequence, action="resume", rate_per_minute=PER_MINUTE, dry_run=True)
    release = preview["release"]
    assert (release["messages"], release["overdue"]) == (LEADS, LEADS)
    [group] = release["groups"]
    first, last = (datetime.fromisoformat(group[name]) for name in ("first_at", "last_at"))
    assert last - first == (LEADS - 1) * timedelta(minutes=1) / PER_MINUTE
    looks = iter(range(10))
    tail.until(lambda _seen: next(looks, None) is None)
    assert tail.kept == [], "nobody has resumed what was paused by hand"

    started_at = datetime.now(UTC)
    assert ops.post(f"/bulk/{preview['id']}/start").status_code == 202
    wanted = {ids.message_id(ids.enrollment_id(lead, sequence, 1), "hello") for lead in who}
    tail.until(lambda seen: {each.message_id for each in seen} >= wanted)
    tail.close()
    assert finished(ops, preview["id"], wait_until)["counts"]["done"] == LEADS
    assert {each.message_id for each in tail.kept} == wanted
    for number, at in enumerate(sorted(each.recorded_at for each in tail.kept), 1):
        assert number <= (at - started_at).total_seconds() * PER_MINUTE / 60 + 1


def test_who_has_nothing_overdue_does_not_wait_for_the_rate(
    portal: Any, ops: httpx.Client, wait_until: Wait
) -> None:
    sequence = a_sequence(ops, "Later", 600)
    who = leads(portal, "later", 5)
    enrolled(ops, sequence, who, wait_until)
    held = bulk(ops, sequence, action="pause")
    assert finished(ops, held["id"], wait_until)["counts"]["done"] == 5
    back = bulk(ops, sequence, action="resume", rate_per_minute=1)
    assert (back["rate_per_minute"], back["release"]["overdue"]) == (1, 0)
    done = finished(ops, back["id"], wait_until)
    assert done["counts"]["done"] == 5
    begun, over = (datetime.fromisoformat(done[name]) for name in ("started_at", "finished_at"))
    assert over - begun < timedelta(minutes=1)


def test_only_a_resume_has_a_rate(ops: httpx.Client) -> None:
    sequence = a_sequence(ops, "Rate", 600)
    url = f"/sequences/{sequence}/bulk"
    assert ops.post(url, json={"action": "pause", "rate_per_minute": 5}).status_code == 422
    assert ops.post(url, json={"action": "resume", "rate_per_minute": 0}).status_code == 422
    assert bulk(ops, sequence, action="resume", dry_run=True)["rate_per_minute"] == 60


def test_a_command_that_finds_nothing_to_do_is_answered_at_once_and_shown_in_words(
    portal: Any, ops: httpx.Client, wait_until: Wait
) -> None:
    """The read models know of runs of which the sequencer has never heard."""
    sequence = a_sequence(ops, "Nowhere", 600)
    who = leads(portal, "nowhere", 3)
    story = portal.story()
    for lead in who:
        run = records.Enrolled(
            **story.about(lead, story.at, "enrolled"),
            enrollment_id=ids.enrollment_id(lead, sequence, 1),
            sequence_id=sequence,
            sequence_version=1,
            entry=1,
            enrolled_by="manual",
            trigger_event_id="nothing",
        )
        story.add("enrollment-events", lead, run)
    story.tell(portal.bootstrap)
    wait_until(lambda: ops.get(f"/sequences/{sequence}").json()["stats"]["running"] == 3, "runs")

    job = bulk(ops, sequence, action="pause", lead_ids=who[:2])
    done = finished(ops, job["id"], wait_until)
    assert (done["counts"]["refused"], done["refused"]) == (2, {"not_enrolled": 2})

    run_url = f"/sequences/{sequence}/enrollments/{ids.enrollment_id(who[2], sequence, 1)}"
    answer = ops.put(run_url, json={"action": "pause"}, headers={"Prefer": "wait=20"})
    assert answer.status_code == 202
    assert answer.json()["refused"] == {
        "rule": "not_enrolled",
        "because": "the lead never was in it",
        "inputs": {},
    }
    lines = ops.get(f"/leads/{who[2]}/timeline").json()["items"]
    [said] = [each for each in lines if each["type"] == "CommandRefused"]
    assert said["text"] == "Olga asked to pause, in vain: the lead never was in it"
    why = ops.get(f"/leads/{who[2]}/why").json()["items"]
    assert any("olga asked to pause it" in each["text"] for each in why)
