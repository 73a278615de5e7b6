"""The mailbox: RFC 2369 and RFC 8058 as a mail client has them; nothing in a mail is trusted."""

from __future__ import annotations

import pytest
from httpx import AsyncClient

from sandbox.mailbox import Mail
from sandbox.smtp import Sink

HEADERS = {
    "List-Unsubscribe": "<mailto:stop@example.com>, <https://example.com/u/1>",
    "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
}


def mail(**headers: str) -> Mail:
    return Mail(
        id="m", over="SMTP", to="", sender="", subject="", at="", text="", html="", headers=headers
    )


def test_the_web_address_is_found_beside_others() -> None:
    assert mail(**HEADERS).unsubscribe_page == "https://example.com/u/1"
    assert mail(**HEADERS).one_click == "https://example.com/u/1"


@pytest.mark.parametrize("said", [None, "List-Unsubscribe=Two-Clicks", ""])
def test_without_the_second_header_nothing_is_posted(said: str | None) -> None:
    """RFC 8058, 3.2: the mail receiver MUST NOT perform a POST without it."""
    headers = {**HEADERS, "List-Unsubscribe-Post": said or ""}
    assert mail(**headers).one_click is None
    assert mail(**headers).unsubscribe_page == "https://example.com/u/1"


@pytest.mark.parametrize("value", ["<mailto:stop@example.com>", "https://example.com/u/1", ""])
def test_what_is_no_web_address_in_brackets_is_none(value: str) -> None:
    assert mail(**{**HEADERS, "List-Unsubscribe": value}).unsubscribe_page is None


async def test_mails_of_smtp_and_of_the_api_are_listed_the_newest_first(
    client: AsyncClient, sink: Sink
) -> None:
    send = {"to": "a@x.example", "subject": "First", "text": "one", "from": "us@x.example"}
    await client.post("/providers/email", json=send)
    await client.post("/providers/sms", json={"to": "+15125550100", "text": "no mail"})
    raw = b"From: us@x.example\r\nTo: b@x.example\r\nSubject: Second\r\n\r\ntwo\r\n"
    await sink.take(["b@x.example"], raw)
    page = (await client.get("/mailbox")).text
    assert page.index("Second") < page.index("First")
    assert "no mail" not in page
    entries = (await client.get("/accepted")).json()["items"]
    shown = await client.get(f"/mailbox/{entries[2]['id']}")
    assert "two" in shown.text
    assert (await client.get(f"/mailbox/{entries[1]['id']}")).status_code == 404


async def test_what_stands_in_a_mail_is_text_and_its_html_may_do_nothing(
    client: AsyncClient,
) -> None:
    evil = "</iframe><script>alert(1)</script>"
    send = {
        "to": '"<script>alert(2)</script>"@x.example',
        "subject": evil,
        "text": evil,
        "html": f'<p onclick="alert(3)">hi</p>"{evil}',
        "headers": {"X-Evil": evil, "List-Unsubscribe": "<https://x.example/\"><script>>"},
    }  # fmt: skip
    await client.post("/providers/email", json=send)
    (entry,) = (await client.get("/accepted")).json()["items"]
    for path in ("/mailbox", f"/mailbox/{entry['id']}"):
        answer = await client.get(path)
        assert "<script" not in answer.text
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
    assert '<iframe sandbox title="' in answer.text


async def test_one_click_on_a_mail_that_offers_none_is_refused(client: AsyncClient) -> None:
    await client.post("/providers/email", json={"to": "a@x.example", "text": "hi"})
    (entry,) = (await client.get("/accepted")).json()["items"]
    assert (await client.post(f"/mailbox/{entry['id']}/unsubscribe")).status_code == 404
