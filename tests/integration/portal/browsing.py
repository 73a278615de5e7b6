"""A real Chromium for the tests of pages, and pages that are signed in."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
DESK = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
WAIT_MS = 15_000
Opener = Callable[..., Page]


def chromium(playwrights_own: str) -> str:
    """The browser that LEADFLOW_CHROMIUM names, else Debian's, else Playwright's own.

    Without one these tests are left out, and say so; where LEADFLOW_TEST_BROWSER is `required`,
    as in .ci/run, that is an error.
    """
    found = os.environ.get("LEADFLOW_CHROMIUM") or which("chromium") or which("chromium-browser")
    if found or Path(playwrights_own).exists():
        return found or playwrights_own
    missing = (
        "no Chromium: install Debian's `chromium`, run `.venv/bin/playwright install chromium`, "
        "or name one in LEADFLOW_CHROMIUM"
    )
    if os.environ.get("LEADFLOW_TEST_BROWSER") == "required":
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing)


@contextmanager
def launched() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(playwright.chromium.executable_path), args=list(FLAGS)
        )
        yield browser
        browser.close()


def pages(browser: Browser, portal: Any) -> Iterator[Opener]:
    """Signs in by a link and opens the page; whatever the browser complains about fails."""
    complaints: list[str] = []
    contexts = []

    def open_(
        viewport: dict[str, int],
        path: str = "/sequences",
        *,
        role: str = "ops",
        tenant: str = "",
        **more: Any,
    ) -> Page:
        context = browser.new_context(viewport=viewport, base_url=portal.url, **more)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda line: (
                complaints.append(line.text)
                if line.type == "error" and "status of 4" not in line.text
                else None
            ),
        )
        page.goto(portal.sign_in(role, tenant))
        page.goto(path)
        expect(page.locator(".item").first).to_be_attached(timeout=WAIT_MS)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


def no_sideways_scroll(page: Page) -> bool:
    return bool(
        page.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )
    )
