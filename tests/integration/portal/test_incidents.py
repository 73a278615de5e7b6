"""Incidents: opened by hand and by rules, verified, closed; what they pause and let go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from leadflow import ids, records

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

HOUR = timedelta(hours=1)
Wait = Callable[..., Any]


@pytest.fixture(scope="module")
def told(portal: Any, wait_until: Wait) -> Any:
    """Leads in First touch, and the library of two tenants."""
    story = portal.story()
    story.publish_library()
    for number in range(6):
        story.walk(story.lead(number, HOUR), "first-touch", HOUR)
    story.tell(portal.bootstrap)
    with portal.client("ops", story.tenant.tenant_id) as ops:
        base = f"/sequences/{story.tenant.tenant_id}.first-touch"
        wait_until(lambda: ops.get(base).json().get("stats", {}).get("sent") == 6, "the story")
    return story


@pytest.fixture
def ops(portal: Any, told: Any) -> Iterator[httpx.Client]:
    with portal.client("ops", told.tenant.tenant_id, "olga") as client:
        yield client


def opened(ops: httpx.Client, scope: str, **more: Any) -> dict[str, Any]:
    body = {"kind": "credential", "scope": scope, "reason": "The key was revoked.", **more}
    answer = ops.post("/incidents", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def closed(ops: httpx.Client, incident: dict[str, Any], **more: Any) -> dict[str, Any]:
    url = f"/incidents/{incident['id']}"
    assert ops.post(f"{url}/verify", json={"note": "seen"}).status_code == 200
    answer = ops.post(f"{url}/close", json=more)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def control(portal: Any, scope: str, number: int, kind: type) -> Any:
    """The control of that number that was said about a scope."""
    found = portal.read("automation-controls", scope, number)[number - 1]
    assert isinstance(found, kind)
    return found


def test_an_incident_pauses_until_its_task_is_done(
    portal: Any, ops: httpx.Client, told: Any
) -> None:
    scope = f"channel:{told.tenant.tenant_id}:whatsapp"
    made = opened(ops, scope, owner="ops-lead", workflow="whatsapp-booking")
    assert (made["state"], made["paused"], made["opened_by"]) == ("open", True, "olga")
    assert made["verification"]["task"] == (
        "Put the new credential in place and see a test send accepted with it."
    )
    said = control(portal, scope, 1, records.AutomationPaused)
    assert (said.reason, said.owner, said.workflow, said.verification_status) == (
        "The key was revoked.",
        "ops-lead",
        "whatsapp-booking",
        "open",
    )
    assert said.rollback == made["rollback"] != ""

    url = f"/incidents/{made['id']}"
    refused = ops.post(f"{url}/close", json={})
    assert refused.status_code == 409
    assert refused.json()["detail"].startswith(
        "The verification task is not done: Put the new credential in place"
    )
    assert ops.post(f"{url}/verify", json={"note": "Test send accepted"}).status_code == 200
    back = ops.post(f"{url}/verify", json={"done": False, "note": "it was the old key"})
    assert back.json()["verification"]["status"] == "open"
    assert ops.post(f"{url}/close", json={}).status_code == 409
    ops.post(f"{url}/verify", json={"note": "Test send accepted with the new key"})
    done = ops.post(f"{url}/close", json={"reason": "New key", "rate_per_minute": 120}).json()
    assert (done["state"], done["closed_by"], done["rate_per_minute"]) == ("closed", "olga", 120)
    assert (done["release"]["resumed"], done["release"]["rate_per_minute"]) == (True, 120)
    assert [each["what"] for each in done["history"]] == [
        "opened",
        "verified",
        "verification taken back",
        "verified",
        "closed",
    ]
    said = control(portal, scope, 2, records.AutomationResumed)
    assert (said.rate_per_minute, said.resumed_by, said.verification_status) == (
        120,
        "olga",
        "done",
    )
    assert ops.post(f"{url}/verify", json={}).status_code == 409


def test_a_scope_stays_paused_while_another_incident_is_open_on_it(
    portal: Any, ops: httpx.Client, told: Any
) -> None:
    scope = f"channel:{told.tenant.tenant_id}:sms"
    first, second = opened(ops, scope), opened(ops, scope, kind="compliance")
    answer = closed(ops, first)
    assert answer["release"]["resumed"] is False
    assert answer["release"]["still_paused_by"] == [second["id"]]
    control(portal, scope, 2, records.AutomationPaused)
    assert closed(ops, second)["release"]["resumed"] is True
    control(portal, scope, 3, records.AutomationResumed)


def test_the_words_can_be_changed_and_the_history_keeps_those_before(
    ops: httpx.Client, told: Any
) -> None:
    made = opened(ops, f"channel:{told.tenant.tenant_id}:call")
    url = f"/incidents/{made['id']}"
    changed = ops.put(url, json={"owner": "dana", "task": "Call our own number."}).json()
    assert (changed["owner"], changed["verification"]["task"]) == ("dana", "Call our own number.")
    assert changed["history"][-1]["detail"]["owner"] == {"before": "olga", "after": "dana"}
    closed(ops, made)
    assert ops.put(url, json={"owner": "eve"}).status_code == 409


def test_the_same_key_opens_one_incident(ops: httpx.Client, told: Any) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    scope = f"channel:{told.tenant.tenant_id}:task"
    body = {"kind": "privacy", "scope": scope, "reason": "A name was shown."}
    first, again = (ops.post("/incidents", json=body, headers=key).json() for _ in range(2))
    assert first == again
    items = ops.get("/incidents", params={"scope": scope}).json()["items"]
    assert [each["id"] for each in items] == [first["id"]]
    assert ops.get("/incidents", params={"state": "closed", "scope": scope}).json()["items"] == []
    closed(ops, first)


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        ("all of it", "a scope is everything"),
        ("tenant:", "a scope is everything"),
        ("tenant:nobody", "there is no tenant nobody; there are "),
        ("sequence:{tenant}:nothing", "there is no sequence {tenant}.nothing; there are "),
        ("sequence:{tenant}:nothing", "{tenant}.first-touch"),
        ("provider:nope", "there is no provider nope; there are email-api, resend, "),
        ("channel:{tenant}:fax", "is no channel"),
    ],
)
def test_a_scope_that_is_not_there_is_refused(
    portal: Any, told: Any, scope: str, words: str
) -> None:
    tenant = told.tenant.tenant_id
    with portal.client("ops") as ops:
        body = {"kind": "import", "scope": scope.format(tenant=tenant), "reason": "x"}
        answer = ops.post("/incidents", json=body)
    assert answer.status_code == 422
    assert words.format(tenant=tenant) in answer.json()["detail"]


def test_who_may_do_what(portal: Any, ops: httpx.Client, told: Any) -> None:
    tenant, other = told.tenant.tenant_id, portal.tenants[1].tenant_id
    made = opened(ops, f"sequence:{tenant}:onboarding")
    url = f"/incidents/{made['id']}"
    for role in ("reviewer", "rep"):
        with portal.client(role, tenant, "dana.whitfield") as reader:
            assert reader.get(url).json()["id"] == made["id"]
            assert reader.get(f"{url}/preview").status_code == 200
            assert reader.post(f"{url}/verify", json={}).status_code == 403
            assert reader.post("/incidents", json={}).status_code == 403
    with portal.client("client", tenant) as client:
        assert client.get("/incidents").status_code == 403
        assert client.get(url).status_code == 403
    with portal.client("ops", other) as stranger:
        assert stranger.get(url).status_code == 404
        assert stranger.post(f"{url}/close", json={}).status_code == 404
        assert (
            stranger.get("/incidents/preview", params={"scope": made["scope"]}).status_code == 403
        )
    everything = {"kind": "privacy", "scope": "everything", "reason": "x"}
    assert ops.post("/incidents", json=everything).status_code == 403
    closed(ops, made)


async def test_the_client_role_cannot_read_incidents(portal: Any) -> None:
    connection = await asyncpg.connect(portal.client_database_url)
    try:
        for table in ("incidents", "incident_history", "controls_to_say"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"SELECT * FROM portal.{table}")
    finally:
        await connection.close()


def held_step(story: Any, lead: str, enrollment: str, scope: str) -> records.EnrollmentPaused:
    return records.EnrollmentPaused(
        **story.about(lead, story.at, "held", scope),
        enrollment_id=enrollment,
        sequence_id=f"{story.tenant.tenant_id}.first-touch",
        sequence_version=1,
        rule="automation_paused",
        inputs={"scope": scope},
    )


def test_a_resume_says_what_goes_out_when(
    portal: Any, ops: httpx.Client, told: Any, wait_until: Wait
) -> None:
    tenant = told.tenant.tenant_id
    scope, narrower = f"tenant:{tenant}", f"channel:{tenant}:email"
    made = opened(ops, scope, kind="delivery", reason="Everything bounces.")
    # Four steps are held by the sequencer, and a message by the dispatcher.
    for lead in told.leads[:4]:
        enrollment = ids.enrollment_id(lead, f"{tenant}.first-touch", 1)
        told.add("enrollment-events", lead, held_step(told, lead, enrollment, scope))
    late = told.leads[4]
    waits = records.MessageHeld(
        **told.about(late, told.at, "held-message"),
        message_id=ids.derived_id("a message", late),
        enrollment_id=ids.enrollment_id(late, f"{tenant}.first-touch", 1),
        sequence_id=f"{tenant}.first-touch",
        step_id="hello",
        channel="email",
        rule="paused",
        inputs={"scope": scope},
    )
    told.add("message-events", late, waits)
    told.tell(portal.bootstrap)
    url = f"/incidents/{made['id']}"

    def preview(rate: int = 60) -> Any:
        return ops.get(f"{url}/preview", params={"rate_per_minute": rate}).json()

    wait_until(lambda: preview()["held"] == 5, "what waits to be shown")
    found = preview(2)
    assert found["messages"] == 5
    [group] = found["groups"]
    assert (group["sequence_id"], group["channel"]) == (f"{tenant}.first-touch", "email")
    first, last = (datetime.fromisoformat(found[name]) for name in ("first_at", "last_at"))
    # Two a minute: the first in half a minute, the fourth step in two.
    assert last - first == timedelta(seconds=90)
    assert timedelta(seconds=20) < first - datetime.now(UTC) <= timedelta(seconds=30)
    by_scope = ops.get("/incidents/preview", params={"scope": scope}).json()
    assert by_scope["messages"] == 5

    # Of another tenant's nothing is said, not even how much it is.
    with portal.client("ops", portal.tenants[1].tenant_id) as stranger:
        blind = stranger.get("/incidents/preview", params={"scope": "everything"}).json()
        assert (blind["messages"], blind["held"]) == (0, 0)
        assert stranger.get("/incidents/preview", params={"scope": scope}).status_code == 403

    # What another pause covers does not go out with this resume.
    other = opened(ops, narrower, kind="privacy")
    assert (preview()["messages"], preview()["held"]) == (0, 5)
    closed(ops, other)
    release = closed(ops, made, rate_per_minute=2)["release"]
    assert (release["messages"], release["resumed"]) == (5, True)


def test_too_many_failures_pause_the_channel_by_rule_and_once(
    portal: Any, ops: httpx.Client, told: Any, wait_until: Wait
) -> None:
    tenant = told.tenant.tenant_id
    scope = f"channel:{tenant}:email"

    def fail(count: int, name: str, reason: str) -> None:
        now = datetime.now(UTC)
        for number in range(count):
            lead = told.leads[number % len(told.leads)]
            failed = records.MessageFailed(
                **told.about(lead, now, name, number),
                message_id=ids.derived_id(name, number),
                enrollment_id=ids.enrollment_id(lead, f"{tenant}.first-touch", 1),
                sequence_id=f"{tenant}.first-touch",
                step_id="hello",
                channel="email",
                provider="email-api",
                error_class="Rejected",
                reason=reason,
                attempts=1,
            )
            told.add("message-events", lead, failed)
        told.tell(portal.bootstrap)

    def opened_by(rule: str, state: str = "open") -> list[Any]:
        params = {"scope": scope, "state": state}
        items = ops.get("/incidents", params=params).json()["items"]
        return [each for each in items if each["rule"] == rule]

    fail(25, "refused", "email-api answered 422")
    [incident] = wait_until(lambda: opened_by("delivery"), "the rule to open an incident")
    assert (incident["kind"], incident["opened_by"]) == ("delivery", "rule:delivery")
    assert incident["evidence"]["bad"] == 25
    said = portal.read("automation-controls", scope, 3)
    assert "rule:delivery" in [getattr(each, "paused_by", "") for each in said]
    closed(ops, incident)

    def refuse(count: int) -> None:
        """The dispatcher holds what its provider refuses because of us."""
        now = datetime.now(UTC)
        for number in range(count):
            lead = told.leads[number % len(told.leads)]
            held = records.MessageHeld(
                **told.about(lead, now, "unauthorized", number),
                message_id=ids.derived_id("unauthorized", number),
                enrollment_id=ids.enrollment_id(lead, f"{tenant}.first-touch", 1),
                sequence_id=f"{tenant}.first-touch",
                step_id="hello",
                channel="email",
                rule="credential_refused",
                inputs={"scope": "credential:email-api", "answer": "email-api answered 401"},
            )
            told.add("message-events", lead, held)
        told.tell(portal.bootstrap)

    # The same evidence opens nothing again; new evidence, of another kind, does.
    refuse(40)
    [other] = wait_until(lambda: opened_by("credential"), "the rule about credentials")
    assert other["kind"] == "credential"
    assert opened_by("delivery", "all") == [opened_by("delivery", "closed")[0]]
    closed(ops, other)
    fail(25, "refused again", "email-api answered 422")
    [again] = wait_until(lambda: opened_by("delivery"), "new evidence to open a new incident")
    assert again["id"] != incident["id"]
    closed(ops, again)
