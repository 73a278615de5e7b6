"""Many leads at once on the Sequences page, in a real Chromium, with a real sequencer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from leadflow import ids, records

from ..sequencing import Worker, running, wait
from .browsing import DESK, PHONE, WAIT_MS, Opener, no_sideways_scroll, pages

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

Wait = Callable[..., Any]
NAMES = ("Maria Okafor", "James Whitlock", "Priya Nair", "Daniel Reyes", "Hannah Lindqvist")
STEPS = [
    {
        "channel": "email",
        "template_name": "hello",
        "arms": [
            {"name": "A", "weight": 3, "subject": "About your roof", "body": "Hello."},
            {"name": "B", "weight": 1, "subject": "A question, {{ first_name }}", "body": "Hi."},
        ],
    },
    {
        "channel": "condition",
        "template_name": "asked",
        "delay_minutes": 600,
        "condition": {"field": "message.hello", "op": "eq", "value": "replied"},
    },
    {
        "channel": "call",
        "template_name": "ring",
        "template_subject": "Call them",
        "template_body": "Ask for the roof.",
        "delay_from": "previous",
        "delay_business_days": 2,
        "blocks": True,
    },
    {
        "channel": "email",
        "template_name": "last",
        "template_subject": "Last try",
        "template_body": "Bye.",
        "delay_days": 9,
        "spread_minutes": 45,
    },
]
SEQUENCE = {
    "name": "Autumn roofs",
    "description": "Everybody who asked for a roof this autumn.",
    "steps": STEPS,
    "trigger": {"kind": "manual"},
    "owner": "dana",
    "incident_owner": "ops-lead",
    "rollback_path": "Publish the version before.",
    "status": "active",
    "exclusive_group": "nurture",
    "priority": 80,
    "window": {"start": "00:00", "end": "23:59", "days": [], "holidays": False},
}


@pytest.fixture(scope="module")
def worker(kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    folder = tmp_path_factory.mktemp("sequencer")
    made = Worker(kafka_bootstrap, f"seq-{folder.name}-{datetime.now(UTC).timestamp()}", folder)
    with running([made]):
        wait(made.ready)
        yield made


@pytest.fixture(scope="module")
def ops(portal: Any, worker: Worker) -> Iterator[httpx.Client]:
    with portal.client("ops", portal.tenants[0].tenant_id, "olga") as client:
        yield client


@pytest.fixture(scope="module")
def told(portal: Any, ops: httpx.Client, wait_until: Wait) -> Any:
    """Forty leads, of which eight are in quarantine and two were in the sequence before."""
    story = portal.story()
    made = ops.post("/sequences", json=SEQUENCE)
    assert made.status_code == 201, made.text
    story.sequence_id = made.json()["id"]
    door = {**SEQUENCE, "name": "Welcome", "exclusive_group": "", "steps": STEPS[3:]}
    door |= {"trigger": {"kind": "event", "value": "lead_created"}, "window": None}
    entered = ops.post("/sequences", json=door)
    assert entered.status_code == 201, entered.text
    for number in range(40):
        first, last = NAMES[number % len(NAMES)].split()
        lead_id = ids.lead_id(story.tenant.tenant_id, "fair", f"fair-{number}")
        story.leads.append(lead_id)
        created = records.LeadCreated(
            **story.about(lead_id, story.at, "created", source="fair"),
            cause_id=f"raw-{lead_id}",
            revision=1,
            external_id=f"fair-{number}",
            status="active" if number >= 8 else "quarantined",
            first_name=first,
            last_name=f"{last} {number}",
            email=f"{first}.{number}@example.com".lower() if number != 20 else None,
            urgency="normal",
            timezone="UTC",
            timezone_from="default",
            stage="new" if number % 2 else "qualified",
            received="{}",
            extra="{}",
        )
        story.add("lead-events", lead_id, created)
    story.tell(portal.bootstrap)
    url = f"/sequences/{entered.json()['id']}"
    wait_until(lambda: ops.get(url).json()["stats"]["enrolled"] == 32, "the leads")
    body = {"action": "enroll", "lead_ids": story.leads[38:]}
    before = ops.post(f"/sequences/{story.sequence_id}/bulk", json=body).json()["id"]
    wait_until(lambda: ops.get(f"/bulk/{before}").json()["counts"]["done"] == 2, "the first two")
    return story


@pytest.fixture
def open_page(browser: Browser, portal: Any, told: Any) -> Iterator[Opener]:
    yield from pages(browser, portal)


def opened(open_page: Opener, told: Any, viewport: dict[str, int], **more: Any) -> Page:
    tenant = told.tenant.tenant_id
    page = open_page(viewport, f"/sequences/{told.sequence_id}?tenant={tenant}", **more)
    expect(page.locator(".title h2")).to_have_text("Autumn roofs")
    return page


def test_the_page_says_when_it_sends_to_whom_and_what_decides(open_page: Opener, told: Any) -> None:
    page = opened(open_page, told, DESK)
    expect(page.locator("[data-limit=Sends] dd")).to_have_text(
        "Every day 00:00–23:59 where the lead is, not on holidays"
    )
    expect(page.locator("[data-limit=Group] dd")).to_have_text(
        "nurture, priority 80: one sequence at a time"
    )
    hello, asked, ring, last = (page.locator(".step").nth(n) for n in range(4))
    expect(hello.locator("[data-arm=A] .share")).to_have_text("75%")
    expect(hello.locator("[data-arm=B] .arm-text")).to_have_text("A question, {{first_name}}")
    expect(asked.locator(".branch")).to_contain_text("the message of step hello was replied to")
    expect(asked.locator(".branch")).to_contain_text("the run ends")
    expect(ring.locator(".delay")).to_have_text("+2bd")
    expect(ring.locator(".step-rules")).to_have_text("The next step waits until this is done")
    expect(last.locator(".delay")).to_have_text("T+9d")
    expect(last.locator(".step-rules")).to_have_text("Spread over 45 minutes")
    assert no_sideways_scroll(page)


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["1280", "390"])
def test_many_are_enrolled_after_a_look_at_who_that_is(
    open_page: Opener, told: Any, ops: httpx.Client, viewport: dict[str, int]
) -> None:
    wide = viewport is DESK
    page = opened(open_page, told, viewport)
    page.get_by_role("button", name="Enroll leads").click()
    page.get_by_role("button", name="Everybody who fits…").click()
    dialog = page.locator("dialog")
    dialog.get_by_label("Stage").select_option("qualified" if wide else "new")
    dialog.get_by_label("Source").fill("nowhere")
    dialog.get_by_role("button", name="Preview").click()
    expect(dialog.locator(".wrong")).to_have_text("No lead fits.")
    dialog.get_by_label("Source").fill("fair")
    dialog.get_by_role("button", name="Preview").click()
    # 20 leads a stage, four of each in quarantine and one of each enrolled before.
    expect(dialog.locator("[data-tile='will be enrolled'] b")).to_have_text("15")
    expect(dialog.locator("[data-tile='will be refused'] b")).to_have_text("1")
    expect(dialog.locator("[data-list='Will be refused'] li")).to_contain_text(
        "the lead is in it already"
    )
    if wide:
        expect(dialog.locator(".notes")).to_contain_text(
            "For 1 lead the first step will be skipped: no recipient."
        )
    assert no_sideways_scroll(page)
    dialog.get_by_role("button", name="Change").click()
    expect(dialog.get_by_label("Source")).to_have_value("fair")
    dialog.get_by_role("button", name="Preview").click()
    dialog.get_by_role("button", name="Enroll 15 leads").click()
    expect(dialog.locator("[role=status]")).to_have_text("Done.", timeout=WAIT_MS)
    expect(dialog.locator("[data-tile=enrolled] b")).to_have_text("15")
    link = dialog.get_by_role("link", name="Every refusal with its reason (CSV)")
    with page.expect_download() as download:
        link.click()
    assert "already_active" in download.value.path().read_text()
    dialog.get_by_role("button", name="Close").last.click()
    expect(page.locator("dialog")).to_have_count(0)
    page.locator("#tab-people").click()
    expect(page.locator("[data-many=job]")).to_contain_text("15 enrolled, 1 refused")


def test_who_is_enrolled_moves_to_a_new_version_as_the_preview_said(
    open_page: Opener, told: Any, ops: httpx.Client, wait_until: Wait
) -> None:
    """All that were enrolled here before wait for the condition, which is taken away: two, and
    15 for each of the two tests before that the same process ran."""
    versions = f"/sequences/{told.sequence_id}/versions"
    many = ops.get(versions).json()["items"][0]["live"]
    assert many in (2, 17, 32)
    changed = ops.delete(f"/sequences/{told.sequence_id}/steps/asked")
    assert changed.json()["version"] == 2
    body = {"action": "migrate", "to_version": 2, "reason": "to see", "dry_run": True}

    def removed_under() -> int:
        job = ops.post(f"/sequences/{told.sequence_id}/bulk", json=body).json()
        job = ops.get(f"/bulk/{job['id']}", headers={"Prefer": "wait=5"}).json()
        return int(job["expected"]["moves"].get("next_step_left", 0))

    wait_until(lambda: removed_under() == many, "the first step of all")
    page = opened(open_page, told, DESK)
    page.locator("#tab-people").click()
    expect(page.locator("[data-many=versions]")).to_contain_text("leads are on version 1")
    page.get_by_role("button", name="Move leads…").click()
    dialog = page.locator("dialog")
    dialog.get_by_label("Reason").fill("no more conditions")
    dialog.get_by_role("button", name="Preview").click()
    expect(dialog.locator(".notes")).to_have_text(
        f"{many} leads: from a removed step to the next that is left."
    )
    first = dialog.locator("[data-list='Will be moved'] li").first
    expect(first).to_contain_text("asked (removed) → ring, about")
    dialog.get_by_role("button", name=f"Move {many} leads").click()
    expect(dialog.locator("[data-tile=moved] b")).to_have_text(str(many), timeout=WAIT_MS)
    dialog.get_by_role("button", name="Close").last.click()
    expect(page.locator("[data-many=versions]")).to_have_count(0)
    expect(page.locator("[data-many=job]")).to_contain_text(f"{many} moved, 0 refused")


def test_who_may_not_move_leads_has_no_button_for_it(open_page: Opener, told: Any) -> None:
    page = opened(open_page, told, DESK, role="reviewer")
    page.locator("#tab-people").click()
    expect(page.locator("[data-many=job]")).to_be_visible()
    expect(page.get_by_role("button", name="Move leads…")).to_have_count(0)
