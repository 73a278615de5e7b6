"""Writes go through the log: what the portal produces, and what it shows of it afterwards."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from leadflow import ids, records
from leadflow.tokens import Sealer

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

HOUR = timedelta(hours=1)
LINKS = Sealer("only for tests")  # as the process is told
Wait = Callable[..., Any]
GATE = {
    "owner": "dana",
    "incident_owner": "ops-lead",
    "rollback_path": "Publish the version before.",
}


@pytest.fixture(scope="module")
def told(portal: Any, wait_until: Wait) -> Any:
    """Three leads in First touch, and one in nothing."""
    story = portal.story()
    story.publish_library()
    for number in range(3):
        story.walk(story.lead(number, HOUR), "first-touch", HOUR)
    story.lead(3, HOUR)
    story.tell(portal.bootstrap)
    with portal.client("ops", story.tenant.tenant_id) as ops:
        base = f"/sequences/{story.tenant.tenant_id}.first-touch"
        wait_until(lambda: ops.get(base).json().get("stats", {}).get("sent") == 3, "the story")
        wait_until(lambda: len(ops.get("/leads").json()["items"]) == 4, "the leads")
        wait_until(lambda: len(ops.get("/summaries").json()["items"]) == 4, "the summaries")
    return story


@pytest.fixture
def ops(portal: Any, told: Any) -> Iterator[httpx.Client]:
    with portal.client("ops", told.tenant.tenant_id, "olga") as client:
        yield client


def a_sequence(ops: httpx.Client, **more: Any) -> dict[str, Any]:
    body = {"name": f"Nudge {uuid4().hex[:6]}", "trigger_stage": "new", **more}
    answer = ops.post("/sequences", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


STEP = {
    "channel": "email",
    "delay_minutes": 1440,
    "template_subject": "Still there, {{ first_name }}?",
    "template_body": "Just a line.",
}


def test_a_new_sequence_is_a_draft_until_the_gate_opens(ops: httpx.Client) -> None:
    made = a_sequence(ops)
    assert (made["status"], made["version"]) == ("draft", 1)
    url = f"/sequences/{made['id']}"
    refused = ops.put(url, json={"status": "active"})
    assert refused.status_code == 422
    assert refused.json()["missing"] == ["rollback path", "incident owner", "at least one step"]
    added = ops.post(f"{url}/steps", json=STEP)
    assert added.status_code == 201
    assert added.json()["version"] == 2
    active = ops.put(url, json={**GATE, "status": "active"})
    assert active.status_code == 200, active.text
    assert active.json()["status"] == "active"


def test_every_edit_is_a_version_of_its_own_in_the_log(portal: Any, ops: httpx.Client) -> None:
    made = a_sequence(ops, steps=[STEP])
    url = f"/sequences/{made['id']}"
    step = made["steps"][0]["id"]
    changed = ops.put(f"{url}/steps/{step}", json={"delay_minutes": 60}).json()
    assert changed["steps"][0]["delay_label"] == "T+1h"
    assert changed["steps"][0]["id"] == step
    gone = ops.delete(f"{url}/steps/{step}").json()
    assert gone["steps"] == []
    assert ops.delete(f"{url}/steps/{step}").status_code == 404
    for version, delay in ((1, 1440), (2, 60)):
        (record,) = portal.read("sequence-definitions", f"{made['id']}:{version}")
        assert record.steps[0].delay_minutes == delay
    (third,) = portal.read("sequence-definitions", f"{made['id']}:3")
    assert third.steps == ()


def test_an_edit_of_a_version_that_is_gone_is_a_conflict(ops: httpx.Client) -> None:
    made = a_sequence(ops)
    url = f"/sequences/{made['id']}"
    assert ops.put(url, json={"description": "first", "version": 1}).status_code == 200
    late = ops.put(url, json={"description": "second", "version": 1})
    assert late.status_code == 409
    assert ops.get(url).json()["description"] == "first"


def test_a_trigger_stage_that_the_pipeline_lacks_is_refused(ops: httpx.Client) -> None:
    answer = ops.post("/sequences", json={"name": "Odd", "trigger_stage": "offer-sent"})
    assert answer.status_code == 422
    assert "offer-sent" in answer.json()["detail"]


def test_a_template_with_an_unknown_variable_is_refused(ops: httpx.Client) -> None:
    made = a_sequence(ops)
    answer = ops.post(
        f"/sequences/{made['id']}/steps", json={**STEP, "template_body": "{{ password }}"}
    )
    assert answer.status_code == 422
    assert "password" in answer.json()["detail"]


def test_archived_is_out_of_the_list_and_takes_nobody_in(ops: httpx.Client, told: Any) -> None:
    made = a_sequence(ops)
    url = f"/sequences/{made['id']}"
    assert ops.delete(url).json()["status"] == "archived"
    listed = [each["id"] for each in ops.get("/sequences").json()["items"]]
    assert made["id"] not in listed
    everything = ops.get("/sequences?archived=true").json()["items"]
    assert made["id"] in [each["id"] for each in everything]
    refused = ops.post(f"{url}/enroll", json={"lead_ids": told.leads[:1]})
    assert refused.status_code == 409


def test_to_pause_is_a_control_that_every_worker_follows(portal: Any, ops: httpx.Client) -> None:
    made = a_sequence(ops, steps=[STEP], status="active", **GATE)
    url = f"/sequences/{made['id']}"
    assert ops.put(url, json={"status": "paused", "reason": "wrong price"}).status_code == 200
    shown = ops.get(url).json()
    assert (shown["status"], shown["paused_reason"], shown["version"]) == (
        "paused",
        "wrong price",
        1,
    )
    # A pause is an incident: what it was for has to be verified before anything goes on.
    refused = ops.put(url, json={"status": "active"})
    assert refused.status_code == 409
    assert "verification task is not done" in refused.json()["detail"]
    resumed = ops.put(url, json={"status": "active", "verified": "read step 2 again"})
    assert resumed.json()["status"] == "active"
    assert resumed.json()["release"]["messages"] == 0
    scope = f"sequence:{made['tenant_id']}:{made['id']}"
    # A compacted topic may keep the last word only.
    last = portal.read("automation-controls", scope)[-1]
    assert last.scope == scope


def test_each_lead_gets_an_answer_and_a_refusal_its_reason(
    portal: Any, ops: httpx.Client, told: Any
) -> None:
    url = f"/sequences/{told.tenant.tenant_id}.onboarding/enroll"
    running = f"/sequences/{told.tenant.tenant_id}.first-touch/enroll"
    lead = told.leads[3]
    answer = ops.post(url, json={"lead_ids": [lead, "nobody", lead]})
    assert answer.status_code == 202
    results = answer.json()["results"]
    assert [each["state"] for each in results] == ["requested", "refused"]
    assert results[1]["reason"] == "unknown_lead"
    (command,) = portal.read("enrollment-commands", lead)
    assert isinstance(command, records.EnrollRequested)
    assert command.event_id == results[0]["event_id"]
    assert (command.sequence_id, command.requested_by) == (
        f"{told.tenant.tenant_id}.onboarding",
        "olga",
    )
    already = ops.post(running, json={"lead_ids": told.leads[:1]}).json()["results"]
    assert already[0]["reason"] == "already_running"


def test_who_waits_is_told_what_the_sequencer_decided(
    portal: Any, ops: httpx.Client, told: Any, wait_until: Wait
) -> None:
    key = str(uuid4())
    url = f"/sequences/{told.tenant.tenant_id}.proposal-reminders/enroll"
    body = {"lead_ids": [told.leads[3]]}
    asked = ops.post(url, json=body, headers={"Idempotency-Key": key}).json()["results"][0]
    refused = records.EnrollmentRefused(
        **told.about(told.leads[3], told.at, "refused"),
        sequence_id=f"{told.tenant.tenant_id}.proposal-reminders",
        trigger_event_id=asked["event_id"],
        rule="reentry",
    )
    told.add("enrollment-events", told.leads[3], refused)
    told.tell(portal.bootstrap)

    def shown() -> bool:
        items = ops.get(f"/leads/{told.leads[3]}/timeline").json()["items"]
        return any(each["type"] == "EnrollmentRefused" for each in items)

    wait_until(shown, "the refusal")
    # The same request again gets the first answer, and nothing is produced again.
    again = ops.post(url, json=body, headers={"Idempotency-Key": key})
    assert again.json()["results"][0] == asked
    assert again.headers["idempotency-replayed"] == "true"


def test_a_key_that_was_used_for_something_else_is_refused(ops: httpx.Client) -> None:
    headers = {"Idempotency-Key": str(uuid4())}
    assert ops.post("/sequences", json={"name": "One"}, headers=headers).status_code == 201
    other = ops.post("/sequences", json={"name": "Two"}, headers=headers)
    assert other.status_code == 422
    assert other.headers["content-type"] == "application/problem+json"


def test_a_refused_write_leaves_its_key_free(ops: httpx.Client) -> None:
    headers = {"Idempotency-Key": str(uuid4())}
    bad = ops.post("/sequences", json={"name": "x", "trigger_stage": "no"}, headers=headers)
    assert bad.status_code == 422
    assert ops.post("/sequences", json={"name": "Three"}, headers=headers).status_code == 201


def test_pause_resume_and_unsubscribe_are_commands(
    portal: Any, ops: httpx.Client, told: Any, wait_until: Wait
) -> None:
    base = f"/sequences/{told.tenant.tenant_id}.first-touch/enrollments"
    run = next(each for each in ops.get(base).json()["items"] if each["lead_id"] == told.leads[1])
    url = f"{base}/{run['id']}"
    assert ops.put(url, json={"action": "resume"}).status_code == 409
    nowhere = ops.put(url, json={"action": "migrate", "to_version": 99})
    assert nowhere.status_code == 422, nowhere.text
    assert nowhere.json()["detail"] == "to_version: 99 is not published."
    assert ops.put(url, json={"action": "pause"}).status_code == 202
    assert ops.put(url, json={"action": "unsubscribe"}).status_code == 202
    pause, stop = portal.read("enrollment-commands", told.leads[1], 2)
    assert isinstance(pause, records.EnrollmentPauseRequested)
    assert isinstance(stop, records.EnrollmentStopRequested)
    assert pause.enrollment_id == stop.enrollment_id == run["id"]
    # The person's wish goes the way of every opt-out, so that nobody else writes to them.
    wait_until(lambda: ops.get("/pipeline").json()["received"] >= 5, "the opt-out to be received")


def test_a_message_that_went_out_can_be_asked_for_again(
    portal: Any, ops: httpx.Client, told: Any
) -> None:
    base = f"/sequences/{told.tenant.tenant_id}.first-touch/messages"
    items = ops.get(f"{base}?limit=100").json()["items"]
    sent = next(
        each for each in items if each["state"] == "sent" and each["lead_id"] == told.leads[2]
    )
    planned = next(each for each in items if each["state"] == "scheduled")
    assert sent["message_body"].startswith("Hi Maria")
    assert ops.post(f"{base}/{planned['id']}/resend").status_code == 409
    assert ops.post(f"{base}/{sent['id']}/resend").status_code == 202
    (command,) = portal.read("enrollment-commands", told.leads[2])
    assert isinstance(command, records.ResendRequested)
    assert command.message_id == sent["id"]


def test_an_approval_covers_exactly_the_bytes_that_were_read(portal: Any, told: Any) -> None:
    draft = told.summaries[told.leads[0]]
    tenant = told.tenant.tenant_id
    url = f"/summaries/{draft.summary_id}/review"
    stale = {"decision": "approved", "text_hash": hashlib.sha256(b"another").hexdigest()}
    with portal.client("reviewer", tenant, "rita") as rita, portal.client("client", tenant) as bob:
        assert rita.post(url, json=stale).status_code == 409
        assert bob.get("/client/summaries").json()["items"] == []
        right = {"decision": "approved", "text_hash": draft.text_hash}
        approved = rita.post(url, json=right)
        assert approved.status_code == 200, approved.text
        assert approved.json()["state"] == "approved"
        assert [each["text"] for each in bob.get("/client/summaries").json()["items"]] == [
            draft.text
        ]
        assert rita.post(url, json=right).status_code == 409


def test_an_edit_lets_out_the_edited_bytes_and_nothing_else(portal: Any, told: Any) -> None:
    draft = told.summaries[told.leads[1]]
    tenant = told.tenant.tenant_id
    edit = {
        "decision": "edited",
        "text_hash": draft.text_hash,
        "text": "A roof repair, this week.",
    }
    with portal.client("reviewer", tenant) as rita, portal.client("client", tenant) as client:
        done = rita.post(f"/summaries/{draft.summary_id}/review", json=edit)
        assert done.status_code == 200, done.text
        texts = [each["text"] for each in client.get("/client/summaries").json()["items"]]
    assert "A roof repair, this week." in texts
    assert draft.text not in texts


def test_a_rejection_needs_a_reason_and_shows_nothing(portal: Any, told: Any) -> None:
    draft = told.summaries[told.leads[2]]
    url = f"/summaries/{draft.summary_id}/review"
    no = {"decision": "rejected", "text_hash": draft.text_hash}
    with portal.client("reviewer", told.tenant.tenant_id) as rita:
        assert rita.post(url, json=no).status_code == 422
        assert rita.post(url, json={**no, "reason": "names a neighbour"}).status_code == 200
    with portal.client("client", told.tenant.tenant_id) as client:
        texts = [each["text"] for each in client.get("/client/summaries").json()["items"]]
    assert draft.text not in texts


def test_only_a_reviewer_lets_texts_out(ops: httpx.Client, told: Any) -> None:
    draft = told.summaries[told.leads[3]]
    body = {"decision": "approved", "text_hash": draft.text_hash}
    assert ops.post(f"/summaries/{draft.summary_id}/review", json=body).status_code == 403


def test_a_webhook_is_in_the_log_when_it_is_answered(
    portal: Any, ops: httpx.Client, told: Any
) -> None:
    tenant = told.tenant.tenant_id
    event = {
        "event_id": f"hook-{uuid4()}",
        "tenant_id": tenant,
        "kind": "lead",
        "external_id": "hook-1",
        "occurred_at": "2026-11-20T09:00:00Z",
        "payload": {"name": "Ann", "email": "ann@example.com"},
    }
    answer = ops.post("/webhooks/typeform", json=event)
    assert answer.status_code == 202
    assert answer.json() == {"event_ids": [event["event_id"]]}
    (record,) = portal.read("raw-events", f"{tenant}:typeform:hook-1")
    assert (record.event_id, record.source, record.kind) == (event["event_id"], "typeform", "lead")
    large = {**event, "event_id": f"hook-{uuid4()}", "payload": {"message": "x" * 1_000_000}}
    answer = ops.post("/webhooks/typeform", json=large)
    assert answer.status_code == 413
    assert "too_large" in answer.json()["detail"]
    del event["external_id"]
    broken = ops.post("/webhooks/typeform", json=event)
    assert broken.status_code == 422
    assert "external_id" in broken.json()["detail"]
    other = {**event, "external_id": "x", "tenant_id": "somebody-else"}
    assert ops.post("/webhooks/typeform", json=other).status_code == 403


def test_a_sign_in_link_works_once(portal: Any, told: Any) -> None:
    link = portal.grant("ticket", "ops", told.tenant.tenant_id)
    assert link.startswith(f"{portal.url}/login?ticket=lft_")
    with httpx.Client() as browser:
        arrived = browser.get(link, follow_redirects=True)
        assert arrived.status_code == 200
        assert arrived.url.path == "/sequences"
        assert browser.get(f"{portal.url}/api/v1/sequences").status_code == 200
    with httpx.Client() as another:
        assert another.get(link).status_code == 401
        assert another.get(f"{portal.url}/api/v1/sequences").status_code == 401


def test_another_site_cannot_write_with_our_cookie(portal: Any, told: Any) -> None:
    link = portal.grant("ticket", "ops", told.tenant.tenant_id)
    with httpx.Client(base_url=portal.url) as browser:
        browser.get(link)
        cookie = next(iter(browser.cookies.jar))
        assert cookie.has_nonstandard_attr("HttpOnly")
        body = {"name": "From elsewhere", "tenant_id": told.tenant.tenant_id}
        assert browser.post("/api/v1/sequences", json=body).status_code == 401
        ours = browser.post("/api/v1/sequences", json=body, headers={"X-Leadflow": "page"})
        assert ours.status_code == 201
        browser.post("/logout", headers={"X-Leadflow": "page"})
        browser.cookies.jar.set_cookie(cookie)
        assert browser.get("/api/v1/sequences").status_code == 401


def test_signing_out_with_a_key_leaves_the_key_alone(portal: Any, ops: httpx.Client) -> None:
    httpx.post(f"{portal.url}/logout", headers={"Authorization": ops.headers["Authorization"]})
    assert ops.get("/sequences").status_code == 200


def test_an_unsubscribe_link_asks_first_and_then_acts(
    portal: Any, ops: httpx.Client, told: Any
) -> None:
    base = f"/sequences/{told.tenant.tenant_id}.first-touch/messages"
    sent = next(each for each in ops.get(base).json()["items"] if each["state"] == "sent")
    tenant = told.tenant.tenant_id
    # Its id alone opens nothing: whoever knows what it is made of can compute it.
    assert httpx.get(f"{portal.url}/unsubscribe/{sent['id']}").status_code == 404
    about = (tenant, sent["lead_id"], "email", sent["id"])
    url = f"{portal.url}/unsubscribe/{LINKS.seal('unsubscribe', *about)}"
    before = ops.get("/pipeline").json()["received"]
    assert httpx.get(url).status_code == 200
    assert ops.get("/pipeline").json()["received"] == before
    # RFC 8058: the mail program posts this body.
    minute, until = "", f"{datetime.now(UTC):%Y-%m-%dT%H:%M}"
    while minute != until:  # the same minute before and after, which is in the event's id
        minute = until
        done = httpx.post(url, data={"List-Unsubscribe": "One-Click"})
        assert done.status_code == 200
        until = f"{datetime.now(UTC):%Y-%m-%dT%H:%M}"
    event_id = ids.derived_id("unsubscribe", sent["id"], minute)
    (record,) = portal.read("raw-events", f"{tenant}:portal:{event_id}")
    assert (record.kind, record.event_id) == ("opt_out", event_id)
    assert sent["lead_id"] in record.payload
    assert httpx.get(f"{portal.url}/unsubscribe/{uuid4()}").status_code == 404


def test_an_unsubscribe_link_with_a_nul_is_answered_with_the_page(portal: Any) -> None:
    answer = httpx.get(f"{portal.url}/unsubscribe/%00")
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (404, "text/html")


def test_every_write_is_in_the_audit_log(portal: Any, ops: httpx.Client, told: Any) -> None:
    made = a_sequence(ops)
    assert ops.put(f"/sequences/{made['id']}", json={"status": "active"}).status_code == 422

    async def audited() -> list[tuple[Any, ...]]:
        database = await asyncpg.connect(portal.database_url)
        try:
            rows = await database.fetch(
                "SELECT action, status, subject, role FROM audit_log WHERE target = $1 ORDER BY at",
                made["id"],
            )
            return [tuple(row) for row in rows]
        finally:
            await database.close()

    assert asyncio.run(audited()) == [
        ("sequence.create", 201, "olga", "ops"),
        ("sequence.change", 422, "olga", "ops"),
    ]


def test_a_sequence_makes_up_no_tenant(portal: Any) -> None:
    """Found by hand: it was 201, and nobody stood among the tenants."""
    with portal.client("admin", "", "ada") as admin:
        made = admin.post("/sequences", json={"tenant_id": "nobody", "name": "Nudge"})
        assert (made.status_code, made.json()["detail"]) == (
            422,
            "tenant_id: there is no tenant nobody",
        )
