"""The pages of messages in doubt and of bulk runs, and how a live update paints, in one browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from leadflow import ids, records

from .browsing import DESK, PHONE, Opener, no_sideways_scroll, pages

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

HOUR = timedelta(hours=1)
Wait = Callable[..., Any]


@pytest.fixture(scope="module")
def told(portal: Any, wait_until: Wait) -> Any:
    """Five leads in First touch: two are paused by hand and overdue; of two more an answer of the
    provider was lost."""
    story = portal.story()
    story.publish_library()
    sequence = story.sequences["first-touch"]
    tenant = story.tenant.tenant_id
    for number in range(5):
        story.walk(story.lead(number, HOUR), "first-touch", HOUR)
    later = sequence.steps[1]
    for lead in story.leads[:2]:
        run = {
            "enrollment_id": ids.enrollment_id(lead, sequence.sequence_id, 1),
            "sequence_id": sequence.sequence_id,
            "sequence_version": sequence.version,
        }
        scheduled = records.StepScheduled(
            **story.about(lead, story.at, "overdue"),
            **run,
            step_id=later.step_id,
            step_index=1,
            channel=later.channel,
            due_at=story.at - timedelta(minutes=5),
        )
        paused = records.EnrollmentPaused(
            **story.about(lead, story.at, "paused"), **run, rule="manual", inputs={}
        )
        story.add("enrollment-events", lead, scheduled)
        story.add("enrollment-events", lead, paused)
    story.doubts = []
    for lead in story.leads[2:4]:
        again = ids.enrollment_id(lead, sequence.sequence_id, 2)
        step = sequence.steps[0]
        doubt = story.message(lead, sequence, step, again, story.at, outcome="queued")
        about = {
            "message_id": doubt,
            "enrollment_id": again,
            "sequence_id": sequence.sequence_id,
            "step_id": step.step_id,
            "channel": "email",
            "provider": "smtp",
        }
        unknown = records.MessageUnknown(
            **story.about(lead, story.at, "unknown"), **about, reason="TimeoutError after DATA"
        )
        story.add("message-events", lead, unknown)
        story.doubts.append((lead, about))
    story.tell(portal.bootstrap)
    with portal.client("ops", tenant, "olga") as ops:
        wait_until(lambda: len(ops.get("/messages").json()["items"]) == 2, "the doubts")
        url = f"/sequences/{sequence.sequence_id}"
        wait_until(lambda: ops.get(url).json()["stats"]["paused"] == 2, "the pauses")
    return story


@pytest.fixture(scope="module")
def open_page(browser: Browser, portal: Any) -> Iterator[Opener]:
    yield from pages(browser, portal)


@pytest.fixture(scope="module")
def page(open_page: Opener, told: Any) -> Page:
    """Of one tenant's operator, for all tests of this file: to sign in takes longest."""
    return open_page(DESK, "/doubts", tenant=told.tenant.tenant_id)


def test_a_doubt_is_shown_with_what_is_known_and_settled_with_what_was_found_out(
    page: Page, portal: Any, told: Any
) -> None:
    page.goto("/doubts")
    expect(page.locator("#list .item")).to_have_count(2)
    lead, about = told.doubts[0]
    page.locator(f"[data-id='{about['message_id']}']").click()
    expect(page.locator(".why")).to_have_text(
        "smtp may have taken it, and did not say so: TimeoutError after DATA"
    )
    expect(page.locator("[data-fact='Idempotency key'] code")).to_have_text(about["message_id"])
    expect(page.locator("[data-fact=To] dd")).to_have_text("maria@example.com")
    # A time says whose time it is.
    expect(page.locator("[data-fact='In doubt since'] time")).to_contain_text("UTC")
    page.keyboard.press("x")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_contain_text("it was not sent?")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="It was sent").click()
    dialog.get_by_role("button", name="It was sent").click()
    expect(dialog.get_by_role("alert")).to_have_text("Say how you found out.")
    dialog.get_by_label("How you found out").fill("It is in the provider's log")
    dialog.get_by_role("button", name="It was sent").click()
    expect(page.locator(".toast").last).to_have_text("Noted. The ledger follows in a moment.")
    expect(page.locator("[data-leg='Found out']")).to_contain_text("It is in the provider's log")
    expect(page.locator("[data-status=unknown]")).to_have_text("Settling")
    expect(page.get_by_role("button", name="It was sent")).to_have_count(0)
    (word,) = portal.read("message-reviews", lead)
    assert (word.message_id, word.outcome) == (about["message_id"], "sent")

    # What the dispatcher's ledger says to it.
    sent = records.MessageSent(
        **told.about(lead, told.at, "settled"),
        **about,
        provider_id=None,
        body_hash="00",
        accepted_at=told.at,
        epoch=1,
    )
    told.add("message-events", lead, sent)
    told.tell(portal.bootstrap)
    expect(page.locator("#list .item")).to_have_count(1)
    page.get_by_role("tab", name="Settled").click()
    expect(page.locator("[data-leg='Found out']")).to_contain_text("It is in the provider's log")
    expect(page.locator("[data-leg=Said]")).to_contain_text("It was sent.")
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    assert no_sideways_scroll(page)
    page.set_viewport_size(DESK)  # type: ignore[arg-type]


