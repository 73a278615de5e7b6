"""Leads that a bulk job names without being allowed to know them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

HOUR = timedelta(hours=1)
Wait = Callable[..., Any]


@pytest.fixture(scope="module")
def told(portal: Any, wait_until: Wait) -> tuple[Any, Any]:
    """Two tenants, each with a lead of dana.whitfield and the sequences of the library."""
    stories = portal.story(0), portal.story(1)
    for number, story in enumerate(stories):
        story.publish_library()
        story.lead(number, HOUR)
        story.tell(portal.bootstrap)
        with portal.client("ops", story.tenant.tenant_id) as ops:
            base = f"/sequences/{story.tenant.tenant_id}.first-touch"
            wait_until(lambda ops=ops, base=base: ops.get(base).status_code == 200, "a sequence")
            wait_until(lambda ops=ops: ops.get("/leads").json()["items"], "the lead")
    return stories


def shown(client: httpx.Client, tenant_id: str, *leads: str) -> dict[str, dict[str, Any]]:
    """What a job that names these leads shows of each."""
    body = {"action": "enroll", "lead_ids": list(leads), "dry_run": True}
    made = client.post(f"/sequences/{tenant_id}.first-touch/bulk", json=body)
    assert made.status_code == 202, made.text
    found = client.get(f"/bulk/{made.json()['id']}/items").json()["items"]
    return {each["lead_id"]: each for each in found}


def test_who_names_the_id_of_another_tenants_lead_is_not_told_who_that_is(
    portal: Any, told: tuple[Any, Any]
) -> None:
    own, other = told
    tenant_id = own.tenant.tenant_id
    with portal.client("ops", tenant_id) as ops:
        found = shown(ops, tenant_id, own.leads[0], other.leads[0])
    assert found[own.leads[0]]["lead"]["name"] == "Maria Okafor"
    strange = found[other.leads[0]]
    assert (strange["lead"]["name"], strange["lead"]["stage"]) == ("Unknown lead", None)
    assert strange["expected"]["rule"] == "unknown_lead"
    assert "Whitlock" not in str(strange)


def test_a_rep_who_names_the_id_of_a_colleagues_lead_is_not_told_who_that_is(
    portal: Any, told: tuple[Any, Any]
) -> None:
    own, _ = told
    tenant_id, lead = own.tenant.tenant_id, own.leads[0]
    with portal.client("rep", tenant_id, "rita") as rita:
        strange = shown(rita, tenant_id, lead)[lead]
    assert (strange["lead"]["name"], strange["lead"]["stage"]) == ("Unknown lead", None)
    assert "Okafor" not in str(strange)
    with portal.client("rep", tenant_id, "dana.whitfield") as dana:
        assert shown(dana, tenant_id, lead)[lead]["lead"]["name"] == "Maria Okafor"
