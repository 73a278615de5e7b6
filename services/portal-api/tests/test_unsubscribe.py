"""The unsubscribe link: RFC 8058 for the one click, RFC 2369 for the address, no read model needed.

15 U.S.C. 7704(a)(3): it works for whoever got the mail, and asks for nothing more.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI

from leadflow.codec import Codec
from leadflow.errors import BrokerError
from leadflow.health import Health
from leadflow.kafka.port import Outgoing
from leadflow.records import RawEvent
from leadflow.tenants import Tenant
from leadflow.tokens import Sealer
from portal_api.api import unsubscribe
from portal_api.api.app import make_app
from portal_api.context import Context
from portal_api.live import Broadcaster

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
LINKS = Sealer("secret")
FIELDS = ("acme", "lead-1", "email", "message-1")
TOKEN = LINKS.seal("unsubscribe", *FIELDS)
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


class Log:
    """What was produced; `answers` is what the broker does."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []
        self.answers = "at once"

    async def send(self, batch: Sequence[Outgoing]) -> None:
        if self.answers == "never":
            await asyncio.Event().wait()
        if self.answers == "no":
            raise BrokerError("not acknowledged")
        self.sent += batch

    def said(self) -> list[RawEvent]:
        events = [Codec().decode(each.value or b"") for each in self.sent]
        return [event for event in events if isinstance(event, RawEvent)]


class Clock:
    def now(self) -> datetime:
        return NOW


