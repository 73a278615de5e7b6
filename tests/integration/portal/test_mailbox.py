"""A mail as a person gets it: sent over SMTP by a real dispatcher, seen in the sandbox's mailbox,
and its sender left in one click (RFC 8058) or in two (the page that a GET shows).

The whole way back is real: portal → raw-events → intake → lead-events → dispatcher.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from playwright.async_api import Page, async_playwright, expect
from sqlalchemy import text

from leadflow import ids, topics
from leadflow.database import role_url
from leadflow.records import MessageQueued

from ..dispatching import World, a_world, queued, until
from ..reading import start_at_the_end
from .browsing import FLAGS, chromium

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

BODY = """Hi {{ first_name }},

thank you for asking about the roof of {{ street }}. We can be there on Tuesday.

Dana
"""


@pytest.fixture
async def world(
    kafka_bootstrap: str, admin_url: str, secret: str, tmp_path: Path, portal: Any
) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(
            a_world(kafka_bootstrap, admin_url, secret, tmp_path)
        )
        made.tenant = portal.tenants[0].tenant_id
        await stack.enter_async_context(
            intake(kafka_bootstrap, role_url(admin_url, "intake", secret))
        )
        tenants = tmp_path / "with-an-address.toml"
        tenants.write_text(
            f'[tenants.{made.tenant}]\nname = "Acme Roofing"\n'
            'postal_address = "500 Congress Avenue, Austin, TX 78701"\n'
        )
        await stack.enter_async_context(
            made.running(
                LEADFLOW_EMAIL_VIA="smtp",
                LEADFLOW_PUBLIC_URL=portal.url,
                LEADFLOW_TENANTS_FILE=str(tenants),
            )
        )
        yield made


@asynccontextmanager
async def intake(bootstrap: str, database_url: str) -> AsyncIterator[None]:
    group = f"intake-{uuid4()}"
    start_at_the_end(bootstrap, group, [topics.RAW_EVENTS.name, topics.MESSAGES.name])
    environ = {
        **os.environ,
        "LEADFLOW_KAFKA_BOOTSTRAP": bootstrap,
        "LEADFLOW_DATABASE_URL": database_url,
        "LEADFLOW_GROUP": group,
        "LEADFLOW_LINK_SECRET": "only for tests",
        "LEADFLOW_HEALTH_PORT": "0",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "intake", env=environ, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """A page of a browser; whatever it complains about fails."""
    complaints: list[str] = []
    async with async_playwright() as playwright:
        path = chromium(playwright.chromium.executable_path)
        browser = await playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        page = await browser.new_page(viewport={"width": 1100, "height": 1000})
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page
        await browser.close()
    assert complaints == []


async def lead(world: World, name: str) -> str:
    """A lead that came in by a form; returns its id once intake has it."""
    event = {
        "event_id": str(uuid4()),
        "tenant_id": world.tenant,
        "source": "form",
        "kind": "lead",
        "external_id": name,
        "occurred_at": datetime.now(UTC).isoformat(),
        "payload": {
            "name": f"{name.title()} Okafor",
            "email": f"{name}@example.com",
            "phone": "+15125550123",
            "message": "Please call me about my roof.",
            "consent": {"email": True},
        },
    }
    await world.report(event)
    return ids.lead_id(world.tenant, "form", name)


def mail(world: World, lead_id: str, name: str, step: str) -> MessageQueued:
    return queued(
        world.tenant,
        lead_id=lead_id,
        step_id=step,
        recipient=f"{name}@example.com",
        subject="Your roof, {{ first_name }}",
        body=BODY,
        variables={
            "first_name": name.title(),
            "street": "412 Maple Street",
            "agent": "Dana Whitfield",
            "tenant_name": "Acme Roofing",
        },
    )


async def sent(world: World, name: str, step: str = "hello") -> tuple[str, MessageQueued]:
    lead_id = await lead(world, name)
    message = mail(world, lead_id, name, step)
    await world.publish(message)
    await until(lambda: world.told(message), "something becomes of it")
    assert await world.told(message) == ["MessageSent"]
    return lead_id, message


async def opened(world: World, page: Page, message: MessageQueued) -> None:
    """The mail, found in the mailbox as a person finds it."""
    await page.goto(f"{str(world.sandbox.base_url).rstrip('/')}/mailbox")
    await page.get_by_role("link", name=message.recipient).first.click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Your roof")


async def is_stopped(world: World, lead_id: str, name: str) -> None:
    """The lead's next message does not go out, once the opt-out has come all the way round."""

    async def heard() -> bool:
        async with world.engine.connect() as connection:
            return bool(
                await connection.scalar(
                    text("SELECT count(*) FROM stops WHERE lead_id = :lead AND stop = 'opt_out'"),
                    {"lead": lead_id},
                )
            )

    await until(heard, "the opt-out is heard")
    following = mail(world, lead_id, name, "following")
    await world.publish(following)
    assert (await world.becomes(following, "MessageSuppressed")).rule == "stopped_by_opt_out"
    # And so does everybody else's with this address: it is on the list.
    shared = mail(world, str(uuid4()), name, "shared")
    await world.publish(shared)
    assert (await world.becomes(shared, "MessageSuppressed")).rule == "suppression_list"


