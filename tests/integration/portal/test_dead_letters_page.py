"""The pages Dead letters and Sync, in one browser: letters are replayed and discarded once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import confluent_kafka
import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from leadflow import ids, records
from leadflow.kafka.dead_letters import NAMES
from leadflow.kafka.murmur2 import partition_of

from ..reading import Reader
from .browsing import DESK, PHONE, Opener, no_sideways_scroll, pages

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

Wait = Callable[..., Any]
HOUR = timedelta(hours=1)
WHY = "upsert was answered 422"
STRANGER = "unknown_lead: reply of nobody known"


class Letters:
    """Dead letters of a tenant, as the services would have buried them."""

    def __init__(self, portal: Any) -> None:
        self.portal, self.story = portal, portal.story()
        self.tenant = self.story.tenant.tenant_id
        self.leads = [ids.lead_id(self.tenant, "form", str(number)) for number in range(5)]
        self.values: dict[str, bytes] = {}
        self.log = Reader(portal.bootstrap, "lead-events")
        producer = confluent_kafka.Producer({"bootstrap.servers": portal.bootstrap})
        for number, lead in enumerate(self.leads):
            about = self.story.about(lead, self.story.at, "stage", number)
            moved = records.StageChanged(
                **about, cause_id="c", revision=2, from_stage="new", to_stage="won"
            )
            self.values[lead] = self.story.codec.encode(moved)
            where = ("crm-sync", "lead-events", str(partition_of(lead.encode(), 12)), "41")
            self._bury(producer, lead.encode(), self.values[lead], *where, "CrmNever", WHY)
        for number in range(2):
            raw = {
                "event_id": f"{self.tenant}-{number}", "tenant_id": self.tenant, "source": "mail",
                "kind": "reply", "external_id": f"r-{number}",
                "occurred_at": "2026-11-20T09:00:00Z",
                "payload": {"from": "grace@example.com", "text": "Yes, please call"},
            }  # fmt: skip
            key, value = f"{self.tenant}:mail:{number}".encode(), json.dumps(raw).encode()
            where = ("intake", "raw-events", "3", "17")
            self._bury(producer, key, value, *where, "RecordRefused", STRANGER)
        assert producer.flush(30) == 0

    def _bury(self, producer: Any, key: bytes, value: bytes, service: str, *texts: str) -> None:
        told = zip(NAMES, (service, *texts, datetime.now(UTC).isoformat()), strict=True)
        headers = [("traceparent", b"00-1"), *((name, text.encode()) for name, text in told)]
        producer.produce(f"{service}-dlq", value, key=key, partition=0, headers=headers)

    def copies(self, lead: str) -> list[Any]:
        """The records of lead-events with this key."""
        return [each for each in self.log.read() if each.key() == lead.encode()]


@pytest.fixture(scope="module")
def ops(portal: Any) -> Iterator[httpx.Client]:
    with portal.client("ops", portal.tenants[0].tenant_id, "olga") as client:
        yield client


@pytest.fixture(scope="module")
def told(portal: Any, ops: httpx.Client, wait_until: Wait) -> Iterator[Letters]:
    made = Letters(portal)
    wait_until(lambda: len(ops.get("/dead-letters").json()["items"]) == 7, "seven letters")
    yield made
    made.log.close()


@pytest.fixture(scope="module")
def page(browser: Browser, portal: Any, told: Letters) -> Iterator[Page]:
    """Of one tenant's operator, for all tests of this file: to sign in takes longest."""
    for open_page in pages(browser, portal):
        opener: Opener = open_page
        yield opener(DESK, "/dead-letters", tenant=told.tenant)


@pytest.fixture(scope="module")
def synced(portal: Any, wait_until: Wait) -> Any:
    """An account that is paused, and one run of each result."""
    story = portal.story()
    lead = story.lead(0, HOUR)
    account: Any = {"account_id": f"{story.tenant.tenant_id}-crm", "provider": "hubspot"}
    tried = {
        "written": (1, None, None),
        "waiting": (3, "CrmUnavailable", "upsert was answered 503"),
        "dead": (1, "CrmNever", "upsert was answered 422"),
    }
    for result, (attempts, error, reason) in tried.items():
        run = records.SyncRunRecorded(
            **story.about(lead, story.at, "run", result),
            **account,
            cause_id=f"{story.tenant.tenant_id}-{result}",
            what="StageChanged",
            attempts=attempts,
            result=result,
            error=error,
            reason=reason,
            next_try_at=story.at + HOUR if result == "waiting" else None,
        )
        story.add("crm-sync-events", lead, run)
    about = story.about(lead, story.at, "paused")
    paused = records.AccountStatusChanged(
        **{name: about[name] for name in about if name not in ("lead_id", "owner")},
        **account,
        status="paused",
        reason="the CRM does not take our credentials",
        changed_by="crm-sync",
        revision=2,
    )
    story.add("crm-accounts", account["account_id"], paused)
    story.tell(portal.bootstrap)
    with portal.client("ops", story.tenant.tenant_id) as ops:
        wait_until(lambda: len(ops.get("/sync/runs").json()["items"]) == 3, "three runs")
        wait_until(lambda: ops.get("/sync/accounts").json()["items"], "the account")
    return story