class NoDatabase:
    """Nothing about a token may need one."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError("the database was asked")


@pytest.fixture(scope="module")
def app() -> FastAPI:
    """The portal, with nothing behind it but a log: made once, it has many routes."""
    context = Context(
        engine=cast(Any, NoDatabase()),
        client=cast(Any, None),
        producer=cast(Any, Log()),
        codec=Codec(),
        clock=cast(Any, Clock()),
        health=Health(),
        broadcaster=Broadcaster(),
        tenants={"acme": Tenant(tenant_id="acme", name="Acme Roofing")},
        secret="x",
        links=LINKS,
        stopping=asyncio.Event(),
        bare_links_before=datetime(2026, 11, 1, tzinfo=UTC),
    )
    return make_app(context)


@pytest.fixture
def log(app: FastAPI) -> Log:
    log: Log = app.state.context.producer
    log.sent.clear()
    log.answers = "at once"
    return log


@pytest.fixture
async def client(app: FastAPI, log: Log) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://portal.test") as made:
        yield made


async def test_a_get_shows_a_page_and_changes_nothing(client: httpx.AsyncClient, log: Log) -> None:
    """RFC 8058, 1: anti-spam software fetches every URI of a mail."""
    answer = await client.get(f"/unsubscribe/{TOKEN}")
    assert answer.status_code == 200
    assert "Stop e-mails from Acme Roofing?" in answer.text
    assert "Nothing has changed yet" in answer.text
    assert log.sent == []


async def test_who_only_asks_whether_the_page_is_there_is_answered_and_changes_nothing(
    client: httpx.AsyncClient, log: Log
) -> None:
    """RFC 9110, 9.3.2: as GET, without the page."""
    assert (await client.head(f"/unsubscribe/{TOKEN}")).status_code == 200
    assert log.sent == []


@pytest.mark.parametrize("token", ["%00", "a%00b", "%0a", "%E2%80%AE"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_link_of_letters_that_no_link_has_is_answered_with_the_page(
    client: httpx.AsyncClient, log: Log, method: str, token: str
) -> None:
    answer = await client.request(method, f"/unsubscribe/{token}", data=ONE_CLICK)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert log.sent == []


async def test_one_click_opts_the_lead_out_of_the_channel(
    client: httpx.AsyncClient, log: Log
) -> None:
    answer = await client.post(f"/unsubscribe/{TOKEN}", data=ONE_CLICK)
    # RFC 8058, 3.1: no redirect, no cookie, no further question.
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    (said,) = log.said()
    assert (said.tenant_id, said.kind, said.source) == ("acme", "opt_out", "portal")
    assert json.loads(said.payload) == {
        "lead": "lead-1",
        "channel": "email",
        "evidence": "unsubscribe link of message message-1",
    }


async def test_one_click_as_multipart_form_data_acts_as_well(
    client: httpx.AsyncClient, log: Log
) -> None:
    """RFC 8058, 3.1: "multipart/form-data" or "application/x-www-form-urlencoded"."""
    files = {"List-Unsubscribe": (None, "One-Click")}
    assert (await client.post(f"/unsubscribe/{TOKEN}", files=files)).status_code == 200
    assert len(log.said()) == 1


async def test_twice_is_once(client: httpx.AsyncClient, log: Log) -> None:
    for _ in range(2):
        assert (await client.post(f"/unsubscribe/{TOKEN}", data=ONE_CLICK)).status_code == 200
    first, second = log.said()
    assert first.event_id == second.event_id
    assert first.external_id == second.external_id


async def test_everything_is_another_wish_than_this_channel(
    client: httpx.AsyncClient, log: Log
) -> None:
    await client.post(f"/unsubscribe/{TOKEN}", data={"scope": "channel"})
    answer = await client.post(f"/unsubscribe/{TOKEN}", data={"scope": "all"})
    assert "on any channel" in answer.text
    one, every = log.said()
    assert [json.loads(each.payload)["channel"] for each in (one, every)] == ["email", "all"]
    assert one.event_id != every.event_id


@pytest.mark.parametrize("broker", ["no", "never"])
async def test_where_the_log_does_not_answer_the_page_says_so_in_time(
    client: httpx.AsyncClient, log: Log, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unsubscribe, "PATIENCE_SECONDS", 0.05)
    log.answers = broker
    answer = await client.post(f"/unsubscribe/{TOKEN}", data={"scope": "all"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    assert "may still write to you" in answer.text
    assert "Try again" in answer.text
    # What was chosen is still chosen.
    assert 'value="all" checked' in answer.text
    log.answers = "at once"
    assert (await client.post(f"/unsubscribe/{TOKEN}", data={"scope": "all"})).status_code == 200


async def test_whoever_has_the_link_learns_nothing_of_the_person(
    client: httpx.AsyncClient,
) -> None:
    token = LINKS.seal("unsubscribe", "acme", "lead-of-maria", "sms", "message-of-maria")
    for answer in (
        await client.get(f"/unsubscribe/{token}"),
        await client.post(f"/unsubscribe/{token}", data=ONE_CLICK),
    ):
        assert "maria" not in answer.text
        assert "text messages" in answer.text
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "token",
    [
        LINKS.seal("click", *FIELDS),
        LINKS.seal("unsubscribe", *FIELDS[:3]),
        Sealer("another").seal("unsubscribe", *FIELDS),
        TOKEN[:-4] + "AAAA",
    ],
)
async def test_a_token_of_another_kind_or_hand_does_nothing(
    log: Log, token: str, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 8058, 6: the URI must be hard to forge."""

    async def nobody(_connection: Any, _message_id: str) -> None:
        return None

    class Asked:
        async def __aenter__(self) -> None: ...
        async def __aexit__(self, *_error: object) -> None: ...

    monkeypatch.setattr(unsubscribe.store, "message", nobody)
    monkeypatch.setattr(NoDatabase, "connect", lambda _self: Asked(), raising=False)
    assert (await client.post(f"/unsubscribe/{token}", data=ONE_CLICK)).status_code == 404
    assert log.sent == []


@pytest.mark.parametrize(
    ("queued_at", "status"),
    [
        (datetime(2026, 10, 30, tzinfo=UTC), 200),
        (datetime(2026, 11, 1, tzinfo=UTC), 404),
        (datetime(2026, 11, 20, tzinfo=UTC), 404),
        (None, 404),
    ],
)
async def test_the_bare_id_of_a_message_opens_the_links_of_old_ones_alone(
    log: Log,
    client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    queued_at: datetime | None,
    status: int,
) -> None:
    """RFC 8058, 6: an id follows from what a stranger may know; before links were sealed there was
    nothing else."""

    async def message(_connection: Any, message_id: str) -> dict[str, Any]:
        assert message_id == "an-old-id"
        about = {"tenant_id": "acme", "lead_id": "lead-1", "channel": "sms"}
        return {**about, "queued_at": queued_at}

    class Asked:
        async def __aenter__(self) -> None: ...
        async def __aexit__(self, *_error: object) -> None: ...

    monkeypatch.setattr(unsubscribe.store, "message", message)
    monkeypatch.setattr(NoDatabase, "connect", lambda _self: Asked(), raising=False)
    assert (await client.get("/unsubscribe/an-old-id")).status_code == status
    assert (await client.post("/unsubscribe/an-old-id", data=ONE_CLICK)).status_code == status
    assert len(log.said()) == (status == 200)
