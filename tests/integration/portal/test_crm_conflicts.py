"""Changes that came out of CRMs: in the API, in a lead's timeline, and as a list to work off."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from playwright.sync_api import Browser, Page, expect

from leadflow.records import CrmChangeSettled, FieldSettled

from .browsing import DESK, PHONE, Opener, no_sideways_scroll, pages

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

HOUR = timedelta(hours=1)
Wait = Callable[..., Any]


def settle(story: Any, lead: str, what: str, *fields: FieldSettled, minutes: int = 0) -> str:
    """Adds what intake said to a change of this lead in HubSpot; its event_id."""
    at = story.at + timedelta(minutes=minutes)
    told = CrmChangeSettled(
        **story.about(lead, at, what, source="crm:hubspot"),
        cause_id=f"{lead}-{what}",
        revision=3,
        account_id="hubspot-1",
        provider="hubspot",
        fields=fields,
    )
    story.add("lead-events", lead, told)
    return told.event_id


def field(story: Any, name: str, crm: str, log: str | None, **more: Any) -> FieldSettled:
    told = {
        "outcome": "taken",
        "rule": "newest_wins",
        "conflict": True,
        "crm_at": story.at - timedelta(minutes=5),
        "log_at": story.at - timedelta(hours=2),
    }
    return FieldSettled(field=name, crm_value=crm, log_value=log, **{**told, **more})


@pytest.fixture(scope="module")
def told(portal: Any, wait_until: Wait) -> Any:
    """Three leads: two conflicts, one of them of two fields, and a change without any."""
    story = portal.story()
    leads = [story.lead(number, HOUR) for number in range(3)]
    calm = field(story, "title", "CEO", None, rule="only_crm_changed", conflict=False, log_at=None)
    kept = field(
        story, "stage", "Hot, call today", "contacted", outcome="kept", rule="unknown_stage"
    )
    phone = field(story, "phone", "+15125550199", "+15125550001")
    story.calm = settle(story, leads[0], "calm", calm, minutes=-3)
    story.one = settle(story, leads[1], "one", kept, minutes=-2)
    story.both = settle(story, leads[2], "both", phone, kept, calm, minutes=-1)
    story.tell(portal.bootstrap)
    with portal.client("ops", story.tenant.tenant_id) as ops:
        wait_until(lambda: len(ops.get("/crm-changes").json()["items"]) == 3, "the changes")
    return story


def ids_of(answer: Any) -> list[str]:
    return [each["event_id"] for each in answer.json()["items"]]


def test_changes_are_listed_by_what_is_asked_for_page_by_page(portal: Any, told: Any) -> None:
    with portal.client("ops", told.tenant.tenant_id) as ops:
        whole = ops.get("/crm-changes").json()
        assert [each["event_id"] for each in whole["items"]] == [told.both, told.one, told.calm]
        assert whole["open_conflicts"] == 2
        assert ids_of(ops.get("/crm-changes", params={"conflict": "true"})) == [
            told.both, told.one,
        ]  # fmt: skip
        assert ids_of(ops.get("/crm-changes", params={"conflict": "false"})) == [told.calm]
        assert ids_of(ops.get("/crm-changes", params={"lead_id": told.leads[1]})) == [told.one]
        assert ids_of(ops.get("/crm-changes", params={"account_id": "other"})) == []
        seen, cursor = [], None
        for _ in range(3):
            params = {"limit": 1} | ({"cursor": cursor} if cursor else {})
            page = ops.get("/crm-changes", params=params)
            seen += ids_of(page)
            cursor = page.json()["next"]
        assert seen == [told.both, told.one, told.calm]
        assert cursor is None
        item = whole["items"][0]
        assert item["lead"]["name"] == "Priya Nair"
        assert [each["field"] for each in item["fields"]] == ["phone", "stage", "title"]
        phone = item["fields"][0]
        assert (phone["crm_value"], phone["log_value"]) == ("+15125550199", "+15125550001")
        assert phone["why"] == "both sides had changed it, HubSpot later"
        (line,) = (
            each
            for each in ops.get(f"/leads/{told.leads[0]}/timeline").json()["items"]
            if each["type"] == "CrmChangeSettled"
        )
        assert line["text"].startswith("Title: HubSpot's “CEO” was taken, changed there at ")
        assert line["text"].endswith(
            "; the log had none: nobody had changed it here since HubSpot was told."
        )


def test_only_those_see_a_change_who_see_the_lead(portal: Any, told: Any) -> None:
    tenant = told.tenant.tenant_id
    with (
        portal.client("rep", tenant, "dana.whitfield") as dana,
        portal.client("rep", tenant, "luis.ortega") as luis,
        portal.client("ops", "somebody-else") as other,
        portal.client("client", tenant) as client,
    ):
        assert len(ids_of(dana.get("/crm-changes"))) == 3
        for stranger in (luis, other):
            answer = stranger.get("/crm-changes").json()
            assert (answer["items"], answer["open_conflicts"]) == ([], 0)
        assert client.get("/crm-changes").status_code == 403
        word = {"reason": "none of mine"}
        url = f"/crm-changes/{told.one}/acknowledge"
        assert [each.post(url, json=word).status_code for each in (dana, client, other)] == [
            403, 403, 404,
        ]  # fmt: skip


def test_a_conflict_is_acknowledged_once_with_a_reason_and_that_is_audited(
    portal: Any, told: Any, wait_until: Wait
) -> None:
    lead = told.leads[0]
    mine = settle(told, lead, "mine", field(told, "stage", "won", "lost"), minutes=-4)
    told.tell(portal.bootstrap)
    url = f"/crm-changes/{mine}/acknowledge"
    with portal.client("ops", told.tenant.tenant_id, "olga") as ops:
        wait_until(lambda: mine in ids_of(ops.get("/crm-changes")), "the conflict")
        assert ops.post(url, json={}).status_code == 422
        assert ops.post(url, json={"reason": " "}).status_code == 422
        word = {"reason": "Called Maria: she is with us"}
        done = ops.post(url, json=word, headers={"Idempotency-Key": mine})
        assert done.status_code == 200
        said = done.json()["acknowledged"]
        assert (said["by"], said["reason"]) == ("olga", word["reason"])
        again = ops.post(url, json=word, headers={"Idempotency-Key": mine})
        assert (again.status_code, again.json()) == (200, done.json())
        assert ops.post(url, json={"reason": "once more"}).status_code == 409
        calm = ops.post(f"/crm-changes/{told.calm}/acknowledge", json=word)
        assert calm.json()["detail"] == "Nothing in it was in conflict."
        asked = {"conflict": "true", "acknowledged": "false"}
        assert ids_of(ops.get("/crm-changes", params=asked)) == [told.both, told.one]
        assert ids_of(ops.get("/crm-changes", params={"acknowledged": "true"})) == [mine]
        assert ops.get("/crm-changes").json()["open_conflicts"] == 2
        # The record once more changes nothing of what was said.
        settle(told, lead, "mine", field(told, "stage", "won", "lost"), minutes=-4)
        last = settle(told, lead, "last", field(told, "title", "a", "b", conflict=False))
        told.tell(portal.bootstrap)
        wait_until(lambda: last in ids_of(ops.get("/crm-changes")), "the repeat")
        assert ids_of(ops.get("/crm-changes", params={"acknowledged": "true"})) == [mine]

    async def audited() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(portal.database_url)
        try:
            found = await connection.fetch(
                "SELECT action, status, subject, detail::text FROM audit_log WHERE target = $1 "
                "ORDER BY at",
                mine,
            )
            return [tuple(each) for each in found]
        finally:
            await connection.close()

    # What somebody wrote about a person is not in it.
    assert asyncio.run(audited()) == [
        ("crm-change.acknowledge", 200, "olga", "{}"),
        ("crm-change.acknowledge", 409, "olga", "{}"),
    ]


@pytest.fixture(scope="module")
def open_page(browser: Browser, portal: Any) -> Iterator[Opener]:
    yield from pages(browser, portal)


def shot(page: Page, name: str, tmp_path: Path) -> None:
    folder = Path(os.environ.get("LEADFLOW_TEST_SHOTS", tmp_path))
    page.screenshot(path=folder / f"{name}.png", full_page=True)


def test_the_list_of_conflicts_is_worked_off_with_the_keyboard_and_is_live(
    portal: Any, told: Any, open_page: Opener, tmp_path: Path
) -> None:
    page = open_page(DESK, "/sync", tenant=told.tenant.tenant_id)
    items = page.locator("#conflicts .item")
    expect(items).to_have_count(2)
    first = page.locator(f"#conflicts .item[data-id='{told.both}']")
    expect(first.locator("li")).to_have_count(2)
    phone = first.locator("[data-field=phone]")
    expect(phone.locator(".stands")).to_contain_text("+15125550199")
    expect(phone.locator(".stands")).to_contain_text("HubSpot")
    expect(phone.locator(".because")).to_have_text("Both sides had changed it, HubSpot later")
    expect(first.locator("[data-field=stage] .stands")).to_contain_text("contacted")
    expect(first).to_contain_text("1 field more without a conflict")
    expect(page.locator("#which-conflicts [data-state=open]")).to_have_text("To look at2")
    shot(page, "conflicts-light-1280", tmp_path)

    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.locator(f"#conflicts .item[data-id='{told.one}']")).to_be_focused()
    page.keyboard.press("a")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text(
        "Acknowledge the conflict of James Whitlock?"
    )
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_have_text("Say why.")
    page.keyboard.type("“Hot” is a word of ours")
    page.keyboard.press("Enter")
    expect(page.locator(".toast").last).to_have_text("Acknowledged.")
    expect(items).to_have_count(1)
    page.get_by_role("tab", name="Looked at").click()
    expect(page.locator(f"#conflicts .item[data-id='{told.one}'] .said")).to_contain_text(
        "“Hot” is a word of ours"
    )
    expect(page.locator("#conflicts").get_by_role("button", name="Acknowledge")).to_have_count(0)
    page.get_by_role("tab", name="To look at").click()

    # What is settled meanwhile comes by itself.
    settle(told, told.leads[0], "new", field(told, "company", "Whitlock & Sons", None))
    told.tell(portal.bootstrap)
    expect(items).to_have_count(2)
    expect(items.first).to_contain_text("Whitlock & Sons")
    expect(items.first.locator(".version-of").nth(1)).to_contain_text("none")
    page.get_by_role("button", name="Switch between light and dark").click()
    shot(page, "conflicts-dark-1280", tmp_path)


def test_on_a_phone_conflicts_fit_and_a_reader_has_nothing_to_press(
    told: Any, open_page: Opener, tmp_path: Path
) -> None:
    page = open_page(PHONE, "/sync", role="reviewer", tenant=told.tenant.tenant_id)
    expect(page.locator("#conflicts .item").first).to_be_visible()
    assert no_sideways_scroll(page)
    expect(page.locator("#conflicts").get_by_role("button", name="Acknowledge")).to_have_count(0)
    shot(page, "conflicts-light-390", tmp_path)
    page = open_page(
        PHONE, "/sync", tenant=told.tenant.tenant_id, color_scheme="dark", has_touch=True
    )
    button = page.locator("#conflicts").get_by_role("button", name="Acknowledge").first
    box = button.bounding_box()
    assert box is not None
    assert box["height"] >= 40
    shot(page, "conflicts-dark-390", tmp_path)
