"""The Incidents page in a real Chromium, at a desk's width and at a phone's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from leadflow import ids, records

from .browsing import DESK, PHONE, WAIT_MS, no_sideways_scroll

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

HOUR = timedelta(hours=1)
Wait = Callable[..., Any]
Opener = Callable[..., Page]


@pytest.fixture(scope="module")
def told(portal: Any, wait_until: Wait) -> Any:
    """Five leads on their way through First touch."""
    story = portal.story()
    story.publish_library()
    for number in range(5):
        story.walk(story.lead(number, HOUR), "first-touch", HOUR)
    story.tell(portal.bootstrap)
    with portal.client("ops", story.tenant.tenant_id) as ops:
        base = f"/sequences/{story.tenant.tenant_id}.first-touch"
        wait_until(lambda: ops.get(base).json().get("stats", {}).get("sent") == 5, "the story")
    return story


@pytest.fixture
def open_page(browser: Browser, portal: Any, told: Any) -> Iterator[Opener]:
    """Signs in and opens the page; whatever the browser complains about fails."""
    complaints: list[str] = []
    contexts = []

    def open_(
        viewport: Any, path: str = "/incidents", *, role: str = "ops", scheme: Any = "light"
    ) -> Page:
        context = browser.new_context(viewport=viewport, base_url=portal.url, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(portal.sign_in(role, told.tenant.tenant_id, "olga"))
        page.goto(path)
        expect(page.locator("#live-text")).to_have_text("Live", timeout=WAIT_MS)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


def hold(portal: Any, told: Any, scope: str, wait_until: Wait) -> None:
    """The sequencer's answer to the pause: five second steps wait."""
    tenant = told.tenant.tenant_id
    for lead in told.leads:
        held = records.EnrollmentPaused(
            **told.about(lead, told.at, "held", scope),
            enrollment_id=ids.enrollment_id(lead, f"{tenant}.first-touch", 1),
            sequence_id=f"{tenant}.first-touch",
            sequence_version=1,
            rule="automation_paused",
            inputs={"scope": scope},
        )
        told.add("enrollment-events", lead, held)
    told.tell(portal.bootstrap)
    with portal.client("ops", tenant) as ops:
        url = f"/incidents/preview?scope={scope}"
        wait_until(lambda: ops.get(url).json()["messages"] == 5, "five messages to wait")


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["1280", "390"])
def test_something_is_paused_verified_and_resumed_at_a_rate(
    open_page: Opener, portal: Any, told: Any, wait_until: Wait, viewport: Any
) -> None:
    tenant = told.tenant.tenant_id
    scope = f"channel:{tenant}:email"
    page = open_page(viewport)
    expect(page.locator("#list")).to_contain_text("Nothing is paused")
    page.get_by_role("button", name="Pause something").first.click()
    dialog = page.locator("dialog")
    dialog.get_by_role("button", name="Pause now").click()
    expect(dialog.locator(".wrong")).to_have_text("Say what is wrong.")
    dialog.get_by_label("Kind").select_option("credential")
    dialog.get_by_label("Reason").fill("The provider rejects our key.")
    assert no_sideways_scroll(page)
    dialog.get_by_role("button", name="Pause now").click()
    expect(page.locator(".toast").last).to_have_text("Paused. What is due waits.")
    expect(page.locator(".title h2")).to_have_text("Email")
    expect(page.locator("[data-status=open]")).to_be_visible()
    expect(page.locator("[data-leg=Resume] button")).to_be_disabled()
    hold(portal, told, scope, wait_until)
    page.reload()
    expect(page.locator("[data-leg=Resume]")).to_contain_text("5 messages go out")

    page.get_by_role("button", name="It is done").click()
    expect(dialog).to_contain_text("see a test send accepted with it")
    dialog.get_by_role("button", name="It is done").click()
    expect(dialog.locator(".wrong")).to_have_text("Say why.")
    dialog.get_by_label("What you saw").fill("Test send accepted with the new key")
    dialog.get_by_role("button", name="It is done").click()
    expect(page.locator("[data-leg=Verified]")).to_contain_text("olga")
    page.get_by_role("button", name="Take back").click()
    dialog.get_by_role("button", name="Take back").click()
    expect(page.locator("[data-status=open]")).to_be_visible()
    page.get_by_role("button", name="It is done").click()
    dialog.get_by_label("What you saw").fill("Test send accepted, really")
    dialog.get_by_role("button", name="It is done").click()
    expect(page.locator("[data-status=verified]")).to_be_visible()
    assert no_sideways_scroll(page)

    # Five at 60 a minute: the last may fall into the minute after the first.
    expect(page.locator("[data-leg=Resume]")).to_contain_text(
        re.compile(r"5 messages go out( within a minute|, from)")
    )
    page.locator("[data-leg=Resume] button").click()
    going = dialog.get_by_label("What goes out")
    expect(going).to_contain_text("5 messages go out")
    expect(going.locator("tbody tr")).to_have_count(1)
    expect(going.locator("tbody")).to_contain_text("First touch")
    dialog.get_by_label("How many a minute").fill("0")
    dialog.get_by_role("button", name="Resume").click()
    expect(dialog.locator(".wrong")).to_contain_text("A whole number of messages a minute")
    dialog.get_by_label("How many a minute").fill("120")
    assert no_sideways_scroll(page)
    dialog.get_by_role("button", name="Resume").click()
    expect(page.locator(".toast").last).to_contain_text("Resumed: 5 messages until")
    expect(page.locator("[data-status=closed]")).to_be_visible()
    expect(page.locator("[data-leg=Resumed]")).to_contain_text("at 120 a minute")
    expect(page.locator(".past li")).to_have_count(5)
    expect(page.locator(".tab[aria-selected=true]")).to_have_text("Closed")
    assert no_sideways_scroll(page)


