"""The Sequences page in a real Chromium, at a desk's width and at a phone's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from leadflow import ids, records

from .browsing import DESK, PHONE, WAIT_MS, Opener, no_sideways_scroll, pages

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
Wait = Callable[..., Any]


@pytest.fixture(scope="module")
def told(portal: Any, wait_until: Wait) -> Any:
    """A dozen leads of two tenants, at every stage of First touch."""
    story = portal.story()
    story.publish_library()
    ages = (HOUR, 2 * HOUR, 5 * HOUR, 26 * HOUR, 2 * DAY, 3 * DAY, 4 * DAY, 8 * DAY, 9 * DAY)
    engagements = ("opened", "", "replied", "clicked", "opened", "", "opened", "replied", "")
    for number, (age, engagement) in enumerate(zip(ages, engagements, strict=True)):
        lead = story.lead(number, age, temperature=("hot", "warm", "cold")[number % 3])
        end = "reply" if engagement == "replied" else ""
        story.walk(lead, "first-touch", age, engagement=engagement, end=end)
        if end:
            story.stage(lead, "new", "contacted", age / 2, 2)
    story.walk(story.lead(9, 3 * HOUR), "missed-call", 3 * HOUR)
    story.lead(10, HOUR)
    story.lead(11, HOUR)
    story.tell(portal.bootstrap)
    with portal.client("ops") as ops:
        base = f"/sequences/{story.tenant.tenant_id}"
        sent = sum(
            age >= timedelta(minutes=step.delay_minutes)
            for age, engagement in zip(ages, engagements, strict=True)
            for step in story.sequences["first-touch"].steps
            if step.channel == "email" and (engagement != "replied" or step.delay_minutes == 0)
        )
        wait_until(
            lambda: ops.get(f"{base}.first-touch").json().get("stats", {}).get("sent") == sent,
            "First touch to be told",
        )
        wait_until(
            lambda: ops.get(f"{base}.missed-call").json().get("stats", {}).get("sent") == 1,
            "the missed call to be told",
        )
        wait_until(
            lambda: len(ops.get(f"/leads?tenant={story.tenant.tenant_id}").json()["items"]) == 12,
            "every lead",
        )
    return story


@pytest.fixture
def open_page(browser: Browser, portal: Any, told: Any) -> Iterator[Opener]:
    yield from pages(browser, portal)


def sequence_url(told: Any, name: str) -> str:
    tenant = told.tenant.tenant_id
    return f"/sequences/{tenant}.{name}?tenant={tenant}"


def title(page: Page) -> Any:
    return page.locator(".title h2")


def test_the_page_shows_what_the_sequence_does(open_page: Opener, told: Any) -> None:
    page = open_page(DESK, sequence_url(told, "first-touch"))
    current = page.locator(".item[aria-current=true]")
    expect(current).to_contain_text("First touch")
    expect(current.locator(".item-facts")).to_have_text("6 steps · 7 running · 18 sent")
    assert current.locator(".progress").get_attribute("style").startswith("--pct")  # type: ignore[union-attr]
    expect(page.locator(".trigger")).to_have_text('Triggers when: pipeline.stage = "new"')
    expect(page.locator("[data-stat='Active runs'] dd")).to_have_text("7")
    expect(page.locator("[data-stat='Moved to'] dd")).to_have_text("2 / 9")
    hello, personal = page.locator(".step").nth(0), page.locator(".step").nth(1)
    expect(hello.locator(".delay")).to_have_text("T+0h")
    expect(personal.locator(".delay")).to_have_text("T+24h")
    assert "fired" in (hello.get_attribute("class") or "")
    expect(hello.locator("[data-state=sent]")).to_have_text("Sent 9")
    expect(personal.locator("[data-state=scheduled]")).to_have_text("Scheduled 2")
    expect(hello.locator("[data-count=Opens]")).to_have_text("6 Opens")
    expect(hello.locator("[data-count=Replies]")).to_have_text("2 Replies")
    expect(hello.locator(".var").first).to_have_text("{{service}}")
    assert no_sideways_scroll(page)


def test_the_numbers_move_while_one_looks(open_page: Opener, portal: Any, told: Any) -> None:
    page = open_page(DESK, sequence_url(told, "missed-call"))
    expect(page.locator("#live-text")).to_have_text("Live")
    expect(page.locator("[data-stat='Active runs'] dd")).to_have_text("1")
    told.walk(told.leads[-1], "missed-call", HOUR)
    told.tell(portal.bootstrap)
    expect(page.locator("[data-stat='Active runs'] dd")).to_have_text("2", timeout=WAIT_MS)


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["1280", "390"])
def test_a_sequence_is_written_activated_paused_and_archived(
    open_page: Opener, told: Any, viewport: dict[str, int]
) -> None:
    page = open_page(viewport, f"/sequences?tenant={told.tenant.tenant_id}")
    name = f"Spring offer {viewport['width']}"
    page.get_by_role("button", name="New sequence").click()
    dialog = page.locator("dialog")
    dialog.get_by_role("button", name="Create draft").click()
    expect(dialog.locator(".wrong")).to_have_text("A sequence needs a name.")
    dialog.get_by_label("Name").fill(name)
    dialog.get_by_role("radio", name="An event").check()
    dialog.get_by_label("When this happens").select_option("job_completed")
    dialog.get_by_role("button", name="Create draft").click()
    expect(title(page)).to_have_text(name)
    expect(page.locator("[data-status=draft]")).to_be_visible()
    expect(page.locator(".trigger")).to_have_text('Triggers when: event = "job_completed"')

    page.get_by_role("button", name="New step").first.click()
    dialog.get_by_label("How long").fill("3")
    dialog.get_by_label("Subject").fill("Spring is here, ")
    dialog.get_by_label("Message").fill("Hello ")
    dialog.get_by_role("button", name="first_name").click()
    expect(dialog.locator(".sample .var")).to_have_text("{{first_name}}")
    dialog.get_by_role("button", name="Add step").click()
    expect(page.locator(".step .delay")).to_have_text("T+3h")
    expect(page.locator(".toast").last).to_contain_text("The step is added.")

    page.get_by_role("button", name="Activate").click()
    expect(page.locator(".toast").last).to_contain_text("rollback path")
    page.get_by_role("button", name="Fill in").click()
    dialog.get_by_label("Incident owner").fill("ops-lead")
    dialog.get_by_label("Rollback path").fill("Publish the version before.")
    dialog.get_by_role("button", name="Save as a new version").click()
    page.get_by_role("button", name="Activate").click()
    expect(page.locator("[data-status=active]")).to_be_visible()

    page.get_by_role("button", name="Pause", exact=True).click()
    dialog.get_by_label("Reason").fill("wrong price")
    dialog.get_by_role("button", name="Pause").click()
    expect(page.locator(".notice")).to_contain_text("wrong price")
    page.get_by_role("button", name="Resume", exact=True).click()
    expect(dialog.get_by_label("What goes out")).to_contain_text("Nothing waits.")
    dialog.get_by_role("button", name="Resume").click()
    expect(dialog.locator(".wrong")).to_have_text("Say what you verified.")
    dialog.get_by_label("What you saw").fill("the price is right")
    dialog.get_by_role("button", name="Resume").click()
    expect(page.locator("[data-status=active]")).to_be_visible()
    assert no_sideways_scroll(page)

    page.get_by_role("button", name="Archive this sequence").click()
    dialog.get_by_role("button", name="Archive").click()
    expect(page.locator(".item", has_text=name)).to_have_count(0)


def test_a_sequence_that_waits_for_silence_says_after_how_many_days(
    open_page: Opener, told: Any
) -> None:
    page = open_page(DESK, f"/sequences?tenant={told.tenant.tenant_id}")
    page.get_by_role("button", name="New sequence").click()
    dialog = page.locator("dialog")
    dialog.get_by_label("Name").fill("Winter silence")
    dialog.get_by_role("radio", name="Silence").check()
    days = dialog.get_by_label("When a lead has not answered for so many days")
    expect(days).to_have_value("60")
    days.fill("14")
    dialog.get_by_role("button", name="Create draft").click()
    expect(title(page)).to_have_text("Winter silence")
    expect(page.locator(".trigger")).to_have_text("Triggers when: no response for 14 days")
    page.get_by_role("button", name="Edit this sequence").click()
    expect(days).to_have_value("14")


def test_a_step_is_changed_and_removed(open_page: Opener, told: Any) -> None:
    page = open_page(DESK, sequence_url(told, "onboarding"))
    steps = page.locator(".step")
    count = steps.count()
    first = steps.first
    first.hover()
    first.get_by_role("button", name="Edit step").click()
    dialog = page.locator("dialog")
    dialog.get_by_label("Message").fill("Welcome, {{ nonsense }}")
    dialog.get_by_role("button", name="Save step").click()
    expect(dialog.locator(".wrong")).to_contain_text("there is no variable nonsense")
    dialog.get_by_label("Message").fill("Welcome.")
    dialog.get_by_role("button", name="Save step").click()
    expect(steps.first.locator(".preview")).to_have_text("Welcome.")
    expect(page.locator(".version")).to_contain_text("Version 2")
    steps.last.hover()
    steps.last.get_by_role("button", name="Remove step").click()
    dialog.get_by_role("button", name="Remove").click()
    expect(steps).to_have_count(count - 1)


def test_leads_are_enrolled_and_a_refusal_is_explained(
    open_page: Opener, portal: Any, told: Any, wait_until: Wait
) -> None:
    """The test answers in the sequencer's place: yes to one lead, no to the other."""
    page = open_page(DESK, sequence_url(told, "first-touch"))
    page.get_by_role("button", name="Enroll leads").click()
    dialog = page.locator("dialog")
    # Maria runs already; Lucia is in nothing yet.
    for name in ("Maria Okafor", "Lucia Moretti"):
        dialog.get_by_label("Find leads").fill(name)
        box = dialog.locator(".pick label", has_text=name).locator("input")
        expect(dialog.locator(".pick label")).to_have_count(1)
        box.check()
    dialog.get_by_role("button", name="Enroll 2 leads").click()
    (command,) = portal.read("enrollment-commands", told.leads[10])
    enrollment = ids.enrollment_id(told.leads[10], command.sequence_id, 1)
    entered = records.Enrolled(
        **told.about(told.leads[10], told.at, "enrolled", enrollment),
        enrollment_id=enrollment,
        sequence_id=command.sequence_id,
        sequence_version=1,
        entry=1,
        enrolled_by="manual",
        trigger_event_id=command.event_id,
    )
    told.add("enrollment-events", told.leads[10], entered)
    told.tell(portal.bootstrap)
    expect(dialog.locator(".wrong")).to_contain_text("1 lead was refused: already running")
    page.keyboard.press("Escape")
    page.locator("#tab-people").click()
    expect(page.locator(".row", has_text="Lucia Moretti")).to_be_visible()


