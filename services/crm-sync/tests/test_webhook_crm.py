"""Signed webhooks as a CRM (https://www.standardwebhooks.com)."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crm_sync.crm.base import (
    ContactWrite,
    CrmError,
    CrmLimited,
    CrmNever,
    CrmSignIn,
    CrmUnavailable,
)
from crm_sync.crm.webhook import WebhookCrm, read_secrets
from crm_sync.model import Note, Task
from leadflow.errors import SettingError

AT = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
WRITE = ContactWrite("lead-1", "e-1:0", {"stage": "new"})


class At:
    def now(self) -> datetime:
        return AT

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None: ...


@pytest.fixture
def crm(recorded: Any) -> WebhookCrm:
    url = "http://crm.test/in?x=1"
    return WebhookCrm(url, read_secrets(SECRET), At(), transport=recorded.transport)


async def test_a_contact_is_signed_and_named_by_its_write(crm: WebhookCrm, recorded: Any) -> None:
    recorded.respond(204, None)
    assert await crm.upsert([WRITE]) == ["lead-1"]
    (request,) = recorded.requests
    assert str(request.url) == "http://crm.test/in?x=1"
    assert recorded.body(0) == {
        "type": "contact.upserted",
        "data": {"external_id": "lead-1", "contact": {"stage": "new"}},
    }
    assert request.headers["webhook-id"] == "contact_e-1:0"
    signed = b"contact_e-1:0.%d." % int(AT.timestamp()) + request.content
    digest = hmac.digest(b64decode(SECRET.removeprefix("whsec_")), signed, hashlib.sha256)
    assert request.headers["webhook-signature"] == "v1," + b64encode(digest).decode()


async def test_a_repeat_is_the_same_webhook(crm: WebhookCrm, recorded: Any) -> None:
    recorded.respond(503, None)
    recorded.respond(200, {})
    for _ in range(2):
        await crm.upsert([WRITE])
    first, again = recorded.requests
    assert first.headers["webhook-id"] == again.headers["webhook-id"]
    assert first.content == again.content


async def test_notes_and_tasks_are_named_by_their_ids(crm: WebhookCrm, recorded: Any) -> None:
    for _ in range(2):
        recorded.respond(200, {})
    await crm.add_note("lead-1", Note("s-1", "words", AT))
    await crm.add_task("lead-1", Task("m-1", "task", "Call", "", AT))
    ids = [request.headers["webhook-id"] for request in recorded.requests]
    assert ids == ["note_s-1", "task_m-1"]
    assert recorded.body(1)["type"] == "task.added"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, CrmNever),
        (401, CrmSignIn),
        (404, CrmSignIn),
        (405, CrmSignIn),
        (406, CrmSignIn),
        (410, CrmSignIn),
        (415, CrmSignIn),
        (421, CrmSignIn),
        (426, CrmSignIn),
        *((status, CrmSignIn) for status in (301, 302, 307, 308)),
        (422, CrmNever),
        (429, CrmLimited),
        (502, CrmUnavailable),
    ],
)
async def test_a_status_says_whether_to_try_again(
    crm: WebhookCrm, recorded: Any, status: int, kind: type[CrmError]
) -> None:
    recorded.respond(status, None, {"Retry-After": "30"})
    (error,) = await crm.upsert([WRITE])
    assert type(error) is kind
    if kind is CrmLimited:
        assert error.retry_after == timedelta(seconds=30)


async def test_a_webhook_cannot_be_read(crm: WebhookCrm) -> None:
    with pytest.raises(CrmNever):
        await crm.read(["lead-1"])


def test_secrets_may_be_several_while_one_takes_the_place_of_another() -> None:
    assert len(read_secrets(f"{SECRET} {SECRET}")) == 2


@pytest.mark.parametrize("written", ["", "whsec_c2hvcnQ=", "whsec_???"])
def test_a_secret_that_is_none_is_refused_without_being_told(written: str) -> None:
    with pytest.raises(SettingError) as refused:
        read_secrets(written)
    assert written.removeprefix("whsec_") not in str(refused.value) or not written
