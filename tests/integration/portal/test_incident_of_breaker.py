"""A provider that the dispatcher gave a rest: an incident until it is back, or until a word."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
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


def tell(portal: Any, provider: str, *, opened: bool, at: datetime | None = None) -> None:
    story = portal.story()
    at = at or datetime.now(UTC)
    change = Change(provider=provider, opened=opened, bad=21, total=30, at=at)
    story.add("automation-controls", f"breaker:{provider}", control_of(change))
    story.tell(portal.bootstrap)


def incident_of(admin: httpx.Client, provider: str) -> dict[str, Any] | None:
    answer = admin.get("/incidents", params={"scope": f"provider:{provider}", "state": "all"})
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
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
    said = portal.read("automation-controls", f"breaker:{provider}", 2)
    assert [each.source for each in said] == ["dispatcher", "dispatcher"]


def test_a_rest_that_began_before_the_end_of_the_last_was_seen_is_an_incident_of_its_own(
    portal: Any, admin: httpx.Client, wait_until: Wait
) -> None:
    """Each time the portal looks later than the provider changes."""
    provider, began = f"p-{uuid4().hex[:8]}", datetime.now(UTC)
    tell(portal, provider, opened=True, at=began)
    first = wait_until(lambda: incident_of(admin, provider), "the incident")
    tell(portal, provider, opened=False, at=began + timedelta(milliseconds=1))
    wait_until(lambda: incident_of(admin, provider)["closed_at"], "its end")
    tell(portal, provider, opened=True, at=began + timedelta(milliseconds=2))

    def another() -> bool:
        incident = incident_of(admin, provider)
        return incident["id"] != first["id"] and incident["closed_at"] is None

    wait_until(another, "the second incident")
    tell(portal, provider, opened=False, at=began + timedelta(milliseconds=3))
    wait_until(lambda: incident_of(admin, provider)["closed_at"], "its end")


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
    said = portal.read("automation-controls", f"provider:{provider}", 1)[-1]
    assert isinstance(said, records.AutomationResumed)
    assert said.resumed_by != "rule:breaker"