def test_one_persons_run_is_paused_by_a_command(open_page: Opener, portal: Any, told: Any) -> None:
    page = open_page(DESK, sequence_url(told, "first-touch"))
    page.locator("#tab-people").click()
    row = page.locator(".row", has_text="James Whitlock")
    row.get_by_role("button", name="Pause for James Whitlock").click()
    (command,) = portal.read("enrollment-commands", told.leads[1])
    assert isinstance(command, records.EnrollmentPauseRequested)
    paused = records.EnrollmentPaused(
        **told.about(told.leads[1], told.at, "paused"),
        enrollment_id=command.enrollment_id,
        sequence_id=f"{told.tenant.tenant_id}.first-touch",
        sequence_version=1,
        rule="manual",
    )
    told.add("enrollment-events", told.leads[1], paused)
    told.tell(portal.bootstrap)
    expect(row.locator(".badge")).to_have_text("Paused")


def test_the_keyboard_is_enough(open_page: Opener, told: Any) -> None:
    page = open_page(DESK, sequence_url(told, "first-touch"))
    names = page.locator(".item-name").all_text_contents()
    at = names.index("First touch")
    page.locator(".item[aria-current=true]").focus()
    page.keyboard.press("ArrowDown")
    expect(title(page)).to_have_text(names[at + 1])
    page.keyboard.press("/")
    page.keyboard.type("missed")
    expect(page.locator(".item")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator(".item")).to_have_count(len(names))
    page.keyboard.press("n")
    expect(page.locator("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)


def test_the_tenant_and_the_theme_can_be_switched(
    open_page: Opener, portal: Any, told: Any
) -> None:
    page = open_page(DESK, color_scheme="light")
    page.locator("#tenant").select_option(portal.tenants[1].tenant_id)
    expect(page.locator("[data-total=Received] b")).to_have_text("0")
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.get_by_role("button", name="Switch between light and dark").click()
    assert page.evaluate(paper) != light
    dark = page.evaluate(paper)
    page.reload()
    expect(page.locator(".item").first).to_be_visible()
    assert page.evaluate(paper) == dark


def test_a_phone_shows_the_list_then_the_sequence_and_goes_back(
    open_page: Opener, told: Any
) -> None:
    page = open_page(PHONE, f"/sequences?tenant={told.tenant.tenant_id}", has_touch=True)
    expect(page.locator("#detail")).to_be_hidden()
    assert no_sideways_scroll(page)
    page.locator(".item", has_text="First touch").click()
    expect(title(page)).to_have_text("First touch")
    expect(page.locator("#list")).to_be_hidden()
    assert no_sideways_scroll(page)
    page.locator("#tab-messages").click()
    expect(page.locator(".row").first).to_be_visible()
    assert no_sideways_scroll(page)
    page.get_by_role("button", name="Sequences").click()
    expect(page.locator("#list")).to_be_visible()


def test_who_may_not_write_gets_no_buttons_that_fail(open_page: Opener, told: Any) -> None:
    page = open_page(DESK, sequence_url(told, "first-touch"), role="reviewer")
    expect(title(page)).to_have_text("First touch")
    for name in ("New sequence", "New step", "Pause", "Enroll leads", "Archive this sequence"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)


def test_a_wrong_key_is_answered_in_words(browser: Browser, portal: Any) -> None:
    context = browser.new_context(base_url=portal.url)
    page = context.new_page()
    page.goto("/sequences")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.get_by_label("API key").fill("lf_nonsense")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not known")
    context.close()
