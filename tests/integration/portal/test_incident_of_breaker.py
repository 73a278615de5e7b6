"""A provider that the dispatcher gave a rest: an incident until it is back, or until a word."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from dispatcher.breaker_news import Change, control_of
from leadflow import records

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

Wait = Callable[..., Any]


@pytest.fixture
def admin(portal: Any) -> Iterator[httpx.Client]:
    with portal.client("admin", "", "ada") as client:
        yield client


def tell(portal: Any, provider: str, *, opened: bool) -> None:
    story = portal.story()
    change = Change(provider=provider, opened=opened, bad=21, total=30, at=datetime.now(UTC))
    story.add("automation-controls", f"provider:{provider}", control_of(change))
    story.tell(portal.bootstrap)


def incident_of(admin: httpx.Client, provider: str) -> dict[str, Any] | None:
    answer = admin.get("/incidents", params={"scope": f"provider:{provider}", "state": "all"})
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    assert len(items) <= 1
    return items[0] if items else None


def test_a_rest_opens_an_incident_and_its_end_closes_it(
    portal: Any, admin: httpx.Client, wait_until: Wait
) -> None:
    provider = f"p-{uuid4().hex[:8]}"
    tell(portal, provider, opened=True)
    incident = wait_until(lambda: incident_of(admin, provider), "the incident")
    assert incident["kind"] == "delivery"
    assert "21 of 30 calls" in incident["reason"]
    assert incident["closed_at"] is None
    tell(portal, provider, opened=False)
    wait_until(lambda: incident_of(admin, provider)["closed_at"], "its end")
    assert incident_of(admin, provider)["closed_by"] == "rule:breaker"
    # Nothing was said again: what the dispatcher said is all there is.
    said = portal.read("automation-controls", f"provider:{provider}", 2)
    assert [each.source for each in said] == ["dispatcher", "dispatcher"]


def test_a_person_who_closes_it_says_so_to_the_dispatcher(
    portal: Any, admin: httpx.Client, wait_until: Wait
) -> None:
    provider = f"p-{uuid4().hex[:8]}"
    tell(portal, provider, opened=True)
    incident = wait_until(lambda: incident_of(admin, provider), "the incident")
    url = f"/incidents/{incident['id']}"
    assert admin.post(f"{url}/close", json={}).status_code == 409, "its task is not done"
    assert admin.post(f"{url}/verify", json={"note": "a test went out"}).status_code == 200
    answer = admin.post(f"{url}/close", json={})
    assert answer.status_code == 200, answer.text
    said = portal.read("automation-controls", f"provider:{provider}", 2)[-1]
    assert isinstance(said, records.AutomationResumed)
    assert said.resumed_by != "rule:breaker"
