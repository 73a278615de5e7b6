"""The SMTP sink: every mail is an entry, with the key from its headers; faults as reply lines."""

from __future__ import annotations

from email.message import EmailMessage
from typing import Any

import pytest
from httpx import AsyncClient

from sandbox.errors import ConnectionDropped
from sandbox.smtp import Sink


def mail(**headers: str) -> bytes:
    message = EmailMessage()
    message["From"] = "rep@example.com"
    message["To"] = "ada@example.com"
    message["Subject"] = "Grüße"
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content("Hi")
    message.add_alternative("<p>Hi</p>", subtype="html")
    return message.as_bytes().replace(b"\n", b"\r\n")


async def test_a_mail_is_listed_with_its_key_and_shown_with_its_parts(
    sink: Sink, client: AsyncClient
) -> None:
    raw = mail(X_Leadflow_Message_Id="m-1")
    assert (await sink.take(["ada@example.com"], raw)).startswith("250")
    (entry,) = (await client.get("/accepted?channel=smtp")).json()["items"]
    assert (entry["key"], entry["to"], entry["subject"]) == ("m-1", "ada@example.com", "Grüße")
    detail = (await client.get(f"/accepted/{entry['id']}")).json()
    assert detail["from"] == "rep@example.com"
    assert detail["text"].strip() == "Hi"
    assert detail["html"].strip() == "<p>Hi</p>"
    assert detail["headers"]["X-Leadflow-Message-Id"] == "m-1"


async def test_each_mail_is_an_entry_also_under_a_used_key(sink: Sink, bench: Any) -> None:
    for _ in range(2):
        await sink.take(["ada@example.com"], mail(Idempotency_Key="k"))
    await sink.take(["ada@example.com"], mail())
    counts = bench.state.providers.counts()
    assert (counts["total"], counts["distinct_keys"], counts["duplicate_acceptances"]) == (3, 1, 1)


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({"target": "smtp", "mode": "fail"}, "451 4."),
        ({"target": "smtp", "mode": "fail", "status": 554}, "554 5."),
        ({"target": "*", "mode": "fail", "status": 503}, "451 4."),
        ({"target": "smtp", "mode": "reject"}, "550 5."),
        ({"target": "smtp", "mode": "rate_limit"}, "450 4."),
        ({"target": "smtp", "mode": "stall", "stall_seconds": 0.01}, "250 2."),
        ({"target": "email", "mode": "fail"}, "250 2."),
    ],
)
async def test_a_fault_is_a_reply_line(
    sink: Sink, bench: Any, rule: dict[str, Any], code: str
) -> None:
    bench.state.faults.add(rule)
    assert (await sink.take(["ada@example.com"], mail())).startswith(code)
    assert bench.state.providers.counts()["total"] == (1 if code == "250 2." else 0)


async def test_a_dropped_reply_leaves_the_mail_taken(sink: Sink, bench: Any) -> None:
    bench.state.faults.add({"target": "smtp", "mode": "drop_after_accept"})
    with pytest.raises(ConnectionDropped):
        await sink.take(["ada@example.com"], mail())
    assert bench.state.providers.counts()["total"] == 1


async def test_a_key_that_is_too_long_is_refused_for_good(sink: Sink, bench: Any) -> None:
    reply = await sink.take(["ada@example.com"], mail(Idempotency_Key="x" * 256))
    assert reply.startswith("554 5.")
    assert bench.state.providers.counts()["total"] == 0
