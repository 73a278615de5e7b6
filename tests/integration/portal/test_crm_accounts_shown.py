"""CRM accounts and sync runs in the API, and the incident of an account that refuses us."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from leadflow import records

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

Wait = Callable[..., Any]


def common(tenant_id: str, at: datetime) -> dict[str, Any]:
    return {
        "event_id": str(uuid4()),
        "tenant_id": tenant_id,
        "occurred_at": at,
        "recorded_at": at,
        "source": "crm-sync",
        "provider": "hubspot",
    }


def test_an_account_that_refuses_us_is_an_incident_until_its_canary_is_accepted(
    portal: Any, wait_until: Wait
) -> None:
    account, now = f"hubspot-{uuid4().hex[:8]}", datetime.now(UTC).replace(microsecond=0)
    story = portal.story()
    tenant = story.tenant.tenant_id

    def tell(status: str, revision: int) -> None:
        at = now + timedelta(seconds=revision)
        changed = records.AccountStatusChanged(
            **common(tenant, at),
            account_id=account,
            status=status,
            reason="read of a property: HTTP 401",
            changed_by="canary",
            revision=revision,
        )
        story.add("crm-accounts", account, changed)
        story.tell(portal.bootstrap)

    run = records.SyncRunRecorded(
        **common(tenant, now),
        lead_id=f"lead-{account}",
        cause_id=f"cause-{account}",
        what="LeadCreated",
        account_id=account,
        attempts=0,
        result="waiting",
        error="CrmSignIn",
        reason="HTTP 401",
        next_try_at=now + timedelta(hours=1),
    )
    story.add("crm-sync-events", run.lead_id, run)
    tell("paused", 2)
    with (
        portal.client("ops", tenant) as ops,
        portal.client("ops", "somebody-else") as other,
        portal.client("client", tenant) as client,
    ):

        def incident() -> dict[str, Any] | None:
            items = ops.get("/incidents", params={"state": "all"}).json()["items"]
            return next((each for each in items if each["scope"] == f"crm:{account}"), None)

        opened = wait_until(incident, "the incident")
        assert opened["kind"] == "credential"
        assert opened["reason"] == (
            f"hubspot refuses account {account}: read of a property: HTTP 401."
        )

        (shown,) = (
            each
            for each in ops.get("/sync/accounts").json()["items"]
            if each["account_id"] == account
        )
        assert (shown["status"], shown["waiting"], shown["dead"]) == ("paused", 1, 0)
        mine = {"account_id": account}
        (found,) = ops.get("/sync/runs", params=mine).json()["items"]
        assert (found["what"], found["result"], found["error"]) == (
            "LeadCreated",
            "waiting",
            "CrmSignIn",
        )
        assert ops.get("/sync/runs", params={**mine, "result": "dead"}).json()["items"] == []

        assert other.get("/sync/runs", params=mine).json()["items"] == []
        assert account not in other.get("/sync/accounts").text
        for path in ("/sync/runs", "/sync/accounts"):
            assert client.get(path).status_code == 403

        tell("active", 3)

        def closed() -> dict[str, Any] | None:
            found = incident()
            return found if found and found["closed_at"] else None

        assert wait_until(closed, "its end")["closed_by"] == "rule:crm_account"