def over(ops: httpx.Client, run: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = ops.get(
        f"/dead-letters/runs/{run['id']}", headers={"Prefer": "wait=10"}
    ).json()
    assert found["finished_at"] is not None
    return found


def test_letters_are_counted_by_cause_and_one_is_shown_without_the_person(
    told: Letters, ops: httpx.Client
) -> None:
    groups = {each["service"]: each for each in ops.get("/dead-letters/groups").json()["items"]}
    crm, intake = groups["crm-sync"], groups["intake"]
    assert (crm["cause"], crm["open"]) == ("CrmNever: upsert was answered #", 5)
    assert (intake["cause"], intake["open"]) == ("RecordRefused: unknown_lead", 2)
    first = ops.get("/dead-letters", params={"limit": 4}).json()
    second = ops.get("/dead-letters", params={"limit": 4, "cursor": first["next"]}).json()
    seen = [each["id"] for each in first["items"] + second["items"]]
    assert (len(seen), len(set(seen)), second["next"]) == (7, 7, None)
    listed = ops.get("/dead-letters", params={"reason": "unknown_lead"}).json()["items"]
    letter = ops.get(f"/dead-letters/{listed[0]['id']}").json()
    assert letter["was"] == "RawEvent"
    assert f'"event_id": "{letter["event_id"]}"' in letter["value"]
    assert "grace" not in json.dumps(letter)
    assert '"text": "<text of 16>"' in letter["value"]


def test_who_is_no_operator_of_the_tenant_sees_no_letter(
    told: Letters, portal: Any, ops: httpx.Client
) -> None:
    letter = ops.get("/dead-letters").json()["items"][0]["id"]
    for role in ("client", "reviewer", "rep"):
        with portal.client(role, told.tenant) as client:
            assert client.get("/dead-letters").status_code == 403
            assert client.post("/dead-letters/replay", json={}).status_code == 403
    with portal.client("admin", portal.tenants[1].tenant_id) as stranger:
        assert stranger.get("/dead-letters").json()["items"] == []
        assert stranger.get(f"/dead-letters/{letter}").status_code == 404
        body = {"tenant": told.tenant, "dry_run": True}
        assert stranger.post("/dead-letters/replay", json=body).status_code == 403


def test_letters_are_replayed_from_the_page_after_a_look_and_once(
    page: Page, told: Letters, ops: httpx.Client, wait_until: Wait
) -> None:
    expect(page.locator("#list .item")).to_have_count(2)
    page.locator("#list .item", has_text="Upsert was answered").click()
    expect(page.locator(".title h2")).to_have_text("Upsert was answered #")
    expect(page.locator("[data-fact='Came from'] dd").first).to_have_text("lead-events")
    page.get_by_role("button", name="Look").first.click()
    expect(page.locator(".opened pre")).to_contain_text('"type": "StageChanged"')
    page.get_by_role("button", name="Replay…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("The field exists now")
    dialog.get_by_label("How many a minute").fill("60000")
    dialog.get_by_role("button", name="Preview").click()
    expect(dialog.locator("[data-tile='would be replayed'] b")).to_have_text("5")
    assert [told.copies(lead) for lead in told.leads] == [[]] * 5, "a look replays nothing"
    dialog.get_by_role("button", name="Replay 5 letters").click()
    expect(page.locator("#list .item")).to_have_count(1)
    expect(page.locator("[data-run]").first).to_contain_text("5 replayed by")
    for lead in told.leads:
        (copy,) = told.copies(lead)
        assert copy.value() == told.values[lead]
        headers = dict(copy.headers())
        assert headers["traceparent"] == b"00-1"
        assert headers["replay-for"] == b"crm-sync"
    page.get_by_role("tab", name="Handled").click()
    expect(page.locator("#list .item")).to_have_count(1)
    expect(page.locator("[data-letter]").first).to_contain_text("The field exists now")

    # A second replay finds nothing; with `again`, everything.
    body: dict[str, Any] = {"service": "crm-sync", "why": "to see"}
    again = ops.post("/dead-letters/replay", json=body).json()
    assert over(ops, again)["total"] == 0
    body |= {"dry_run": True, "again": True}
    assert ops.post("/dead-letters/replay", json=body).json()["letters"] == 5
    letter = ops.get("/dead-letters", params={"service": "crm-sync"}).json()["items"][0]
    (review,) = ops.get(f"/dead-letters/{letter['id']}").json()["reviews"]
    assert (review["action"], review["reason"]) == ("replayed", "The field exists now")
    (noted,) = told.portal.read("dead-letter-reviews", letter["id"])
    assert (noted.reviewed_by, noted.filter) == (
        "ops",
        f"service crm-sync, reason CrmNever: upsert was answered #, tenant {told.tenant}",
    )


def test_a_replay_goes_on_after_a_kill_at_its_rate(
    page: Page, told: Letters, portal: Any, ops: httpx.Client, wait_until: Wait
) -> None:
    page.goto("about:blank")  # a page complains of a portal that is gone
    body = {"service": "crm-sync", "again": True, "rate_per_minute": 240}
    key = {"Idempotency-Key": f"{told.tenant}-again"}
    made = ops.post("/dead-letters/replay", json=body, headers=key).json()
    same = ops.post("/dead-letters/replay", json=body, headers=key)
    assert (same.json()["id"], same.headers["Idempotency-Replayed"]) == (made["id"], "true")
    url = f"/dead-letters/runs/{made['id']}"
    wait_until(lambda: ops.get(url).json()["counts"]["done"] >= 1, "the first one")
    portal.kill()
    portal.start()
    done = over(ops, made)
    assert (done["counts"]["done"], done["counts"]["waiting"]) == (5, 0)
    # One more copy of each at the least; one batch may have gone out twice.
    assert all(len(told.copies(lead)) >= 2 for lead in told.leads)
    assert sum(len(told.copies(lead)) for lead in told.leads) <= 12


def test_letters_are_discarded_with_a_reason_on_a_phone(
    page: Page, told: Letters, ops: httpx.Client
) -> None:
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.goto("/dead-letters")
    expect(page.locator("#list .item")).to_have_count(1)
    assert no_sideways_scroll(page)
    page.locator("#list .item").click()
    expect(page.locator(".title h2")).to_have_text("Unknown lead")
    assert no_sideways_scroll(page)
    page.get_by_role("button", name="Discard…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Preview").click()
    expect(dialog.get_by_role("alert")).to_have_text("Say why.")
    dialog.get_by_label("Reason").fill("Spam")
    dialog.get_by_role("button", name="Preview").click()
    dialog.get_by_role("button", name=re.compile("Discard 2")).click()
    expect(page.locator("[data-run]").first).to_contain_text("2 discarded by")
    open_ones = ops.get("/dead-letters", params={"state": "open"}).json()["items"]
    assert open_ones == []
    page.set_viewport_size(DESK)  # type: ignore[arg-type]


def test_runs_are_listed_by_result_and_a_paused_account_says_why(page: Page, synced: Any) -> None:
    page.goto("/sync")
    expect(page.locator("#list .item")).to_have_count(3)
    account = page.locator("[data-account]")
    expect(account).to_contain_text("HubSpot")
    expect(account.locator(".badge")).to_have_text("Paused")
    expect(account).to_contain_text("the CRM does not take our credentials")
    expect(account).to_contain_text("1 waiting · 1 failed")
    page.get_by_role("tab", name="Waiting").click()
    run = page.locator("#list .item")
    expect(run).to_have_count(1)
    expect(run).to_contain_text("Stage changed")
    expect(run).to_contain_text("Maria Okafor")
    expect(run).to_contain_text("upsert was answered 503")
    expect(run).to_contain_text("3 tries · again in")
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.get_by_role("tab", name="Failed").click()
    expect(run).to_contain_text("upsert was answered 422")
    assert no_sideways_scroll(page)
    run.get_by_role("link", name="Dead letters").click()
    expect(page).to_have_url(re.compile("/dead-letters$"))
