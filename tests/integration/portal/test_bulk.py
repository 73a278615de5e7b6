"""Bulk jobs against a real sequencer: an answer for each lead, also when the portal dies."""

from __future__ import annotations

import asyncio
import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import confluent_kafka
import httpx
import pytest

from leadflow import ids, records
from leadflow.codec import Codec

from ..sequencing import Worker, running, wait

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

Wait = Callable[..., Any]
LEADS = 300
# The sender waits for the test, the cancel for the sender.
# Whether somebody waits for somebody who waits for us.
WAITING = (
    "SELECT EXISTS (SELECT FROM pg_locks AS behind, unnest(pg_blocking_pids(behind.pid)) AS batch "
    "WHERE NOT behind.granted AND pg_backend_pid() = ANY (pg_blocking_pids(batch)))"
)
GATE = {
    "owner": "dana",
    "incident_owner": "ops-lead",
    "rollback_path": "Publish the version before.",
    "status": "active",
    "trigger": {"kind": "manual"},
}


def step(name: str, minutes: int, **more: Any) -> dict[str, Any]:
    return {
        "channel": "email",
        "template_name": name,
        "template_subject": f"About {name}",
        "template_body": f"Text of {name}",
        "delay_minutes": minutes,
        **more,
    }


@pytest.fixture(scope="module")
def worker(kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    folder = tmp_path_factory.mktemp("sequencer")
    made = Worker(kafka_bootstrap, f"seq-{folder.name}-{datetime.now(UTC).timestamp()}", folder)
    with running([made]):
        wait(made.ready)
        yield made


@pytest.fixture(scope="module")
def story(portal: Any, worker: Worker) -> Any:
    return portal.story()


@pytest.fixture
def ops(portal: Any, story: Any) -> Iterator[httpx.Client]:
    with portal.client("ops", story.tenant.tenant_id, "olga") as client:
        yield client


Arrive = Callable[..., None]


@pytest.fixture(scope="module")
def arrive(portal: Any, story: Any, wait_until: Wait) -> Iterator[Arrive]:
    """Tells the story; returns once the sequencer knows every active lead of it: each enters a
    sequence of its own accord."""
    count = 0
    with portal.client("ops", story.tenant.tenant_id, "olga") as client:
        trigger = {"kind": "event", "value": "lead_created"}
        door = a_sequence(client, "Door", step("hello", 60_000), trigger=trigger)

        def tell(active: int, *, left: int = 0) -> None:
            nonlocal count
            count += active
            story.tell(portal.bootstrap)

            def there() -> bool:
                stats = client.get(f"/sequences/{door}").json()["stats"]
                return bool(stats["enrolled"] == count and stats["unsubscribed"] >= left)

            wait_until(there, f"{count} leads in the door")

        yield tell


def leads(story: Any, mark: str, number: int, **more: Any) -> list[str]:
    """So many leads, told in one go."""
    made = []
    for each in range(number):
        external_id = f"{mark}-{each}"
        lead_id = ids.lead_id(story.tenant.tenant_id, "fair", external_id)
        seen: dict[str, Any] = {
            "status": "active",
            "stage": "new",
            "email": f"{external_id}@example.com",
            **more,
        }
        story.add(
            "lead-events",
            lead_id,
            records.LeadCreated(
                **{
                    **story.about(lead_id, story.at, "created", source="fair"),
                    "owner": "rita" if each % 2 else "dana",
                },
                cause_id=f"raw-{lead_id}",
                revision=1,
                external_id=external_id,
                first_name=f"{mark.title()} {each}",
                urgency="normal",
                timezone="UTC",
                timezone_from="default",
                received="{}",
                extra="{}",
                **seen,
            ),
        )
        made.append(lead_id)
    return made


def a_sequence(ops: httpx.Client, name: str, *steps: dict[str, Any], **more: Any) -> str:
    made = ops.post("/sequences", json={"name": name, "steps": list(steps), **GATE, **more})
    # Not shown yet (202) by a portal that has just begun.
    assert made.status_code in (201, 202), made.text
    sequence_id = str(made.json()["id"])
    wait(lambda: ops.get(f"/sequences/{sequence_id}").status_code == 200)
    return sequence_id


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


def items(ops: httpx.Client, bulk_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        params = {"limit": 200, **({"cursor": cursor} if cursor else {})}
        page = ops.get(f"/bulk/{bulk_id}/items", params=params).json()
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            return found


def answers_in_log(portal: Any, wanted: set[str]) -> Counter[str]:
    """How many different answers the sequencer gave to each of these commands."""
    codec, seen = Codec(), {}
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": portal.bootstrap, "group.id": "reader", "log_level": 3}
    )
    partitions = (
        consumer.list_topics("enrollment-events", 10).topics["enrollment-events"].partitions
    )
    ends = {}
    for number in partitions:
        low, high = consumer.get_watermark_offsets(
            confluent_kafka.TopicPartition("enrollment-events", number), 10
        )
        if high > low:
            ends[number] = high
    consumer.assign([confluent_kafka.TopicPartition("enrollment-events", n, 0) for n in ends])
    while ends:
        for message in consumer.consume(1000, 0.5):
            record = codec.decode(message.value())
            if getattr(record, "trigger_event_id", "") in wanted:
                seen[record.event_id] = record.trigger_event_id
            if message.offset() + 1 >= ends.get(message.partition(), 1 << 60):
                ends.pop(message.partition(), None)
    consumer.close()
    return Counter(seen.values())


def test_of_hundreds_some_are_refused_each_with_its_reason(
    portal: Any, story: Any, ops: httpx.Client, wait_until: Wait, arrive: Arrive
) -> None:
    main = a_sequence(ops, "Main", step("hello", 600), exclusive_group="one", priority=10)
    rival = a_sequence(ops, "Rival", step("hello", 600), exclusive_group="one", priority=90)
    good = leads(story, "good", LEADS)
    quarantined = leads(story, "quarantined", 20, status="quarantined")
    silent = leads(story, "silent", 20)
    for lead_id in silent:
        quiet = records.ConsentChanged(
            **story.about(lead_id, story.at, "quiet"),
            cause_id=f"raw-quiet-{lead_id}",
            channel="all",
            granted=False,
        )
        story.add("lead-events", lead_id, quiet)
    taken, inside, over = (leads(story, mark, 20) for mark in ("taken", "inside", "over"))
    everybody = [*good, *quarantined, *silent, *taken, *inside, *over]
    arrive(LEADS + 80, left=20)
    unknown = [ids.derived_id("nobody", n) for n in range(5)]

    for sequence, who in ((rival, taken), (main, [*inside, *over])):
        begun = bulk(ops, sequence, action="enroll", lead_ids=who)
        assert finished(ops, begun["id"], wait_until)["counts"]["done"] == len(who)
    stopped = bulk(ops, main, action="stop", lead_ids=over)
    assert finished(ops, stopped["id"], wait_until)["counts"]["done"] == len(over)

    preview = bulk(ops, main, action="enroll", lead_ids=[*everybody, *unknown], dry_run=True)
    rules = {
        "lead_not_active": 20, "consent_refused": 20, "exclusive": 20, "already_active": 20,
        "reentry": 20, "unknown_lead": 5,
    }  # fmt: skip
    assert preview["state"] == "previewed"
    assert preview["expected"]["rules"] == rules
    assert preview["expected"]["done"] == LEADS
    commands = {each["event_id"] for each in items(ops, preview["id"])}
    assert not answers_in_log(portal, commands), "a dry run sends nothing"

    started = ops.post(f"/bulk/{preview['id']}/start")
    assert started.status_code == 202, started.text
    done = finished(ops, preview["id"], wait_until)
    assert done["state"] == "finished"
    assert done["counts"]["done"] == LEADS
    assert done["refused"] == rules
    for each in items(ops, preview["id"]):
        assert each["rule"] == each["expected"]["rule"]
        assert (each["state"] == "done") == (each["enrollment_id"] is not None)
    told_once = answers_in_log(portal, commands)
    assert set(told_once.values()) == {1}
    assert len(told_once) == len(everybody)

    lines = list(csv.DictReader(io.StringIO(ops.get(f"/bulk/{preview['id']}/refusals.csv").text)))
    assert Counter(line["rule"] for line in lines) == rules
    [exclusive] = [line for line in lines if line["lead_id"] == taken[0]]
    assert '"held_by": "' + rival in exclusive["inputs"]


class Lock:
    """One item that nobody else can change: whoever sends its batch waits, once the log has it."""

    def __init__(self, portal: Any, bulk_id: str, position: int) -> None:
        self._loop = asyncio.new_event_loop()
        url = portal.database_url.replace("+asyncpg", "")
        self._connection = self._wait(asyncpg.connect(url))
        self._transaction = self._connection.transaction()
        self._wait(self._transaction.start())
        self.ask(
            "SELECT position FROM bulk_items WHERE bulk_id = $1 AND position = $2 FOR UPDATE",
            bulk_id,
            position,
        )

    def ask(self, sql: str, *values: Any) -> Any:
        return self._wait(self._connection.fetchval(sql, *values))

    def release(self) -> None:
        self._wait(self._transaction.rollback())
        self._wait(self._connection.close())
        self._loop.close()

    def _wait(self, work: Any) -> Any:
        return self._loop.run_until_complete(work)


def test_a_portal_that_dies_between_the_log_and_its_database_goes_on_with_the_same_commands(
    portal: Any, story: Any, ops: httpx.Client, wait_until: Wait, arrive: Arrive
) -> None:
    """An item of the second batch is locked by the test: its commands are in the log, the
    database does not know yet, and there the process is killed."""
    sequence = a_sequence(ops, "Deadly", step("hello", 600))
    who = leads(story, "deadly", 700)
    refused = leads(story, "refused", 30, status="quarantined")
    arrive(700)
    preview = bulk(ops, sequence, action="enroll", lead_ids=[*who, *refused], dry_run=True)
    lock = Lock(portal, preview["id"], 600)
    assert ops.post(f"/bulk/{preview['id']}/start").status_code == 202
    portal.read("enrollment-commands", who[600])
    portal.kill()
    lock.release()
    portal.start()

    done = finished(ops, preview["id"], wait_until)
    assert done["counts"] == {
        "waiting": 0, "requested": 0, "done": 700, "refused": 30, "cancelled": 0,
    }  # fmt: skip
    first, again = portal.read("enrollment-commands", who[600], 2)
    assert first == again
    told_once = answers_in_log(portal, {each["event_id"] for each in items(ops, preview["id"])})
    assert (len(told_once), set(told_once.values())) == (730, {1})


def test_enrolled_leads_move_to_another_version_as_the_preview_said(
    portal: Any, story: Any, ops: httpx.Client, wait_until: Wait, arrive: Arrive
) -> None:
    sequence = a_sequence(ops, "Moving", step("one", 0), step("two", 600), step("three", 1200))
    who = leads(story, "moving", 40)
    arrive(40)
    begun = bulk(ops, sequence, action="enroll", filter={"q": "moving-", "stage": "new"})
    assert finished(ops, begun["id"], wait_until)["counts"]["done"] == 40
    wait_until(
        lambda: ops.get(f"/sequences/{sequence}").json()["stats"]["queued"] == 40, "step one"
    )
    held = bulk(ops, sequence, action="pause", lead_ids=who[:3])
    assert finished(ops, held["id"], wait_until)["counts"]["done"] == 3
    assert ops.delete(f"/sequences/{sequence}/steps/two").json()["version"] == 2
    versions = ops.get(f"/sequences/{sequence}/versions").json()["items"]
    assert [(each["version"], each["live"]) for each in versions] == [(2, 0), (1, 40)]

    preview = bulk(ops, sequence, action="migrate", to_version=2, dry_run=True)
    assert preview["total"] == 40
    assert preview["expected"]["moves"] == {"next_step_left": 40}
    plans = {each["lead_id"]: each["expected"]["plan"] for each in items(ops, preview["id"])}
    plan = plans[who[0]]
    assert (plan["stands_on"], plan["removed"], plan["next_step"]) == ("two", True, "three")
    assert plan["paused"] is True
    started = ops.post(f"/bulk/{preview['id']}/start")
    assert started.status_code == 202
    done = finished(ops, preview["id"], wait_until)
    assert (done["counts"]["done"], done["refused"]) == (40, {})

    def due() -> dict[str, Any]:
        found = ops.get(f"/sequences/{sequence}/enrollments?limit=200").json()["items"]
        return {each["lead_id"]: each for each in found if each["sequence_version"] == 2}

    shown = wait_until(lambda: due() if len(due()) == 40 else None, "the new version")
    for lead_id in who[3:]:
        about = datetime.fromisoformat(plans[lead_id]["about"])
        at = datetime.fromisoformat(shown[lead_id]["next_due_at"])
        assert abs(at - about) < timedelta(seconds=1)

    again = bulk(ops, sequence, action="migrate", to_version=2, lead_ids=[who[0], "nobody"])
    assert finished(ops, again["id"], wait_until)["refused"] == {
        "same_version": 1,
        "not_enrolled": 1,
    }
    back = bulk(ops, sequence, action="resume")
    assert finished(ops, back["id"], wait_until)["counts"]["done"] == 3


def test_who_waits_for_a_task_that_is_gone_goes_on_as_the_preview_said(
    story: Any, ops: httpx.Client, wait_until: Wait, arrive: Arrive
) -> None:
    task = step("two", 0, channel="task", blocks=True)
    three = step("three", 60, delay_from="previous")
    sequence = a_sequence(ops, "Tasks", step("one", 0), task, three)
    who = leads(story, "tasks", 4)
    arrive(4)
    begun = bulk(ops, sequence, action="enroll", filter={"q": "tasks-", "stage": "new"})
    assert finished(ops, begun["id"], wait_until)["counts"]["done"] == 4

    def shown() -> dict[str, Any]:
        found = ops.get(f"/sequences/{sequence}/enrollments?limit=200").json()["items"]
        return {each["lead_id"]: each for each in found}

    wait_until(lambda: [e["held_by"] for e in shown().values()] == ["task_open"] * 4, "the task")
    held = bulk(ops, sequence, action="pause", lead_ids=who[:1])
    assert finished(ops, held["id"], wait_until)["counts"]["done"] == 1
    assert ops.delete(f"/sequences/{sequence}/steps/two").json()["version"] == 2

    preview = bulk(ops, sequence, action="migrate", to_version=2, dry_run=True)
    plans = {each["lead_id"]: each["expected"]["plan"] for each in items(ops, preview["id"])}
    assert [plans[each]["paused"] for each in who] == [True, False, False, False]
    assert {each["task_gone"] for each in plans.values()} == {"two"}
    assert {each["next_step"] for each in plans.values()} == {"three"}
    assert ops.post(f"/bulk/{preview['id']}/start").status_code == 202
    assert finished(ops, preview["id"], wait_until)["counts"]["done"] == 4
    wait_until(
        lambda: [shown()[each]["status"] for each in who] == ["paused", *["active"] * 3],
        "the leads that go on",
    )
    for lead_id in who[1:]:
        about = datetime.fromisoformat(plans[lead_id]["about"])
        at = datetime.fromisoformat(shown()[lead_id]["next_due_at"])
        assert timedelta(0) <= at - about < timedelta(minutes=1)


def test_a_cancelled_job_sends_nothing_more_and_says_how_much_it_sent(
    portal: Any, story: Any, ops: httpx.Client, wait_until: Wait, arrive: Arrive
) -> None:
    """The first batch waits for a lock of the test; the cancel waits for the batch."""
    sequence = a_sequence(ops, "Cancelled", step("hello", 600))
    who = leads(story, "undone", 1100)
    arrive(1100)
    preview = bulk(ops, sequence, action="enroll", lead_ids=who, dry_run=True)
    lock = Lock(portal, preview["id"], 499)
    assert ops.post(f"/bulk/{preview['id']}/start").status_code == 202
    portal.read("enrollment-commands", who[499])
    with ThreadPoolExecutor(1) as thread:
        cancelling = thread.submit(ops.post, f"/bulk/{preview['id']}/cancel")
        wait_until(lambda: lock.ask(WAITING), "the cancel to wait for the batch")
        lock.release()
        said = cancelling.result().json()
    assert (said["not_sent"], said["sent"]) == (600, 500)
    done = finished(ops, preview["id"], wait_until)
    assert done["state"] == "cancelled"
    assert done["counts"] == {
        "waiting": 0, "requested": 0, "done": 500, "refused": 0, "cancelled": 600,
    }  # fmt: skip
    assert ops.post(f"/bulk/{preview['id']}/cancel").status_code == 409


def test_a_rep_enrolls_only_leads_of_their_own(
    portal: Any, story: Any, ops: httpx.Client, wait_until: Wait, arrive: Arrive
) -> None:
    sequence = a_sequence(ops, "Own", step("hello", 600))
    who = leads(story, "owned", 4)  # dana, rita, dana, rita
    arrive(4)
    with portal.client("rep", story.tenant.tenant_id, "rita") as rita:
        mine = bulk(rita, sequence, action="enroll", lead_ids=who)
        done = finished(rita, mine["id"], wait_until)
        assert (done["counts"]["done"], done["refused"]) == (2, {"unknown_lead": 2})
        fitting = bulk(rita, sequence, action="enroll", filter={"q": "owned-"}, dry_run=True)
        assert {each["lead_id"] for each in items(rita, fitting["id"])} == {who[1], who[3]}
        no = rita.post(f"/sequences/{sequence}/bulk", json={"action": "stop"})
        assert no.status_code == 403
    with portal.client("rep", story.tenant.tenant_id, "dana") as dana:
        assert dana.get(f"/bulk/{mine['id']}").status_code == 404
        assert dana.get("/bulk").json()["items"] == []
    assert mine["id"] in [each["id"] for each in ops.get("/bulk").json()["items"]]
    with portal.client("reviewer", story.tenant.tenant_id) as reviewer:
        assert reviewer.get(f"/bulk/{mine['id']}").status_code == 200
        assert reviewer.post(f"/bulk/{mine['id']}/cancel").status_code == 403