async def test_a_sent_mail_is_rendered_and_left_in_one_click(
    world: World, page: Page, portal: Any, tmp_path: Path
) -> None:
    lead_id, message = await sent(world, "maria")
    await opened(world, page, message)
    # RFC 8058, 3: both headers, and the address that takes the click.
    body = await page.inner_text("main")
    assert "List-Unsubscribe-Post" in await page.content()
    assert f"{portal.url}/unsubscribe/" in body
    frame = page.frame_locator("iframe")
    await expect(frame.locator("body")).to_contain_text("thank you for asking about the roof of")
    await expect(frame.locator("body")).to_contain_text("412 Maple Street")
    assert await page.locator("iframe").get_attribute("sandbox") == ""
    assert "412 Maple Street" in await page.inner_text("pre")
    await shot(page, "mailbox-mail", tmp_path)
    await page.get_by_role("button", name="Unsubscribe in one click").click()
    await expect(page.get_by_role("status")).to_contain_text(
        "Unsubscribed: the sender answered 200"
    )
    await is_stopped(world, lead_id, "maria")


async def test_a_mail_is_left_in_two_clicks_and_a_look_at_the_page_changes_nothing(
    world: World, page: Page, portal: Any, tmp_path: Path
) -> None:
    lead_id, message = await sent(world, "james")
    await opened(world, page, message)
    link = page.get_by_role("link", name="Open the unsubscribe page")
    address = await link.get_attribute("href") or ""
    # A scanner follows the link first.
    looked = await page.request.get(address)
    assert looked.status == 200
    await link.click()
    await expect(page.get_by_role("heading")).to_have_text("Stop e-mails from Acme Roofing?")
    # Nothing of the person, for whoever has the link.
    shown = await page.content()
    assert not {"james", "example.com", "Okafor", lead_id} & set(shown.split())
    assert "james@" not in shown
    await shot(page, "unsubscribe-ask", tmp_path)
    still = mail(world, lead_id, "james", "still")
    await world.publish(still)
    await world.becomes(still, "MessageSent")
    await page.get_by_role("button", name="Unsubscribe").click()
    await expect(page.get_by_role("heading")).to_have_text("You are unsubscribed")
    await shot(page, "unsubscribe-done", tmp_path)
    await is_stopped(world, lead_id, "james")
    # Once more is as good as once: a repeat is the same opt-out.
    again = await page.request.post(address, form={"List-Unsubscribe": "One-Click"})
    assert again.status == 200


async def shot(page: Page, name: str, folder: Path) -> None:
    """What it looks like, where LEADFLOW_TEST_SHOTS says, in light and dark and on a phone."""
    where = Path(os.environ.get("LEADFLOW_TEST_SHOTS", folder))
    size = page.viewport_size
    for look, width in (("light", 1100), ("dark", 1100), ("light", 390)):
        await page.emulate_media(color_scheme=look)  # type: ignore[arg-type]
        await page.set_viewport_size({"width": width, "height": 1000})
        wide = await page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{name} scrolls sideways at {width}"
        await page.screenshot(path=where / f"{name}-{look}-{width}.png", full_page=True)
    if size is not None:
        await page.set_viewport_size(size)
