"""People change contacts in the CRMs, and the CRMs tell of it, signed as they say."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import httpx
import pytest

from sandbox import http_accounts, http_crm
from sandbox.callbacks import Report

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
URL = "http://portal.test/webhooks/crm/x/acme"
HUBSPOT = {"Authorization": "Bearer pat-na1-acme"}
BOSS = httpx.BasicAuth("fka_acme", "")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Report]:
    """What goes out."""
    reports: list[Report] = []

    def post(report: Report) -> int:
        reports.append(report)
        return 204

    monkeypatch.setattr(http_accounts, "post", post)
    monkeypatch.setattr(http_crm, "post", post)
    return reports


async def deal(client: httpx.AsyncClient) -> str:
    wanted = {
        "idProperty": "leadflow_lead_id",
        "id": "lead-1",
        "properties": {"dealstage": "qualifiedtobuy"},
    }
    path = "/hubspot/crm/v3/objects/deals/batch/upsert"
    answer = await client.post(path, json={"inputs": [wanted]}, headers=HUBSPOT)
    return str(answer.json()["results"][0]["id"])


async def edit(client: httpx.AsyncClient, path: str, values: dict[str, Any]) -> dict[str, Any]:
    answer = await client.put(path, json=values)
    assert answer.is_success, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def hear(client: httpx.AsyncClient, provider: str, secret: str) -> None:
    webhook = {"url": URL, "secret": secret}
    answer = await client.post(f"/accounts/{provider}/acme", json={"webhook": webhook})
    assert answer.is_success, answer.text


async def test_hubspot_tells_of_each_property_and_signs_all_of_it(
    client: httpx.AsyncClient, told: list[Report]
) -> None:
    await hear(client, "hubspot", "client-secret")
    name = await deal(client)
    assert told == []
    answer = await edit(client, f"/accounts/hubspot/acme/deals/{name}", {"dealstage": "closedwon"})
    assert answer["told"] == 204
    assert [change["by"] for change in answer["history"]] == ["api", "person"]
    (report,) = told
    (event,) = json.loads(report.body)
    assert (event["subscriptionType"], event["objectId"]) == ("deal.propertyChange", int(name))
    assert (event["propertyName"], event["propertyValue"]) == ("dealstage", "closedwon")
    assert (event["occurredAt"], event["changeSource"]) == (1772366400000, "CRM_UI")
    signed = b"POST" + URL.encode() + report.body + b"1772366400000"
    wanted = base64.b64encode(hmac.digest(b"client-secret", signed, hashlib.sha256)).decode()
    assert report.headers["X-HubSpot-Signature-v3"] == wanted
    assert report.headers["X-HubSpot-Request-Timestamp"] == "1772366400000"


async def test_any_change_of_the_history_can_be_told_again(
    client: httpx.AsyncClient, told: list[Report]
) -> None:
    await hear(client, "hubspot", "client-secret")
    path = f"/accounts/hubspot/acme/deals/{await deal(client)}"
    await edit(client, path, {"dealstage": "closedwon"})
    for asked in ({"seq": 1}, {"seq": 2}, {}):
        assert (await client.post(path + "/notices", json=asked)).json() == {"told": 204}
    events = [json.loads(report.body) for report in told]
    assert events[0] == events[2] == events[3]
    assert events[1][0]["changeSource"] == "INTEGRATION"
    assert (await client.post(path + "/notices", json={"seq": 9})).status_code == 404


async def test_follow_up_boss_names_the_person_and_at_most_the_stage(
    client: httpx.AsyncClient, told: list[Report]
) -> None:
    await hear(client, "followupboss", "system-key")
    made = await client.post("/followupboss/v1/people", json={"firstName": "Ada"}, auth=BOSS)
    path = f"/accounts/followupboss/acme/people/{made.json()['id']}"
    await edit(client, path, {"firstName": "Eda", "stage": "Closed"})
    await edit(client, path, {"stage": "Trash"})
    events = [json.loads(report.body) for report in told]
    assert [event["event"] for event in events] == ["peopleUpdated", "peopleStageUpdated"]
    assert events[0]["resourceIds"] == [made.json()["id"]]
    assert "data" not in events[0]
    assert events[1]["data"] == {"stage": "Trash"}
    body = base64.b64encode(told[0].body)
    wanted = hmac.digest(b"system-key", body, hashlib.sha256).hex()
    assert told[0].headers["FUB-Signature"] == wanted


async def test_the_sandboxs_own_crm_tells_in_our_names(
    client: httpx.AsyncClient, told: list[Report]
) -> None:
    url = "http://portal.test/webhooks/crm/sandbox/{tenant_id}"
    answer = await client.put("/crm/webhook", json={"url": url, "secret": SECRET})
    assert answer.status_code == 204
    written = {"tenant_id": "acme", "stage": "new", "fit": 70}
    await client.put("/crm/contacts/lead-1", json=written)
    changed = await client.patch("/crm/contacts/lead-1", json={"stage": "won", "owner": "otto"})
    assert changed.json()["contact"] == {**written, "stage": "won", "owner": "otto"}
    assert changed.json()["told"] == 204
    (report,) = told
    assert report.url == "http://portal.test/webhooks/crm/sandbox/acme"
    assert json.loads(report.body) == {
        "type": "contact.changed",
        "timestamp": "2026-03-01T12:00:00Z",
        "data": {
            "external_id": "lead-1",
            "changes": [
                {"name": "owner", "value": "otto", "at": "2026-03-01T12:00:00Z"},
                {"name": "stage", "value": "won", "at": "2026-03-01T12:00:00Z"},
            ],
        },
    }
    signed = f"{report.headers['webhook-id']}.{report.headers['webhook-timestamp']}.".encode()
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    wanted = base64.b64encode(hmac.digest(key, signed + report.body, hashlib.sha256)).decode()
    assert report.headers["webhook-signature"] == f"v1,{wanted}"
    history = (await client.get("/crm/contacts/lead-1/history")).json()["items"]
    assert [write["by"] for write in history] == ["api", "person"]
    again = await client.post("/crm/contacts/lead-1/notices", json={})
    assert (again.json(), told[1]) == ({"told": 204}, report)


async def test_nobody_is_told_where_nobody_is_named(
    client: httpx.AsyncClient, told: list[Report]
) -> None:
    await client.put("/crm/contacts/lead-1", json={"stage": "new"})
    answer = await client.patch("/crm/contacts/lead-1", json={"stage": "won"})
    assert (answer.json()["told"], told) == (None, [])
    assert (await client.patch("/crm/contacts/lead-2", json={})).status_code == 404


@pytest.mark.parametrize("webhook", ["x", {"url": "ftp://x", "secret": "s"}, {"url": URL}])
async def test_a_webhook_that_cannot_be_called_is_refused(
    client: httpx.AsyncClient, webhook: Any
) -> None:
    assert (await client.put("/crm/webhook", json=webhook)).status_code == 422
    answer = await client.post("/accounts/hubspot/acme", json={"webhook": webhook})
    assert answer.status_code == 422
