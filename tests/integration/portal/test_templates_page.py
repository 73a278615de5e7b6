"""The editor of a step shows what a lead would get, in a real Chromium."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from .browsing import DESK, PHONE, Opener, no_sideways_scroll, pages

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def told(portal: Any, wait_until: Callable[..., Any]) -> Any:
    story = portal.story()
    story.publish_library()
    story.lead(0, HOUR)
    story.tell(portal.bootstrap)
    with portal.client("ops", story.tenant.tenant_id) as ops:
        base = f"/sequences/{story.tenant.tenant_id}.first-touch"
        wait_until(lambda: ops.get(base).status_code == 200, "the sequence")
        wait_until(lambda: len(ops.get("/leads").json()["items"]) == 1, "the lead")
    return story


@pytest.fixture
def open_page(browser: Browser, portal: Any, told: Any) -> Iterator[Opener]:
    yield from pages(browser, portal)


def editor(page: Page, told: Any) -> Any:
    page.goto(f"/sequences/{told.tenant.tenant_id}.first-touch")
    page.get_by_role("button", name="Edit step T+0h").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("See it as a lead would get it").click()
    return dialog


@pytest.mark.parametrize(
    ("viewport", "scheme"), [(DESK, "light"), (PHONE, "dark")], ids=["desk", "phone"]
)
def test_a_step_is_shown_with_a_leads_values_while_it_is_written(
    open_page: Opener, told: Any, viewport: dict[str, int], scheme: str
) -> None:
    page = open_page(viewport, color_scheme=scheme)
    dialog = editor(page, told)
    first = dialog.get_by_label("Shown to").locator("option").nth(1).inner_text().split()[0]
    mail = page.frame_locator("iframe.mail")
    expect(mail.get_by_text(f"Hi {first},")).to_be_visible()
    expect(mail.get_by_text("400 Congress Ave, Austin, TX 78701")).to_be_visible()
    dialog.get_by_label("Message").fill("Dear {{ company }}")
    expect(dialog.locator(".shown")).to_contain_text("there is no company, and no fallback")
    dialog.get_by_label("Message").fill("Dear {{ nobody }}")
    expect(dialog.locator(".shown")).to_contain_text("there is no variable nobody")
    expect(page.locator("iframe.mail")).to_have_count(0)
    dialog.get_by_text("HTML of its own").click()
    dialog.locator("textarea[name=html]").fill(
        "<h1>Hi {{ first_name }}</h1><script>document.title = 'run'</script>"
    )
    dialog.get_by_label("Message").fill("")
    expect(mail.get_by_role("heading", name=f"Hi {first}")).to_be_visible()
    assert page.title() != "run"
    assert no_sideways_scroll(page)


def test_a_test_says_where_it_goes(open_page: Opener, told: Any) -> None:
    page = open_page(DESK)
    dialog = editor(page, told)
    dialog.get_by_role("button", name="Send me a test").click()
    expect(page.locator("#toasts")).to_contain_text("tests@acme.example")
