"""What waits for a resume: how it is shown meanwhile, and how much of it will reach somebody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from leadflow import ids, records

pytestmark = [pytest.mark.integration, pytest.mark.either_server]
HOUR = timedelta(hours=1)
LEADS = 4
Wait = Callable[..., Any]


def forget_address(story: Any, lead: str) -> None:
    for place, (topic, key, value, at) in enumerate(story.out):
        record = story.codec.decode(value)
        if isinstance(record, records.LeadCreated) and record.lead_id == lead:
            story.out[place] = (topic, key, story.codec.encode(replace(record, email=None)), at)


def hold(portal: Any, told: Any, rule: str, **inputs: str) -> None:
    """All of them, as the sequencer says it."""
    for lead in told.leads:
        held = records.EnrollmentPaused(
            **told.about(lead, datetime.now(UTC), rule, *inputs.values()),
            enrollment_id=ids.enrollment_id(lead, f"{told.tenant.tenant_id}.first-touch", 1),
            sequence_id=f"{told.tenant.tenant_id}.first-touch",
            sequence_version=1,
            rule=rule,
            inputs=inputs,
        )
        told.add("enrollment-events", lead, held)
    told.tell(portal.bootstrap)


@pytest.fixture(scope="module")
def told(portal: Any, wait_until: Wait) -> Any:
    """Leads whose second e-mail waits. The first refused everything since, the second
    everything but e-mails, the third has no address."""
    story = portal.story()
    story.publish_library()
    for number in range(LEADS):
        story.walk(story.lead(number, HOUR), "first-touch", HOUR)
    refused, others, nowhere, _ = story.leads
    for lead, channel, granted, ago in (
        (refused, "all", False, 1),
        (others, "all", False, 2),
        (others, "email", True, 1),
    ):
        word = records.ConsentChanged(
            **story.about(lead, story.at - timedelta(minutes=ago), "word", channel),
            cause_id=f"{lead}-{channel}",
            channel=channel,
            granted=granted,
            basis="a form",
        )
        story.add("lead-events", lead, word)
    forget_address(story, nowhere)
    story.tell(portal.bootstrap)
    with portal.client("ops", story.tenant.tenant_id) as ops:
        base = f"/sequences/{story.tenant.tenant_id}.first-touch"
        wait_until(lambda: ops.get(base).json().get("stats", {}).get("sent") == LEADS, "the story")
    return story


@pytest.fixture
def ops(portal: Any, told: Any) -> Iterator[httpx.Client]:
    with portal.client("ops", told.tenant.tenant_id, "olga") as client:
        yield client


def states(ops: httpx.Client, told: Any, **asked: str) -> set[tuple[str, str, str | None]]:
    """(step, state, what holds it) of the messages of first-touch."""
    answer = ops.get(f"/sequences/{told.tenant.tenant_id}.first-touch/messages", params=asked)
    items = answer.json()["items"]
    return {(each["step_id"], each["state"], each["held_by"]) for each in items}


def test_a_step_that_a_pause_holds_is_shown_as_held_by_it(
    portal: Any, ops: httpx.Client, told: Any, wait_until: Wait
) -> None:
    [(second, _, _)] = states(ops, told, state="scheduled")
    assert states(ops, told) == {("hello", "sent", None), (second, "scheduled", None)}
    scope = f"tenant:{told.tenant.tenant_id}"
    hold(portal, told, "automation_paused", scope=scope)
    held = (second, "paused", scope)
    wait_until(lambda: states(ops, told, state="scheduled") == set(), "the pause to be shown")
    assert states(ops, told, state="paused") == {held}
    assert states(ops, told) == {("hello", "sent", None), held}


def test_a_resume_of_a_scope_counts_apart_what_will_reach_nobody(
    portal: Any, ops: httpx.Client, told: Any, wait_until: Wait
) -> None:
    scope = f"tenant:{told.tenant.tenant_id}"
    enrollment = ids.enrollment_id(told.leads[3], f"{told.tenant.tenant_id}.first-touch", 1)
    waits = records.MessageHeld(
        **told.about(told.leads[3], told.at, "held-message"),
        message_id=ids.derived_id("a text", enrollment),
        enrollment_id=enrollment,
        sequence_id=f"{told.tenant.tenant_id}.first-touch",
        step_id="text",
        channel="sms",
        rule="paused",
        inputs={"scope": scope},
    )
    told.add("message-events", told.leads[3], waits)
    told.tell(portal.bootstrap)

    def preview() -> dict[str, Any]:
        params = {"scope": scope, "rate_per_minute": "2"}
        found: dict[str, Any] = ops.get("/incidents/preview", params=params).json()
        return found

    wait_until(lambda: preview()["held"] == LEADS + 1, "what waits to be shown")
    found = preview()
    assert found["skipped"] == {"consent_refused": 1, "no_recipient": 1, "consent_missing": 1}
    assert found["messages"] == 2
    assert [each["messages"] for each in found["groups"]] == [2]


def test_so_does_a_bulk_resume(portal: Any, ops: httpx.Client, told: Any, wait_until: Wait) -> None:
    hold(portal, told, "manual")
    url = f"/sequences/{told.tenant.tenant_id}.first-touch"

    def by_hand() -> bool:
        items = ops.get(f"{url}/enrollments").json()["items"]
        return {each["held_by"] for each in items} == {"manual"}

    wait_until(by_hand, "the pauses to be shown")
    job = ops.post(f"{url}/bulk", json={"action": "resume", "dry_run": True}).json()
    assert job["expected"]["done"] == LEADS
    assert job["release"]["skipped"] == {"consent_refused": 1, "no_recipient": 1}
    assert job["release"]["messages"] == 2
