"""E-mail over Resend's API (https://resend.com/docs/api-reference/emails).

A single call has the message's own key. A batch call has one key for all of it, which Resend
remembers for 24 hours together with the exact body: only the same batch can be asked about.
But when an answer was lost somebody may have opted out since, and then the same batch must not
be sent. So a batch is written down before it goes out, and a message that is in doubt settles
the batch's fate by presenting itself alone under the batch's key (ADR 25):

- accepted: the key was free, so the batch had never arrived, and now never can;
- another body had the key: then the batch as it was is presented again. If that is what had
  the key, Resend repeats its first answer, with the ids; if not, the batch never arrived, and
  the message goes alone under its own key.

No order of these calls, and no death between them, sends a message twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, Self
from weakref import WeakValueDictionary

import httpx

from dispatcher.calls import Call, CallBook, Calls
from dispatcher.model import Accepted, Answer
from dispatcher.providers.base import (
    KEY_SECONDS,
    Around,
    Broken,
    Busy,
    InProgress,
    KeyConflict,
    KeyExpired,
    NoAnswer,
    NotCalled,
    Outbound,
    Provider,
    ProviderError,
    QuotaExceeded,
    RefusedTogether,
    Rejected,
    SenderRefused,
    Unauthorized,
)
from dispatcher.providers.http import (
    Caller,
    accepted,
    as_object,
    http_client,
    refusal,
    retry_after,
)
from leadflow.errors import SettingError
from leadflow.settings import Environment

QUOTA_WAIT_SECONDS = 3600.0
NO_ID = "-"
BATCH_TYPE = {"x-batch-validation": "permissive"}
# Tags come back in every webhook about the message; these characters they may have.
TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")

# https://resend.com/docs/api-reference/errors, by name; what is not here is told by its status.
ERRORS: Mapping[str, type[ProviderError]] = {
    "invalid_idempotent_request": KeyConflict,
    "concurrent_idempotent_requests": InProgress,
    "rate_limit_exceeded": Busy,
    "daily_quota_exceeded": QuotaExceeded,
    "monthly_quota_exceeded": QuotaExceeded,
    "missing_api_key": Unauthorized,
    "restricted_api_key": Unauthorized,
    "invalid_api_key": Unauthorized,
    "suspended_api_key": Unauthorized,
    "invalid_from_address": SenderRefused,
    "invalid_idempotency_key": Unauthorized,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResendAccount:
    """Where the API is, the key to it, and how many calls a second it takes of the account."""

    url: str
    api_key: str = field(repr=False)
    calls_per_second: float = 2.0

    @classmethod
    def read(cls, env: Environment, channel: str) -> Self:
        """Raises SettingError."""
        calls_per_second = env.number("RESEND_CALLS_PER_SECOND", 2.0)
        if not 0 < calls_per_second < inf:
            raise SettingError("LEADFLOW_RESEND_CALLS_PER_SECOND takes a number above 0")
        return cls(
            url=env.url("RESEND_URL", "https://api.resend.com"),
            api_key=env.text("RESEND_API_KEY"),
            calls_per_second=calls_per_second,
        )

    def open(self, around: Around) -> Provider:
        client = http_client(around.timeout_seconds)
        return Resend(self, client, Calls(around.engine), around.timeout_seconds)


class Resend:
    """POST /emails/batch for several first tries together, POST /emails for one."""

    name = "resend"
    keyed = True
    key_seconds = KEY_SECONDS
    batch = 100
    at_once = 8

    def __init__(
        self,
        account: ResendAccount,
        client: httpx.AsyncClient,
        calls: CallBook,
        timeout_seconds: float,
    ) -> None:
        self._one = f"{account.url}/emails"
        self._many = f"{account.url}/emails/batch"
        self._sign = {"Authorization": f"Bearer {account.api_key}"}
        self._caller = Caller(self.name, client, timeout_seconds)
        self._calls = calls
        self._apart = 1 / account.calls_per_second
        self._timeout = timeout_seconds
        self._asking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def send(self, messages: Sequence[Outbound]) -> Sequence[Answer]:
        try:
            async with asyncio.timeout(self._timeout):
                if any(message.in_doubt for message in messages):
                    return [await self._each(message) for message in messages]
                if len(messages) == 1:
                    return [await self._alone(messages[0])]
                return await self._together(messages)
        except TimeoutError as error:
            raise NoAnswer("resend: no answer in time") from error

    async def close(self) -> None:
        await self._caller.close()

    async def _alone(self, message: Outbound) -> Answer:
        """Under the message's own key, which has had no answer that was lost."""
        body = email_of(message.message_id, message.content.payload)
        await self._write_down(message.message_id, [message], body)
        return await self._again_alone(message, body)

    async def _again_alone(self, message: Outbound, body: bytes) -> Answer:
        response = await self._post(self._one, body, message.message_id)
        return accepted(as_object(response).get("id"), response.text)

    async def _together(self, messages: Sequence[Outbound]) -> Sequence[Answer]:
        body = batch_of(
            [message.message_id for message in messages],
            [message.content.payload for message in messages],
        )
        key = batch_key(body)
        await self._write_down(key, messages, body)
        try:
            response = await self._post(self._many, body, key)
        except KeyConflict as error:
            # We were so slow that somebody else has asked about it: each is to be looked at.
            raise Broken(str(error)) from error
        except (Rejected, SenderRefused) as error:
            raise RefusedTogether(f"{error}, all {len(messages)} together") from error
        return answers_of(response, len(messages))

    async def _write_down(self, key: str, messages: Sequence[Outbound], body: bytes) -> None:
        if not await self._calls.make(key, messages, _sha256(body)):
            raise NotCalled("resend: a claim was over before the call, so it was not made")

    async def _each(self, message: Outbound) -> Answer:
        try:
            return await (self._settled(message) if message.in_doubt else self._alone(message))
        except ProviderError as error:
            return error.refused()

    async def _settled(self, message: Outbound) -> Answer:
        """What became of a message whose answer was lost; sent now if it had not been."""
        call = await self._calls.latest(message.message_id)
        if call is None:
            return await self._alone(message)
        if len(call.message_ids) == 1 or call.void or call.provider_ids is not None:
            return await self._asked(message, call)
        # The first of a batch to ask learns it for all: the others wait, and look again.
        async with self._asking.setdefault(call.key, asyncio.Lock()):
            call = await self._calls.latest(message.message_id) or call
            return await self._asked(message, call)

    async def _asked(self, message: Outbound, call: Call) -> Answer:
        place = call.message_ids.index(message.message_id)
        if call.provider_ids is not None:
            return _known(call.provider_ids[place])
        if call.age_seconds > KEY_SECONDS:
            raise KeyExpired("resend: the key of the lost answer is too old to ask with")
        payload = message.content.payload
        if len(call.message_ids) == 1:
            return await self._again_alone(message, email_of(message.message_id, payload))
        try:
            body = batch_of([message.message_id], [payload])
            response = await self._post(self._many, body, call.key)
        except KeyConflict:
            if call.void:
                return await self._alone(message)
            return await self._as_it_was(message, call, place)
        # The batch never arrived; that this message has its key shows when it is asked again.
        await self._calls.resolve(call.key, None)
        return answers_of(response, 1)[0]

    async def _as_it_was(self, message: Outbound, call: Call, place: int) -> Answer:
        """Present a batch again whose key is taken: nothing can go out by this."""
        payloads = await self._calls.payloads(call.message_ids)
        body = b"" if payloads is None else batch_of(call.message_ids, payloads)
        if _sha256(body) != call.body_sha256:
            raise KeyConflict("resend: the batch of the lost answer cannot be written again")
        try:
            response = await self._post(self._many, body, call.key)
        except (KeyConflict, Rejected):
            # Taken by another message that asked, or by the batch, which was refused as a whole.
            await self._calls.resolve(call.key, None)
            return await self._alone(message)
        answers = answers_of(response, len(call.message_ids))
        await self._calls.resolve(call.key, [_noted(answer) for answer in answers])
        return answers[place]

    async def _post(self, url: str, body: bytes, key: str) -> httpx.Response:
        await self._turn()
        headers = {**self._sign, "Idempotency-Key": key}
        if url == self._many:
            headers |= BATCH_TYPE
        response = await self._caller.post(url, body, headers)
        if not response.is_success:
            raise _refusal(response)
        return response

    async def _turn(self) -> None:
        """Wait until the account may be called again. Raises NotCalled if that is too far away."""
        longest = self._timeout / 2
        seconds = await self._calls.turn(self.name, self._apart, longest)
        if seconds > longest:
            raise NotCalled("resend: other calls have the next turns", seconds)
        await asyncio.sleep(seconds)


