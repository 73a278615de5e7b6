"""The Suppression page in a browser: keys, dialogs, a file, a phone; what it looks like."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from .browsing import Opener, no_sideways_scroll, pages

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

DESK = {"width": 1280, "height": 860}
PHONE = {"width": 390, "height": 844}
FILE = (
    "email,status,note,shoe size\n"
    "old.one@example.com,unsubscribed,old newsletter,42\n"
    "old.two@example.com,bounced,,\n"
    "nonsense,unsubscribed,,\n"
)


@pytest.fixture
def open_page(browser: Browser, portal: Any) -> Iterator[Opener]:
    """Of one tenant: other tests keep lists, too."""
    tenant = portal.tenants[0].tenant_id
    for open_ in pages(browser, portal):
        yield partial(open_, tenant=tenant)


@pytest.fixture(scope="module")
def told(portal: Any) -> Any:
    """A few entries of a tenant, as they come about."""
    tenant = portal.tenants[0].tenant_id
    with portal.client("ops", tenant, "priya") as ops:
        ops.headers["Prefer"] = "wait=10"
        for address, reason, note in (
            ("maria.okafor@example.com", "opt_out", "Asked on the phone to be left alone"),
            ("j.whitlock@example.com", "hard_bounce", "550 5.1.1 no such user"),
            ("+1 512 555 0177", "manual", "Lawyer's letter of Nov 12"),
        ):
            body = {"address": address, "reason": reason, "note": note}
            assert ops.post("/suppressions", json=body).status_code == 201
    return portal


def shot(page: Page, name: str, tmp_path: Path) -> None:
    folder = Path(os.environ.get("LEADFLOW_TEST_SHOTS", tmp_path))
    page.screenshot(path=folder / f"{name}.png")


def test_an_address_is_found_added_and_lifted_with_the_keyboard(
    told: Any, open_page: Opener, tmp_path: Path
) -> None:
    page = open_page(DESK, "/suppression")
    expect(page.locator("#list .item")).to_have_count(5)
    shot(page, "suppression-light", tmp_path)
    page.keyboard.press("/")
    page.keyboard.type("j.whit")
    expect(page.locator("#list .item")).to_have_count(1)
    page.locator("#find").fill("")
    expect(page.locator("#list .item")).to_have_count(5)
    page.locator("#list").focus()
    page.keyboard.press("n")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text("Suppress an address")
    # Where something is missing, it says what.
    dialog.get_by_role("button", name="Suppress", exact=True).click()
    expect(dialog.get_by_role("alert")).to_have_text("Which address?")
    dialog.get_by_label("E-mail address or number").fill("New.One@Example.com")
    dialog.get_by_label("What happened").fill("Called in")
    if dialog.get_by_label("Tenant").count():
        dialog.get_by_label("Tenant").select_option(told.tenants[0].tenant_id)
    shot(page, "suppression-add", tmp_path)
    page.keyboard.press("Tab")
    dialog.get_by_role("button", name="Suppress", exact=True).press("Enter")
    expect(page.get_by_text("Suppressed. Nothing more goes there.")).to_be_visible()
    first = page.locator("#list .item").first
    expect(first).to_contain_text("new.one@example.com")
    # Enter on a row asks; a mailbox needs a reason alone.
    first.focus()
    page.keyboard.press("Enter")
    dialog.get_by_label("Reason").fill("A slip")
    dialog.get_by_role("button", name="Lift").click()
    expect(page.get_by_text("Lifted.", exact=True)).to_be_visible()
    expect(page.locator("#list .item").first).not_to_contain_text("new.one@example.com")
    page.get_by_label("State").select_option("lifted")
    expect(page.locator("#list .item").first).to_contain_text("Lifted: by hand")


def test_a_persons_own_word_is_not_lifted_without_evidence_and_the_page_says_the_rule(
    told: Any, open_page: Opener, tmp_path: Path
) -> None:
    page = open_page(DESK, "/suppression", color_scheme="dark")
    shot(page, "suppression-dark", tmp_path)
    page.get_by_role("button", name="Lift maria.okafor@example.com on Email").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("lifted only by a new opt-in")
    dialog.get_by_label("Reason").fill("We would like to")
    dialog.get_by_role("button", name="Lift").click()
    expect(dialog.get_by_role("alert")).to_have_text("Say what the person said, when and where.")
    shot(page, "suppression-lift-dark", tmp_path)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.locator("#list")).to_contain_text("maria.okafor@example.com")


def test_a_file_is_tried_out_imported_watched_and_exported(
    told: Any, open_page: Opener, tmp_path: Path
) -> None:
    page = open_page(DESK, "/suppression")
    file = tmp_path / "newsletter.csv"
    file.write_text(FILE)
    page.keyboard.press("i")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("CSV file").set_input_files(file)
    if dialog.get_by_label("Tenant").count():
        dialog.get_by_label("Tenant").select_option(told.tenants[0].tenant_id)
    dialog.get_by_role("button", name="Try it out").click()
    expect(dialog.get_by_role("button", name="Import 2")).to_be_visible()
    expect(dialog.get_by_label("Refused lines")).to_contain_text("nonsense")
    expect(dialog).to_contain_text("Not read: the column shoe_size.")
    expect(page.locator("#list")).not_to_contain_text("old.one@example.com")
    shot(page, "suppression-tried", tmp_path)
    dialog.get_by_role("button", name="Import 2").click()
    expect(dialog).to_contain_text("Done. Nobody of them is written to any more.")
    shot(page, "suppression-imported", tmp_path)
    with page.expect_download() as refused:
        dialog.get_by_role("link", name="Refused lines as a file").click()
    assert "nonsense" in Path(refused.value.path()).read_text()
    dialog.get_by_role("button", name="Close").last.click()
    expect(page.locator("#list")).to_contain_text("old.two@example.com")
    with page.expect_download() as exported:
        page.get_by_role("link", name="Export").click()
    assert "old.one@example.com" in Path(exported.value.path()).read_text()


def test_nothing_is_exported_while_the_lists_of_several_tenants_are_shown(
    told: Any, browser: Browser
) -> None:
    for open_ in pages(browser, told):
        page = open_(DESK, "/suppression", role="admin", tenant="")
        expect(page.locator("#list .item").first).to_be_visible()
        expect(page.get_by_role("link", name="Export")).to_have_count(0)


def test_on_a_phone_nothing_scrolls_sideways_and_every_action_is_there(
    told: Any, open_page: Opener, tmp_path: Path
) -> None:
    page = open_page(PHONE, "/suppression", has_touch=True)
    assert no_sideways_scroll(page)
    shot(page, "suppression-phone", tmp_path)
    for name in ("Add", "Import"):
        page.get_by_role("button", name=name, exact=True).click()
        expect(page.get_by_role("dialog")).to_be_visible()
        assert no_sideways_scroll(page)
        shot(page, f"suppression-phone-{name.lower()}", tmp_path)
        page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Lift").first).to_be_visible()


def test_who_may_not_keep_lists_does_not_get_the_page(told: Any) -> None:
    with httpx.Client(base_url=told.url, follow_redirects=True) as client:
        client.get(told.grant("ticket", "rep"))
        assert client.get("/suppression").url.path == "/sequences"
