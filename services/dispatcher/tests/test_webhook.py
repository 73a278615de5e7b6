"""The webhook: signed as the standard's own libraries do it."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import httpx
import pytest

from dispatcher.model import Accepted, Entry
from dispatcher.providers.base import ProviderError, Rejected
from dispatcher.providers.http import LARGEST_ANSWER, http_client
from dispatcher.providers.webhook import Webhook, WebhookAccount, signature
from leadflow.clock import SystemClock
from leadflow.errors import SettingError
from leadflow.settings import Environment

Make = Callable[..., Entry]
# The vector that every library of the standard is tested with.
SECRET = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
WEBHOOK_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


class Clock(SystemClock):
    def now(self) -> datetime:
        return datetime.fromtimestamp(AT, UTC)


def account(secret: str = f"whsec_{SECRET}", **told: str) -> WebhookAccount:
    given = {"LEADFLOW_WEBHOOK_URL": "https://hooks.example/in", "LEADFLOW_WEBHOOK_SECRET": secret}
    return WebhookAccount.read(Environment({**given, **told}), "sms")


def test_the_published_vector_is_signed_as_published() -> None:
    assert signature(b64decode(SECRET), WEBHOOK_ID, AT, BODY) == SIGNATURE


async def test_the_id_is_the_messages_and_each_secret_signs(make_entry: Make) -> None:
    seen: list[httpx.Request] = []

    def take(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(202, json={"id": "h-1"})

    other = b64encode(bytes(range(32))).decode()
    told = account(f"whsec_{SECRET} whsec_{other}")
    async with httpx.AsyncClient(transport=httpx.MockTransport(take)) as client:
        (answered,) = await Webhook(told, client, Clock(), 1.0).send([make_entry()])
    (request,) = seen
    assert json.loads(request.content) == {
        "type": "message.sms",
        "data": {
            "message_id": "m-1",
            "subject": "Hello",
            "text": "Hi",
            "to": "ann@example.com",
        },
    }
    assert request.headers["webhook-id"] == "m-1"
    assert request.headers["webhook-timestamp"] == str(AT)
    assert request.headers["webhook-signature"].split() == [
        signature(secret, "m-1", AT, request.content) for secret in told.secrets
    ]
    assert isinstance(answered, Accepted)
    assert answered.provider_id == "h-1"


@pytest.mark.parametrize(
    ("status", "keyed", "error_class", "retryable", "maybe_accepted"),
    [
        (301, "yes", "Unauthorized", False, False),
        (400, "yes", "Rejected", False, False),
        (401, "yes", "Unauthorized", False, False),
        (410, "yes", "Unauthorized", False, False),
        (429, "yes", "Busy", True, False),
        (500, "yes", "Broken", True, True),
        (503, "yes", "Busy", True, False),
        (503, "no", "Broken", True, True),
    ],
)
async def test_a_status_says_whether_a_retry_can_help(
    make_entry: Make,
    status: int,
    keyed: str,
    error_class: str,
    retryable: bool,
    maybe_accepted: bool,
) -> None:
    async with httpx.AsyncClient(
        transport=httpx.MockTransport(lambda request: httpx.Response(status))
    ) as client:
        webhook = Webhook(account(LEADFLOW_WEBHOOK_KEYED=keyed), client, Clock(), 1.0)
        assert webhook.keyed is (keyed == "yes")
        with pytest.raises(ProviderError) as caught:
            await webhook.send([make_entry()])
    refused = caught.value.refused()
    assert refused.error_class == error_class
    assert (refused.retryable, refused.maybe_accepted) == (retryable, maybe_accepted)


def test_the_secret_is_in_no_repr() -> None:
    assert repr(b64decode(SECRET)) not in repr(account())
    assert SECRET not in repr(account())


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "not base64"])
def test_a_secret_that_is_none_names_its_setting(secret: str) -> None:
    with pytest.raises(SettingError, match="LEADFLOW_WEBHOOK_SECRET"):
        account(secret)


@pytest.mark.parametrize(("status", "kind"), [(200, Accepted), (422, Rejected)])
async def test_an_answer_without_end_is_its_status_alone(
    status: int, kind: type, make_entry: Make
) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 2**16
            yield b" " * 2**16

    on = httpx.MockTransport(lambda _: httpx.Response(status, content=endless()))
    async with httpx.AsyncClient(transport=on) as client:
        webhook = Webhook(account(), client, Clock(), 5.0)
        if kind is Accepted:
            (answered,) = await webhook.send([make_entry()])
            assert isinstance(answered, Accepted)
        else:
            with pytest.raises(Rejected):
                await webhook.send([make_entry()])
    assert taken <= LARGEST_ANSWER + 2**16


async def test_no_answer_is_asked_for_packed() -> None:
    async with http_client(1.0) as client:
        assert client.headers["Accept-Encoding"] == "identity"
