"""What providers are sent, and how their answers are read. No socket: the transport is a fake."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from email import message_from_bytes
from email.policy import default

import aiosmtplib
import httpx
import pytest

from dispatcher.content import Writer
from dispatcher.model import Accepted, Entry, Refused
from dispatcher.providers.api_email import EmailApi
from dispatcher.providers.base import ProviderError, Rejected
from dispatcher.providers.http import retry_after
from dispatcher.providers.http_api import HttpApi
from dispatcher.providers.mime import mime_of
from dispatcher.providers.smtp import Smtp, SmtpAccount
from dispatcher.providers.smtp_session import what_broke
from leadflow.clock import SystemClock
from leadflow.records import MessageQueued

Make = Callable[..., Entry]
Answer = Callable[[httpx.Request], httpx.Response]
URL = "http://provider.example/email"


def client(answer: Answer) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.MockTransport(answer))


async def test_a_single_send_carries_the_kept_bytes_and_the_key(make_entry: Make) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"id": "p-1"})

    async with client(answer) as http:
        entry = make_entry()
        (answered,) = await HttpApi("sms-api", URL, http, 1.0).send([entry])
    assert isinstance(answered, Accepted)
    assert answered.provider_id == "p-1"
    assert seen[0].content == entry.content.payload
    assert seen[0].headers["Idempotency-Key"] == "m-1"


@pytest.mark.parametrize(
    ("seconds", "error_class"), [("60", "Busy"), ("7200", "QuotaExceeded"), ("", "Busy")]
)
async def test_a_429_that_names_hours_is_a_quota_that_is_waited_out(
    make_entry: Make, seconds: str, error_class: str
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(429, headers={"Retry-After": seconds} if seconds else {})

    async with client(answer) as http:
        with pytest.raises(ProviderError) as caught:
            await HttpApi("sms-api", URL, http, 1.0).send([make_entry()])
    assert caught.value.refused().error_class == error_class
    assert not caught.value.refused().judged


async def test_a_batch_carries_each_key_and_reads_each_answer(make_entry: Make) -> None:
    sent: list[dict[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/email/batch"
        sent.extend(json.loads(request.content))
        results = [
            {"status": 200, "id": "p-1", "key": "m-1"},
            {"status": 422, "error": "no"},
            {"status": 429, "error": "later", "retry_after_seconds": 7},
        ]
        return httpx.Response(200, json={"results": results})

    async with client(answer) as http:
        entries = [make_entry(message_id=f"m-{number}") for number in (1, 2, 3)]
        answers = await EmailApi(URL, http, 1.0).send(entries)
    assert [item["key"] for item in sent] == ["m-1", "m-2", "m-3"]
    assert [item["text"] for item in sent] == ["Hi"] * 3
    assert isinstance(answers[0], Accepted)
    assert isinstance(answers[1], Refused)
    assert not answers[1].retryable
    assert isinstance(answers[2], Refused)
    assert (answers[2].retryable, answers[2].wait_seconds) == (True, 7.0)


@pytest.mark.parametrize(
    ("status", "error_class", "retryable", "maybe_accepted"),
    [
        (400, "Rejected", False, False),
        (401, "Unauthorized", False, False),
        (403, "Unauthorized", False, False),
        (404, "Unauthorized", False, False),
        (308, "Unauthorized", False, False),
        (409, "KeyConflict", False, True),
        (422, "Rejected", False, False),
        (429, "Busy", True, False),
        (500, "Broken", True, True),
        (502, "Broken", True, True),
        (503, "Busy", True, False),
        (504, "Broken", True, True),
    ],
)
async def test_a_status_says_whether_a_retry_can_help(
    make_entry: Make, status: int, error_class: str, retryable: bool, maybe_accepted: bool
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, headers={"Retry-After": "9"})

    async with client(answer) as http:
        with pytest.raises(ProviderError) as caught:
            await HttpApi("sms-api", URL, http, 1.0).send([make_entry()])
    refused = caught.value.refused()
    assert refused.error_class == error_class
    assert (refused.retryable, refused.maybe_accepted) == (retryable, maybe_accepted)


@pytest.mark.parametrize(
    ("error", "error_class", "maybe_accepted"),
    [
        (httpx.ConnectError("refused"), "Unreachable", False),
        (httpx.ConnectTimeout("slow"), "Unreachable", False),
        (httpx.ReadTimeout("silent"), "NoAnswer", True),
        (httpx.RemoteProtocolError("hung up"), "NoAnswer", True),
        (httpx.WriteError("broken pipe"), "NoAnswer", True),
        (httpx.DecodingError("not gzip after all"), "NoAnswer", True),
    ],
)
async def test_a_silence_is_a_doubt_only_if_something_was_sent(
    make_entry: Make, error: httpx.RequestError, error_class: str, maybe_accepted: bool
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error

    async with client(answer) as http:
        with pytest.raises(ProviderError) as caught:
            await HttpApi("sms-api", URL, http, 1.0).send([make_entry()])
    assert caught.value.refused().error_class == error_class
    assert caught.value.maybe_accepted is maybe_accepted
    assert caught.value.retryable


async def test_a_batch_answer_that_does_not_fit_is_a_doubt(make_entry: Make) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"results": []})

    async with client(answer) as http:
        with pytest.raises(ProviderError) as caught:
            await EmailApi(URL, http, 1.0).send([make_entry(), make_entry(message_id="m-2")])
    assert caught.value.maybe_accepted


@pytest.mark.parametrize(
    ("headers", "wait_seconds"),
    [
        ({"Retry-After": "120"}, 120.0),
        (
            {
                "Date": "Sat, 21 Nov 2026 09:00:00 GMT",
                "Retry-After": "Sat, 21 Nov 2026 09:02:00 GMT",
            },
            120.0,
        ),
        (
            {
                "Date": "Sat, 21 Nov 2026 09:00:00 GMT",
                "Retry-After": "Sat, 21 Nov 2026 08:00:00 GMT",
            },
            0.0,
        ),
        ({"Retry-After": "Sat, 21 Nov 2026 09:02:00 GMT"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-3"}, None),
        ({}, None),
    ],
)
def test_a_wait_is_a_number_or_a_date_by_the_answers_own_clock(
    headers: dict[str, str], wait_seconds: float | None
) -> None:
    assert retry_after(httpx.Response(429, headers=headers)) == wait_seconds


def test_a_mail_has_both_parts_and_the_same_bytes_each_time(
    make_queued: Callable[..., MessageQueued], writer: Writer
) -> None:
    variables = {
        "first_name": "Zoë",
        "tenant_name": "Café & Co",
        "booking_link": "https://b.example",
    }
    content = writer.arrive(make_queued(variables=variables)).content
    assert content is not None
    mail = mime_of(content.send())
    assert mail.content == mime_of(content.send()).content
    read = message_from_bytes(mail.content, policy=default)
    assert (mail.sender, mail.recipient) == ("acme@mail.example.com", "ann@example.com")
    assert read["Subject"] == "Hello Zoë"
    assert read["From"].addresses[0].display_name == "Café & Co"
    assert read["X-Leadflow-Message-Id"] == "5f0c7a3e-0000-5000-8000-000000000001"
    assert [part.get_content_type() for part in read.iter_parts()] == ["text/plain", "text/html"]


async def test_an_address_that_smtp_cannot_carry_is_refused_before_anything_is_sent(
    make_entry: Make, make_queued: Callable[..., MessageQueued], writer: Writer
) -> None:
    content = writer.arrive(make_queued(recipient="jürgen@example.com")).content
    assert content is not None
    smtp = Smtp(SmtpAccount(host="127.0.0.1", port=1), SystemClock(), 1.0)
    with pytest.raises(Rejected, match=r"^smtp: an address that a mail cannot carry$"):
        await smtp.send([make_entry(content=content)])


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (asyncio.IncompleteReadError(b"", None), "the server closed the connection"),
        (ConnectionResetError(), "the server closed the connection"),
        (ConnectionRefusedError(), "nobody listens there"),
        (aiosmtplib.SMTPConnectTimeoutError("x"), "no answer in time"),
        (aiosmtplib.SMTPConnectError("x"), "there is no connection to the server"),
        (aiosmtplib.SMTPServerDisconnected("x"), "the server closed the connection"),
        (ValueError("x"), "the server answered what is no SMTP"),
        (OSError("x"), "there is no connection to the server"),
    ],
)
def test_what_became_of_a_connection_is_told_in_words(error: Exception, told: str) -> None:
    assert what_broke(error) == told
