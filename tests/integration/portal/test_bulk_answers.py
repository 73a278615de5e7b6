"""What a bulk job makes of the answers in the log; the test answers in the sequencer's place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import confluent_kafka
import httpx
import pytest

from leadflow import records
from leadflow.codec import Codec

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

HOUR = timedelta(hours=1)
Wait = Callable[..., Any]


@pytest.fixture(scope="module")
def told(portal: Any, wait_until: Wait) -> Any:
    """Four leads in First touch, two in nothing."""
    story = portal.story()
    story.publish_library()
    for number in range(6):
        lead = story.lead(number, HOUR)
        if number < 4:
            story.walk(lead, "first-touch", HOUR)
    story.tell(portal.bootstrap)
    with portal.client("ops", story.tenant.tenant_id) as ops:
        base = f"/sequences/{story.tenant.tenant_id}.first-touch"
        wait_until(lambda: ops.get(base).json().get("stats", {}).get("enrolled") == 4, "runs")
        wait_until(lambda: len(ops.get("/leads").json()["items"]) == 6, "the leads")
    return story


@pytest.fixture
def ops(portal: Any, told: Any) -> Iterator[httpx.Client]:
    with portal.client("ops", told.tenant.tenant_id, "olga") as client:
        yield client


def begun(ops: httpx.Client, told: Any, **body: Any) -> dict[str, Any]:
    answer = ops.post(f"/sequences/{told.tenant.tenant_id}.first-touch/bulk", json=body)
    assert answer.status_code == 202, answer.text
    made: dict[str, Any] = answer.json()
    return made


def the_item(ops: httpx.Client, bulk_id: str, state: str, wait_until: Wait) -> dict[str, Any]:
    def there() -> Any:
        return ops.get(f"/bulk/{bulk_id}/items", params={"state": state}).json()["items"]

    [item] = wait_until(there, f"an item that is {state}")
    found: dict[str, Any] = item
    return found


def run_of(told: Any, command: Any, **more: Any) -> dict[str, Any]:
    """What an answer to a command of a bulk job carries, as the sequencer writes it."""
    about = told.about(command.lead_id, command.occurred_at, "answer", command.event_id)
    return {
        **about,
        "enrollment_id": command.enrollment_id,
        "sequence_id": f"{told.tenant.tenant_id}.first-touch",
        "sequence_version": 1,
        "rule": "manual",
        **more,
    }


def test_what_nobody_answered_is_pending_and_what_was_buried_is_refused(
    portal: Any, told: Any, ops: httpx.Client, wait_until: Wait
) -> None:
    job = begun(ops, told, action="enroll", lead_ids=[told.leads[4]])
    item = the_item(ops, job["id"], "requested", wait_until)
    shown = ops.get(f"/bulk/{job['id']}").json()
    assert (shown["state"], shown["finished_at"]) == ("running", None)
    [command] = portal.read("enrollment-commands", told.leads[4])
    assert command.event_id == item["event_id"]
    producer = confluent_kafka.Producer({"bootstrap.servers": portal.bootstrap})
    headers = {
        "dlq-topic": "enrollment-commands",
        "dlq-partition": "0",
        "dlq-offset": "7",
        "dlq-error": "RecordRefused",
        "dlq-reason": "the sequence belongs to another tenant",
    }
    producer.produce("sequencer-dlq", Codec().encode(command), headers=list(headers.items()))
    assert producer.flush(30) == 0
    item = the_item(ops, job["id"], "refused", wait_until)
    assert item["rule"] == "not_carried_out"
    assert item["inputs"]["reason"] == "the sequence belongs to another tenant"
    assert "belongs to another tenant" in item["because"]
    wait_until(lambda: ops.get(f"/bulk/{job['id']}").json()["finished_at"], "the end")


def test_a_command_that_found_nothing_to_do_is_refused_at_once_with_its_reason(
    portal: Any, told: Any, ops: httpx.Client, wait_until: Wait
) -> None:
    """The sequencer knows already that the run is over; the read models do not yet."""
    job = begun(ops, told, action="pause", lead_ids=[told.leads[0]])
    the_item(ops, job["id"], "requested", wait_until)
    [command] = portal.read("enrollment-commands", told.leads[0])
    refused = records.CommandRefused(
        **told.about(command.lead_id, command.occurred_at, "refused", command.event_id),
        command_id=command.event_id,
        command="pause",
        enrollment_id=command.enrollment_id,
        requested_by="olga",
        rule="enrollment_over",
        inputs={"outcome": "reply"},
    )
    told.add("enrollment-events", command.lead_id, refused)
    told.tell(portal.bootstrap)
    item = the_item(ops, job["id"], "refused", wait_until)
    assert (item["rule"], item["inputs"]) == ("enrollment_over", {"outcome": "reply"})
    assert (item["because"], item["decided_by"]) == ("it was over before (reply)", refused.event_id)
    wait_until(lambda: ops.get(f"/bulk/{job['id']}").json()["finished_at"], "the end")


def test_an_answer_stands_though_the_run_goes_on_changing(
    portal: Any, told: Any, ops: httpx.Client, wait_until: Wait
) -> None:
    """The pause and the end of the run reach the read models together."""
    job = begun(ops, told, action="pause", lead_ids=[told.leads[1]])
    the_item(ops, job["id"], "requested", wait_until)
    [command] = portal.read("enrollment-commands", told.leads[1])
    told.add(
        "enrollment-events", command.lead_id, records.EnrollmentPaused(**run_of(told, command))
    )
    over = run_of(told, command, rule="booking", event_id=f"{command.event_id}-over")
    told.add("enrollment-events", command.lead_id, records.EnrollmentStopped(**over))
    told.tell(portal.bootstrap)
    item = the_item(ops, job["id"], "done", wait_until)
    assert item["rule"] is None
    assert item["decided_by"] == run_of(told, command)["event_id"]


def test_leads_are_found_by_stage_owner_and_temperature(ops: httpx.Client, told: Any) -> None:
    def found(**wanted: str) -> int:
        return len(ops.get("/leads", params=wanted).json()["items"])

    assert found(stage="new", owner="dana.whitfield", temperature="warm") == 6
    assert (found(stage="won"), found(owner="rita"), found(temperature="hot")) == (0, 0, 0)


def test_the_same_request_again_is_the_same_job(ops: httpx.Client, told: Any) -> None:
    url = f"/sequences/{told.tenant.tenant_id}.first-touch/bulk"
    body = {"action": "enroll", "lead_ids": ["nobody"]}
    first, again = (ops.post(url, json=body, headers={"Idempotency-Key": "once"}) for _ in "12")
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize(
    "body",
    [
        {"action": "enroll"},
        {"action": "enroll", "lead_ids": ["a"], "filter": {}},
        {"action": "enroll", "lead_ids": ["a"], "to_version": 2},
        {"action": "enroll", "lead_ids": ["a"], "from_version": 1},
        {"action": "migrate"},
        {"action": "migrate", "to_version": 9},
        {"action": "forget", "lead_ids": ["a"]},
    ],
)
def test_what_makes_no_sense_is_refused(ops: httpx.Client, told: Any, body: dict[str, Any]) -> None:
    url = f"/sequences/{told.tenant.tenant_id}.first-touch/bulk"
    assert ops.post(url, json=body).status_code == 422
