"""HTML of a template's own, over SMTP into a mailbox, and what is held instead."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from leadflow.tokens import Sealer

from .dispatching import World, a_world, queued

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

LINKS = Sealer("only for tests")
HTML = (
    "<h1>Hi {{ first_name }}</h1><script>x()</script>"
    '<p><a href="https://book.example.com/?for={{ first_name | url_encode }}">Pick a time</a></p>'
)


@pytest.fixture
async def world(
    kafka_bootstrap: str, admin_url: str, secret: str, tmp_path: Path
) -> AsyncIterator[World]:
    async with a_world(kafka_bootstrap, admin_url, secret, tmp_path) as made:
        yield made


class Seen(HTMLParser):
    """The addresses in a mail's HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]


async def test_html_of_a_template_arrives_harmless_with_a_text_and_sealed_links(
    world: World,
) -> None:
    """RFC 8058: both header fields stand in the mail, with the address of its link."""
    followed = queued(world.tenant, 1, body="", body_html=HTML)
    tested = queued(world.tenant, 2, body="", body_html=HTML, purpose="test")
    nowhere = queued(world.tenant, 3, subject="Hi", body="Hi", variables={})
    unknown = queued(world.tenant, 4, body_html="<p>{{ nobody }}</p>")
    await world.publish(followed, tested, nowhere, unknown)
    async with world.running(LEADFLOW_EMAIL_VIA="smtp"):
        await world.becomes(followed, "MessageSent")
        await world.becomes(tested, "MessageSent")
        held = await world.becomes(nowhere, "MessageHeld")
        assert held.rule == "compliance_footer_missing"
        assert (await world.becomes(unknown, "MessageHeld")).rule == "template_variable_unknown"
    mails = {}
    for entry in await world.accepted("smtp"):
        mail: dict[str, Any] = (await world.sandbox.get(f"/accepted/{entry['id']}")).json()
        mails[entry["key"]] = mail
    mail = mails[followed.message_id]
    address = followed.variables["postal_address"]
    assert mail["html"].startswith("<h1>Hi Ann 1</h1><p><a href=")
    assert (
        mail["text"]
        .replace("\r\n", "\n")
        .startswith("Hi Ann 1\n\nPick a time (https://book.example.com/?for=Ann+1)\n\n" + address)
    )
    click, stop, pixel = Seen(mail["html"]).addresses
    about = (world.tenant, followed.message_id)
    assert LINKS.open("click", click.rsplit("/c/", 1)[1]) == (
        *about,
        "https://book.example.com/?for=Ann+1",
    )
    assert LINKS.open("open", re.sub(r".*/o/(.*)\.gif", r"\1", pixel)) == about
    headers = {name: value.strip() for name, value in mail["headers"].items()}
    assert headers["List-Unsubscribe"] == f"<{stop}>"
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert stop in mail["text"]
    addresses = Seen(mails[tested.message_id]["html"]).addresses
    assert addresses[0] == "https://book.example.com/?for=Ann+2", "a test is not counted"
    assert len(addresses) == 2
