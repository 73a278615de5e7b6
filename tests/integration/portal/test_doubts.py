"""The work list of messages in doubt, and what a person says about them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from leadflow import ids, records
from portal_api.store.doubts import SETTLED

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

HOUR = timedelta(hours=1)


def test_a_message_in_doubt_is_listed_until_somebody_says_what_became_of_it(
    portal: Any, wait_until: Callable[..., Any]
) -> None:
    story = portal.story()
    story.publish_library()
    lead_id = story.lead(0, HOUR)
    story.walk(lead_id, "first-touch", HOUR)
    published = story.sequences["first-touch"]
    enrollment = ids.enrollment_id(lead_id, published.sequence_id, 1)
    sent_id = ids.message_id(enrollment, published.steps[0].step_id)
    at = datetime.now(UTC).replace(microsecond=0)
    other = ids.enrollment_id(lead_id, published.sequence_id, 2)
    doubt = story.message(lead_id, published, published.steps[0], other, at, outcome="queued")
    about: dict[str, Any] = {
        "message_id": doubt,
        "enrollment_id": other,
        "sequence_id": published.sequence_id,
        "step_id": published.steps[0].step_id,
        "channel": "email",
        "provider": "smtp",
    }
    unknown = records.MessageUnknown(
        **story.about(lead_id, at, "unknown"), **about, reason="smtp: TimeoutError"
    )
    story.add("message-events", lead_id, unknown)
    story.tell(portal.bootstrap)
    tenant = story.tenant.tenant_id
    with portal.client("ops", tenant, "olga") as ops, portal.client("rep", tenant, "rob") as rep:
        [listed] = wait_until(lambda: ops.get("/messages").json()["items"], "it is listed")
        assert (listed["id"], listed["state"]) == (doubt, "unknown")
        assert listed["failed_reason"] == "smtp: TimeoutError"
        assert rep.get("/messages").json()["items"] == [], "another's lead"
        assert ops.get("/messages?state=nonsense").status_code == 422
        url, body = f"/messages/{doubt}/settle", {"outcome": "sent", "reason": "it is in the box"}
        assert rep.post(url, json=body).status_code == 403
        for nothing in ({}, {"reason": ""}, {"reason": "  \t"}):
            assert ops.post(url, json={"outcome": "sent", **nothing}).status_code == 422
        assert ops.post("/messages/nothing/settle", json=body).status_code == 404
        assert ops.post(f"/messages/{sent_id}/settle", json=body).status_code == 409
        answer = ops.post(url, json=body)
        assert answer.status_code == 202, answer.text
        (said,) = portal.read("message-reviews", lead_id)
        assert isinstance(said, records.DoubtSettled)
        assert (said.message_id, said.outcome, said.settled_by) == (doubt, "sent", "olga")
        sent = records.MessageSent(
            **story.about(lead_id, at, "settled"),
            **about,
            provider_id=None,
            body_hash="00",
            accepted_at=at,
            epoch=1,
        )
        story.add("message-events", lead_id, sent)
        story.tell(portal.bootstrap)
        wait_until(lambda: not ops.get("/messages").json()["items"], "it is off the list")
        [settled] = ops.get("/messages/settled").json()["items"]
        assert (settled["id"], settled["state"]) == (doubt, "sent")
        word = settled["doubt"]["word"]
        assert (word["outcome"], word["by"], word["reason"]) == ("sent", "olga", body["reason"])
        assert rep.get("/messages/settled").json()["items"] == [], "another's lead"
        with portal.client("ops", portal.tenants[1].tenant_id) as stranger:
            assert stranger.get("/messages/settled").json()["items"] == []
        assert ops.post(url, json=body).status_code == 409


async def test_settled_words_are_found_without_reading_the_audit_log(portal: Any) -> None:
    connection = await asyncpg.connect(portal.database_url)
    try:
        await connection.execute("SET enable_seqscan = off")
        asked = SETTLED
        for name, value in (
            (":tenant", "NULL"), (":owner", "NULL"), (":limit", "51"), (":at,", "now(),"),
            (":at ", "NULL "), (":id", "'z'"),
        ):  # fmt: skip
            asked = asked.replace(name, value)
        plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {asked}"))
    finally:
        await connection.close()
    assert "using audit_log_settled" in plan
    assert "Sort" not in plan, "the index has them in order"