def test_a_pause_of_a_sequence_is_an_incident_of_the_page(open_page: Opener, told: Any) -> None:
    page = open_page(DESK, f"/sequences/{told.tenant.tenant_id}.onboarding")
    page.get_by_role("button", name="Pause", exact=True).click()
    dialog = page.locator("dialog")
    dialog.get_by_label("Reason").fill("Old links")
    dialog.get_by_label("Kind of incident").select_option("compliance")
    dialog.get_by_role("button", name="Pause").click()
    expect(page.locator(".notice")).to_contain_text("Old links")
    page.get_by_role("link", name="Incidents").click()
    expect(page.locator(".item", has_text="Old links")).to_contain_text("Compliance")
    page.locator(".item", has_text="Old links").click()
    page.get_by_role("button", name="Edit").click()
    dialog.get_by_label("Owner").fill("legal")
    dialog.get_by_role("button", name="Save").click()
    expect(page.locator(".past")).to_contain_text("Owner: legal (before: ")
    page.get_by_role("button", name="It is done").click()
    dialog.get_by_label("What you saw").fill("New links")
    dialog.get_by_role("button", name="It is done").click()
    page.locator("[data-leg=Resume] button").click()
    dialog.get_by_role("button", name="Resume").click()
    expect(page.locator(".toast").last).to_contain_text("Resumed. Nothing was waiting.")


def test_who_may_not_write_sees_it_without_buttons(
    open_page: Opener, portal: Any, told: Any
) -> None:
    tenant = told.tenant.tenant_id
    with portal.client("ops", tenant) as ops:
        body = {"kind": "privacy", "scope": f"channel:{tenant}:sms", "reason": "A wrong name."}
        made = ops.post("/incidents", json=body).json()
        page = open_page(DESK, f"/incidents/{made['id']}", role="reviewer")
        expect(page.locator(".why")).to_have_text("A wrong name.")
        for name in ("Pause something", "It is done", "Resume", "Edit"):
            expect(page.get_by_role("button", name=name)).to_have_count(0)
        ops.post(f"/incidents/{made['id']}/verify", json={"note": "seen"})
        # The page hears of it by itself.
        expect(page.locator("[data-status=verified]")).to_be_visible(timeout=WAIT_MS)
        ops.post(f"/incidents/{made['id']}/close", json={})
