"""The portal on real Kafka and PostgreSQL: what it shows, to whom, and what it never shows."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice
from typing import Any

import asyncpg
import confluent_kafka
import httpx
import pytest

from leadflow import ids, records

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
Wait = Callable[..., Any]


@pytest.fixture(scope="module")
def told(portal: Any, wait_until: Wait) -> Any:
    """Five leads in First touch: two days old, two new, one that replied and moved on; and
    beside them a duplicate, a spam lead, a refused and an unreadable record."""
    story = portal.story()
    story.publish_library()
    for number in range(2):
        story.walk(story.lead(number, 2 * DAY), "first-touch", 2 * DAY, engagement="opened")
    for number in range(2, 4):
        story.walk(story.lead(number, HOUR), "first-touch", HOUR)
    answered = story.lead(4, 3 * HOUR)
    story.walk(answered, "first-touch", 3 * HOUR, engagement="replied", end="reply")
    story.stage(answered, "new", "contacted", HOUR, 2)
    story.tell(portal.bootstrap)
    others(story, portal.bootstrap)
    with portal.client("ops", story.tenant.tenant_id) as ops:
        wait_until(lambda: account(ops)["dlq"] == 1, "everything to be projected")
        wait_until(lambda: first_touch(ops)["stats"]["sent"] == 7, "every message")
        wait_until(lambda: first_touch(ops)["stats"]["replied"] == 1, "the reply")
    return story


def others(story: Any, bootstrap: str) -> None:
    """A second sighting of lead 0 from elsewhere, a quarantined lead, a refused raw event."""
    tenant = story.tenant.tenant_id
    first = ids.lead_id(tenant, "website-form", "form-0")
    raw = {
        "tenant_id": tenant,
        "occurred_at": story.at.isoformat(),
        "payload": {"email": "maria.okafor.0@example.com"},
    }
    sent = [
        {**raw, "event_id": "dup", "source": "chat", "kind": "lead", "external_id": "chat-9"},
        {**raw, "event_id": "spam", "source": "chat", "kind": "lead", "external_id": "chat-10"},
        {**raw, "event_id": "odd", "source": "chat", "kind": "moonshine", "external_id": "c-11"},
        {**raw, "event_id": "cb", "source": "email-api", "kind": "opened", "external_id": "c-12"},
    ]
    producer = confluent_kafka.Producer({"bootstrap.servers": bootstrap})
    for event in sent:
        producer.produce("raw-events", json.dumps(event).encode(), key=b"k")
    refused = json.dumps(sent[2]).encode()
    headers = [("dlq-topic", b"raw-events"), ("dlq-partition", b"1"), ("dlq-offset", b"1")]
    headers += [("dlq-error", b"RecordRefused"), ("dlq-reason", b"kind: unknown")]
    for _ in range(2):  # buried twice by a crash: one raw event all the same
        producer.produce("intake-dlq", refused, key=b"k", headers=headers)
    profile = {
        "revision": 2,
        "external_id": "form-0",
        "status": "active",
        "first_name": "Maria",
        "last_name": "Okafor",
        "email": "maria.okafor.0@example.com",
        "phone": "+15125550000",
        "urgency": "high",
        "timezone": "America/Chicago",
        "timezone_from": "phone",
        "stage": "new",
        "received": "{}",
        "extra": "{}",
    }
    again = records.LeadUpdated(
        **story.about(first, story.at, "dup", source="chat"),
        **profile,
        cause_id="dup",
        duplicate_rule="email",
    )
    other: dict[str, Any] = {"revision": 1, "external_id": "chat-10", "status": "quarantined"}
    other |= {"email": "win@prizes.example.com", "phone": None}
    spam_id = ids.lead_id(tenant, "chat", "chat-10")
    spam = records.LeadCreated(
        **story.about(spam_id, story.at, "created", source="chat"),
        **{**profile, **other},
        cause_id="spam",
        quarantine_reasons=(records.Reason(rule="honeypot", points=80, note="filled"),),
    )
    for record in (again, spam):
        key = record.lead_id.encode()
        producer.produce("lead-events", story.codec.encode(record), key=key)
    assert producer.flush(30) == 0


def account(client: httpx.Client) -> dict[str, Any]:
    answer: dict[str, Any] = client.get("/pipeline").json()
    return answer


def first_touch(client: httpx.Client) -> dict[str, Any]:
    items = client.get("/sequences").json()["items"]
    return next((each for each in items if each["name"] == "First touch"), {"stats": {"sent": 0}})


@pytest.fixture
def ops(portal: Any, told: Any) -> Iterator[httpx.Client]:
    with portal.client("ops", told.tenant.tenant_id) as client:
        yield client


def test_every_lead_is_accounted_for(ops: httpx.Client) -> None:
    now = account(ops)
    assert now["received"] == 8  # five leads, a duplicate, spam, a refused one; no callback
    assert (now["normalized"], now["merged"], now["quarantined"], now["dlq"]) == (5, 1, 1, 1)
    assert now["enrolled"] == 5
    assert now["messages_accepted"] == 7
    assert now["summaries_pending"] == 5
    assert now["latency_ms"] == {"p50": 2000.0, "p99": 2000.0, "leads": 5}


def test_a_sequence_shows_what_seed_003_asks_for(ops: httpx.Client) -> None:
    sequence = first_touch(ops)
    stats = sequence["stats"]
    assert (stats["steps"], stats["running"], stats["sent"]) == (6, 4, 7)
    assert stats["moved"] == {"count": 1, "of": 5, "to": {"contacted": 1}}
    assert stats["reply_rate"] == round(1 / 7, 4)
    assert stats["open_rate"] == round(3 / 7, 4)
    hello, personal = sequence["steps"][:2]
    assert [hello["delay_label"], personal["delay_label"]] == ["T+0h", "T+24h"]
    assert (hello["counts"]["sent"], hello["counts"]["opened"]) == (5, 3)
    assert (personal["counts"]["sent"], personal["counts"]["scheduled"]) == (2, 2)


def test_the_dashboard_adds_up_all_sequences(ops: httpx.Client) -> None:
    stats = ops.get("/sequences/stats").json()
    assert (stats["enrolled"], stats["running"], stats["sent"]) == (5, 4, 7)
    assert stats["open_rate"] == round(3 / 7, 4)
    assert stats["sequences"] == len(stats["items"])


def test_the_enrollments_and_messages_of_a_sequence_come_in_pages(
    ops: httpx.Client, told: Any
) -> None:
    base = f"/sequences/{told.tenant.tenant_id}.first-touch"
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        query = f"&cursor={cursor}" if cursor else ""
        page = ops.get(f"{base}/enrollments?limit=2{query}").json()
        seen += [each["id"] for each in page["items"]]
        cursor = page["next"]
    assert len(seen) == len(set(seen)) == 5
    stopped = ops.get(f"{base}/enrollments?status=stopped").json()["items"]
    assert [each["stop_rule"] for each in stopped] == ["reply"]
    statuses = sorted(
        each["status"] for each in ops.get(f"{base}/messages?limit=100").json()["items"]
    )
    # A step still to come for each live run; the reply's run has none.
    assert statuses == sorted(["opened"] * 2 + ["replied"] + ["sent"] * 4 + ["scheduled"] * 4)


def test_a_lead_is_found_by_any_sighting_by_email_and_by_phone(
    ops: httpx.Client, told: Any
) -> None:
    lead_id = told.leads[0]
    for query in (
        {"source": "website-form", "external_id": "form-0"},
        {"source": "chat", "external_id": "chat-9"},
        {"email": "Maria.Okafor.0@example.com"},
        {"phone": "+15125550000", "status": "active"},
    ):
        items = ops.get("/leads", params=query).json()["items"]
        assert [each["lead_id"] for each in items] == [lead_id], query
    assert ops.get("/leads", params={"source": "web", "external_id": "no"}).json()["items"] == []


def test_a_lead_has_the_fields_of_the_stable_surface(ops: httpx.Client, told: Any) -> None:
    lead = ops.get(f"/leads/{told.leads[0]}").json()
    assert (lead["first_name"], lead["last_name"]) == ("Maria", "Okafor")
    assert lead["scores"] == {"fit": 72, "intent": 64}
    assert lead["temperature"] == "warm"
    assert lead["consent"] == {"email": True}
    assert (lead["timezone"], lead["timezone_from"]) == ("America/Chicago", "phone")
    assert (lead["stage"], lead["owner"], lead["status"]) == ("new", "dana.whitfield", "active")
    assert lead["merged_into"] is None
    assert lead["reasons"][0]["rule"] == "service"
    (spam,) = ops.get("/leads", params={"status": "quarantined"}).json()["items"]
    assert spam["reasons"][0]["rule"] == "honeypot"


def test_the_timeline_tells_the_story_in_order(ops: httpx.Client, told: Any) -> None:
    items = ops.get(f"/leads/{told.leads[4]}/timeline").json()["items"]
    assert items == sorted(items, key=lambda each: (each["at"], each["recorded_at"]))
    types = [each["type"] for each in items]
    for kind in ("LeadCreated", "Enrolled", "MessageSent", "ReplyReceived", "StageChanged"):
        assert types.count(kind) == 1, kind
    stopped = next(each for each in items if each["type"] == "EnrollmentStopped")
    assert stopped["rule"] == "reply"


def test_why_answers_for_each_step_with_the_rule_that_decided(ops: httpx.Client, told: Any) -> None:
    lead = told.leads[4]
    items = ops.get(f"/leads/{lead}/why", params={"sequence": "first-touch"}).json()["items"]
    assert [each["number"] for each in items] == list(range(1, len(items) + 1))
    assert [each["state"] for each in items][:2] == ["sent", "stopped"]
    (second,) = ops.get(f"/leads/{lead}/why", params={"step": "2"}).json()["items"]
    assert (second["step_id"], second["rule"]) == (items[1]["step_id"], "reply")
    assert "the lead replied by" in second["text"]
    assert ops.get("/leads/nobody/why").status_code == 404


def test_without_a_key_there_is_a_problem_document(portal: Any) -> None:
    answer = httpx.get(f"{portal.url}/api/v1/sequences")
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 401


def test_a_key_of_one_tenant_reaches_nothing_of_another(portal: Any, told: Any) -> None:
    with portal.client("ops", portal.tenants[1].tenant_id) as north:
        assert north.get("/sequences").json()["items"] != []
        assert north.get(f"/sequences/{told.tenant.tenant_id}.first-touch").status_code == 404
        assert north.get(f"/leads/{told.leads[0]}").status_code == 404
        assert north.get(f"/sequences?tenant={told.tenant.tenant_id}").status_code == 403
        assert account(north)["received"] == 0


def test_a_rep_sees_only_leads_that_are_theirs(portal: Any, told: Any) -> None:
    tenant = told.tenant.tenant_id
    with portal.client("rep", tenant, "dana.whitfield") as dana:
        assert len(dana.get("/leads").json()["items"]) == 6
    with portal.client("rep", tenant, "luis.ortega") as luis:
        assert luis.get("/leads").json()["items"] == []
        assert luis.get(f"/leads/{told.leads[0]}").status_code == 404
        runs = luis.get(f"/sequences/{tenant}.first-touch/enrollments").json()["items"]
        assert runs == []


def test_a_client_reaches_nothing_but_client_routes(portal: Any, told: Any) -> None:
    schema = httpx.get(f"{portal.url}/api/v1/openapi.json").json()
    with portal.client("client", told.tenant.tenant_id) as client:
        tried = 0
        for path, methods in schema["paths"].items():
            if path.startswith("/api/v1/client/"):
                continue
            for method in methods:
                url = f"{portal.url}{path}".replace("{", "").replace("}", "")
                answer = client.request(method, url, json={})
                assert answer.status_code == 403, (method, path, answer.status_code)
                tried += 1
        assert tried >= 20
        assert client.get("/client/summaries").json()["items"] == []
        assert client.get("/client/metrics").json()["sent"] == 7


def test_a_key_is_printed_once_and_opens_the_api(portal: Any) -> None:
    key = portal.grant("token", "ops")
    assert key.startswith("lf_")
    answer = httpx.get(f"{portal.url}/api/v1/sequences", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200


def test_a_client_key_needs_a_tenant(portal: Any) -> None:
    with pytest.raises(subprocess.CalledProcessError) as error:
        portal.grant("token", "client")
    assert "a client needs a tenant" in error.value.stderr


def test_the_client_role_reads_approved_bytes_only_even_by_direct_connection(
    portal: Any, told: Any, wait_until: Wait
) -> None:
    """Straight to PostgreSQL, past the portal: what is not approved is not there."""
    tenant = told.tenant.tenant_id
    approved, forged, pending = (told.summaries[told.leads[number]] for number in (0, 1, 2))
    review = {"project_id": tenant, "reviewer": "rita"}
    good = records.SummaryReviewed(
        **told.about(approved.lead_id, told.at, "review"),
        **review,
        summary_id=approved.summary_id,
        decision="approved",
        text_hash=approved.text_hash,
    )
    # An approval whose hash covers other bytes than the text that came with it.
    bad = records.SummaryReviewed(
        **told.about(forged.lead_id, told.at, "review"),
        **review,
        summary_id=forged.summary_id,
        decision="edited",
        text_hash=forged.text_hash,
        text="other bytes than those that were approved",
    )
    told.add("summaries", good.lead_id, good)
    told.add("summaries", bad.lead_id, bad)
    told.tell(portal.bootstrap)
    with portal.client("reviewer", tenant) as reviewer:
        wait_until(
            lambda: len(reviewer.get("/summaries?state=pending").json()["items"]) == 3,
            "both reviews",
        )
    asyncio.run(read_directly(portal.client_database_url, tenant, approved.text, pending.text))


async def read_directly(url: str, tenant: str, approved: str, pending: str) -> None:
    direct = await asyncpg.connect(url)
    try:
        await direct.execute("SELECT set_config('leadflow.tenant', $1, false)", tenant)
        rows = await direct.fetch("SELECT * FROM portal.client_summaries")
        assert [row["text"] for row in rows] == [approved]
        assert pending not in str(rows)
        for table in (
            "portal.summaries",
            "portal.raw_events",
            "portal.leads",
            "portal.timeline",
            "portal.messages",
            "portal.credentials",
            "intake.outbox",
            "dispatcher.ledger",
        ):
            with pytest.raises(asyncpg.PostgresError) as refused:
                await direct.fetch(f"SELECT * FROM {table}")
            assert refused.value.sqlstate in ("42501", "42P01"), table
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await direct.execute("DELETE FROM portal.client_summaries")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await direct.execute("SET ROLE portal")
        await direct.execute("SELECT set_config('leadflow.tenant', '', false)")
        assert await direct.fetch("SELECT * FROM portal.client_summaries") == []
    finally:
        await direct.close()


def test_reading_every_topic_again_changes_nothing(
    portal: Any, ops: httpx.Client, wait_until: Wait
) -> None:
    """Another group reads the whole log into the same tables, as after a lost offset."""
    before = (account(ops), ops.get("/sequences").json())
    environment = {
        **portal.environment,
        "LEADFLOW_GROUP": f"again-{os.getpid()}",
        "LEADFLOW_PORTAL_PORT": str(free_port()),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "portal_api"], env=environment, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{environment['LEADFLOW_PORTAL_PORT']}"

    def caught_up() -> bool:
        try:
            text = httpx.get(f"{url}/metrics").text
        except httpx.TransportError:
            return False
        values = {
            line.split()[0]: float(line.split()[1])
            for line in text.splitlines()
            if not line.startswith("#")
        }
        read = values.get('leadflow_records_total{loop="projection"}', 0)
        return read > 50 and values.get('leadflow_consumer_lag{loop="projection"}') == 0

    try:
        wait_until(caught_up, "the second reader to have read everything")
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    assert (account(ops), ops.get("/sequences").json()) == before


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_change_is_told_to_open_pages(portal: Any, ops: httpx.Client, told: Any) -> None:
    with ops.stream("GET", "/events", timeout=30) as stream:
        lines = stream.iter_lines()
        assert next(lines).startswith("retry:")
        told.lead(40, HOUR)
        told.tell(portal.bootstrap)
        # What an earlier test told may come up before.
        told_of = (
            json.loads(line[5:])["kinds"] for line in islice(lines, 40) if line[:5] == "data:"
        )
        assert any({"leads", "raw_events"} & set(kinds) for kinds in told_of)


def test_the_health_endpoints_answer_on_the_portals_own_port(portal: Any) -> None:
    assert httpx.get(f"{portal.url}/healthz").json() == {"status": "alive"}
    assert httpx.get(f"{portal.url}/readyz").json()["status"] == "ready"
    assert "leadflow_records_total" in httpx.get(f"{portal.url}/metrics").text


def test_pages_may_load_nothing_from_elsewhere(portal: Any) -> None:
    policy = httpx.get(f"{portal.url}/login").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert "unsafe" not in policy