def email_of(message_id: str, payload: bytes) -> bytes:
    """The body of POST /emails for a send as kept. The same send gives the same bytes."""
    send: dict[str, Any] = json.loads(payload)
    email: dict[str, Any] = {
        name: send[name] for name in ("from", "subject", "text", "html") if name in send
    }
    email["to"] = [send["to"]]
    headers = dict(send.get("headers") or {})
    for name in [name for name in headers if name.lower() == "reply-to"]:
        email["reply_to"] = headers.pop(name)
    if headers:
        email["headers"] = headers
    if TAG.fullmatch(message_id):
        email["tags"] = [{"name": "message_id", "value": message_id}]
    return json.dumps(email, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def batch_of(message_ids: Sequence[str], payloads: Sequence[bytes]) -> bytes:
    """The body of POST /emails/batch."""
    pairs = zip(message_ids, payloads, strict=True)
    return b"[%s]" % b",".join(email_of(message_id, payload) for message_id, payload in pairs)


def batch_key(body: bytes) -> str:
    """The key of a batch: of the same messages in the same order it is the same."""
    return f"batch/{_sha256(body)}"


def answers_of(response: httpx.Response, number: int) -> list[Answer]:
    """Each message's answer of a permissive batch. Raises NoAnswer where they do not add up."""
    read = as_object(response)
    given, errors = read.get("data"), read.get("errors") or []
    if isinstance(given, list) and isinstance(errors, list):
        refused = {error.get("index") for error in errors if isinstance(error, dict)}
        if len(given) + len(refused) == number and refused <= set(range(number)):
            ids = iter(given)
            return [
                Rejected("resend answered that the e-mail is not valid").refused()
                if index in refused
                else _accepted(next(ids))
                for index in range(number)
            ]
    raise NoAnswer("resend: the answer does not name every message")


def _accepted(item: Any) -> Accepted:
    return accepted(item.get("id") if isinstance(item, dict) else None, json.dumps(item))


def _noted(answer: Answer) -> str:
    """An answer as the book keeps it: the id, empty for a refusal."""
    return (answer.provider_id or NO_ID) if isinstance(answer, Accepted) else ""


def _known(noted: str) -> Answer:
    if not noted:
        return Rejected("resend answered that the e-mail is not valid").refused()
    return accepted(None if noted == NO_ID else noted, json.dumps({"id": noted}))


def _refusal(response: httpx.Response) -> ProviderError:
    name = as_object(response).get("name")
    code = name if isinstance(name, str) else ""
    wait = retry_after(response)
    kind = ERRORS.get(code)
    if kind is None and response.status_code == 403 and code == "validation_error":
        kind = SenderRefused  # the domain is not verified
    if kind is None:
        return refusal("resend", response.status_code, wait, code)
    if code.endswith("quota_exceeded"):
        wait = max(wait or 0.0, QUOTA_WAIT_SECONDS)
    return kind(f"resend answered {response.status_code} {code}", wait)


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