def test_a_bulk_run_is_looked_at_first_and_then_started_watched_and_cancelled(
    page: Page, portal: Any, told: Any
) -> None:
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.goto("/bulk")
    expect(page.locator("#list")).to_contain_text("No runs yet")
    page.get_by_role("button", name="New run").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Resume").check()
    dialog.get_by_label("Sequence").select_option(label="First touch")
    dialog.get_by_label("Name, company, e-mail or number").fill("nobody of this name")
    dialog.get_by_role("button", name="Preview").click()
    expect(dialog.get_by_role("alert")).to_have_text("Nobody who fits is enrolled there.")
    dialog.get_by_label("Name, company, e-mail or number").fill("")
    dialog.get_by_label("How many a minute").fill("1")
    dialog.get_by_role("button", name="Preview").click()
    expect(dialog.locator("[data-tile='will be resumed'] b")).to_have_text("2")
    expect(dialog.locator(".going")).to_contain_text("2 messages go out")
    assert no_sideways_scroll(page)
    with portal.client("ops", told.tenant.tenant_id, "olga") as ops:
        assert ops.get("/bulk").json()["items"] == [], "a preview starts nothing"
    dialog.get_by_role("button", name="Resume 2 leads").click()
    # One a minute: the second waits at the least, and can be called off.
    page.get_by_role("button", name="Cancel what is not sent").click()
    expect(page.locator("[data-tile='not sent'] b")).to_have_text(re.compile("[12]"))
    assert no_sideways_scroll(page)
    with portal.client("ops", told.tenant.tenant_id, "olga") as ops:
        body = {"action": "pause", "lead_ids": told.leads, "reason": "The crew is away"}
        ops.post(f"/sequences/{told.tenant.tenant_id}.first-touch/bulk", json=body)
    page.get_by_role("button", name="Bulk runs").click()
    page.locator("#list .item", has_text="Pause: First touch").click()
    expect(page.locator("[data-fact=Reason] dd")).to_have_text("The crew is away")
    expect(page.locator("[data-list=Refused] li").first).to_contain_text("paused by hand already")
    with page.expect_download() as refusals:
        page.get_by_role("link", name="Every refusal with its reason (CSV)").click()
    assert refusals.value.path().read_text().count("already_paused") == 2
    page.set_viewport_size(DESK)  # type: ignore[arg-type]


def test_a_live_update_makes_nothing_anew_that_stays_and_waits_for_a_finger(page: Page) -> None:
    """What a click is under way to is the same node, in the same place, with the focus it had."""
    found = page.evaluate(
        """async () => {
          const { h, sprout } = await import("/static/js/dom.js");
          const { calmly } = await import("/static/js/calm.js");
          const root = document.body.appendChild(h("div", {}));
          const item = (key) => h("a", { href: "#", "data-key": key }, key);
          const button = (action) => h("button", { "data-action": action }, action);
          sprout(root, h("p", {}, "late"), item("a"), item("b"), h("div", {}, "x"), button("go"));
          const [go, b] = [root.querySelector("button"), root.querySelector("[data-key=b]")];
          b.focus();
          let moved = 0;
          const seen = new MutationObserver((all) => {
            const added = all.flatMap((each) => [...each.addedNodes]);
            moved += added.filter((each) => [go, b].includes(each)).length;
          });
          seen.observe(root, { childList: true });
          const text = (tag) => h(tag, {}, "now");
          sprout(root, item("new"), item("b"), text("p"), text("div"), text("p"), button("go"));
          const same = root.querySelector("button") === go && [...root.children][1] === b;
          const focus = document.activeElement === b;
          sprout(root, button("stop"));
          await Promise.resolve();
          const another = root.querySelector("button") !== go;
          root.remove();
          let drawn = 0;
          const draw = calmly(() => { drawn += 1; });
          dispatchEvent(new PointerEvent("pointerdown"));
          draw();
          draw();
          const held = drawn;
          dispatchEvent(new PointerEvent("pointerup"));
          const deadline = performance.now() + 10000;
          while (!drawn && performance.now() < deadline) await new Promise(requestAnimationFrame);
          return { same, focus, moved, another, held, drawn };
        }"""
    )
    assert found == {
        "same": True, "focus": True, "moved": 0, "another": True, "held": 0, "drawn": 1,
    }  # fmt: skip


def test_clients_see_no_page_of_the_staff_and_who_may_not_settle_has_no_button(
    portal: Any, told: Any, open_page: Opener
) -> None:
    tenant = told.tenant.tenant_id
    with portal.client("client", tenant) as client:
        for path in ("/doubts", "/doubts/x", "/bulk", "/bulk/x"):
            answer = client.get(httpx.URL(portal.url).join(path))
            assert (answer.status_code, answer.headers["location"]) == (303, "/login"), path
        for path in ("/messages", "/messages/settled", "/bulk"):
            assert client.get(path).status_code == 403, path
    page = open_page(DESK, "/doubts", role="reviewer", tenant=tenant)
    expect(page.locator(".leg")).to_have_count(2)
    expect(page.get_by_role("button", name="It was")).to_have_count(0)
    page.goto("/bulk")
    expect(page.locator("#live-text")).to_have_text("Live")
    expect(page.get_by_role("button", name="New run")).to_have_count(0)
