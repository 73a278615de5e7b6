"""An incident from its opening to the last message that it held: portal, Kafka and sequencers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from leadflow import ids, topics

from ..sequencing import Tail, Worker, queued, running, wait

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

LEADS = 60
PER_MINUTE = 120
Wait = Callable[..., Any]


def first_touch(preview: Any) -> int:
    """How many messages of First touch go out, as a preview or a resume says it."""
    found = (each for each in preview["groups"] if each["sequence_id"].endswith(".first-touch"))
    return sum(each["messages"] for each in found)


def test_what_an_incident_holds_goes_out_once_and_at_the_rate_of_its_resume(
    portal: Any, kafka_bootstrap: str, tmp_path: Path, wait_until: Wait
) -> None:
    """Two sequencers share the rate; one of them is killed on the way."""
    tenant = portal.tenants[0].tenant_id
    scope, group = f"tenant:{tenant}", f"seq-{uuid4().hex[:8]}"
    workers = [Worker(kafka_bootstrap, group, tmp_path) for _ in range(2)]
    tail = Tail(kafka_bootstrap, [topics.MESSAGES.name], queued(tenant))
    with running(workers), portal.client("ops", tenant, "olga") as ops:
        for worker in workers:
            wait(worker.ready)
        wait_until(
            lambda: ops.get(f"/sequences/{tenant}.first-touch").status_code == 200, "the library"
        )
        body = {"kind": "delivery", "scope": scope, "reason": "Everything bounces."}
        url = f"/incidents/{ops.post('/incidents', json=body).json()['id']}"
        story = portal.story()
        leads = [story.lead(number, timedelta()) for number in range(LEADS)]
        story.tell(portal.bootstrap)
        wait_until(lambda: first_touch(ops.get(f"{url}/preview").json()) == LEADS, "all to wait")
        refused = ops.post(f"{url}/close", json={})
        assert refused.status_code == 409
        looks = iter(range(10))
        tail.until(lambda _seen: next(looks, None) is None)
        assert tail.kept == []

        ops.post(f"{url}/verify", json={"note": "test message delivered"})
        resumed_at = datetime.now(UTC)
        release = ops.post(f"{url}/close", json={"rate_per_minute": PER_MINUTE}).json()["release"]
        assert first_touch(release) == LEADS
        last_at = datetime.fromisoformat(release["last_at"])
        assert last_at - resumed_at < timedelta(minutes=1)
        tail.until(lambda seen: len({each.message_id for each in seen}) >= 10)
        workers.pop(0).kill()
        wanted = {
            ids.message_id(ids.enrollment_id(lead, f"{tenant}.first-touch", 1), "hello")
            for lead in leads
        }
        tail.until(lambda seen: {each.message_id for each in seen} >= wanted)
        for worker in workers:
            assert worker.stop() == 0
    tail.close()
    # A repeat after the kill is the same event; nothing else was let out.
    assert {each.message_id for each in tail.kept} == wanted
    assert len({each.event_id for each in tail.kept}) == LEADS
    fired = {each.lead_id: each.recorded_at for each in reversed(tail.kept)}
    seconds = Counter(int((at - resumed_at).total_seconds()) for at in fired.values())
    # Two a second over both workers, with two seconds' worth at once at the most for each.
    assert max(seconds.values()) <= 10
    assert max(fired.values()) - min(fired.values()) > timedelta(seconds=LEADS / 2 / 2)
