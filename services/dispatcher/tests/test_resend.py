"""Resend: what it is sent, its errors, and a lost answer of a batch, however it is lost."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.calls import Call, Claimed
from dispatcher.model import Accepted, Content, Refused
from dispatcher.providers.base import (
    KeyConflict,
    KeyExpired,
    NotCalled,
    ProviderError,
    RefusedTogether,
)
from dispatcher.providers.resend import Resend, ResendAccount, batch_of, email_of
from leadflow.errors import SettingError
from leadflow.settings import Environment

CONTEXT = ssl.create_default_context()  # making one takes longer than all of a test
ACCOUNT = ResendAccount(url="https://resend.example", api_key="re_secret")
SEND = {
    "from": '"Acme" <acme@mail.example>',
    "to": "ann@example.com",
    "subject": "Hello",
    "text": "Hi",
    "html": "<p>Hi</p>",
    "headers": {
        "Reply-To": "reply+1@mail.example",
        "In-Reply-To": "<0@mail.example>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "X-Leadflow-Message-Id": "m-1",
    },
}


class Death(BaseException):
    """The process ends here."""


@dataclass(frozen=True)
class Message:
    message_id: str
    tenant_id: str = "acme"
    in_doubt: bool = False
    epoch: int = 1

    @property
    def content(self) -> Content:
        send = {**SEND, "to": f"{self.message_id}@example.com"}
        return Content(payload=json.dumps(send).encode(), sha256="")


@dataclass
class World:
    """A Resend by its published rules, and the book; `deaths` says before or after which effect
    the process ends: numbers of effects, counted from the last death.
    """

    deaths: Iterator[int] = field(default_factory=lambda: iter(()))
    keys: dict[str, tuple[bytes, httpx.Response]] = field(default_factory=dict)
    accepted: list[str] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)
    calls: dict[str, Call] = field(default_factory=dict)
    called: dict[str, str] = field(default_factory=dict)
    ours: bool = True
    age_seconds: float = 0.0
    left: int | None = None
    turns: list[float] = field(default_factory=list)
    wait_seconds: float = 0.0

    def __post_init__(self) -> None:
        self.left = next(self.deaths, None)

    def may_die(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = next(self.deaths, None)
                raise Death

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.may_die()
        self.requests.append(request)
        key = request.headers["Idempotency-Key"]
        if key in self.keys:
            body, answer = self.keys[key]
            if body != request.content:
                return httpx.Response(409, json={"name": "invalid_idempotent_request"})
        else:
            read = json.loads(request.content)
            emails = read if isinstance(read, list) else [read]
            ids = [{"id": f"id-{email['to'][0]}"} for email in emails]
            self.accepted += [email["to"][0].partition("@")[0] for email in emails]
            answer = httpx.Response(200, json={"data": ids} if isinstance(read, list) else ids[0])
            self.keys[key] = (request.content, answer)
        self.may_die()
        return httpx.Response(answer.status_code, content=answer.content)

    async def make(self, key: str, messages: Sequence[Claimed], body_sha256: str) -> bool:
        self.may_die()
        if self.ours:
            ids = tuple(message.message_id for message in messages)
            self.calls.setdefault(key, Call(key=key, message_ids=ids, body_sha256=body_sha256))
            self.called.update(dict.fromkeys(ids, key))
        self.may_die()
        return self.ours

    async def latest(self, message_id: str) -> Call | None:
        key = self.called.get(message_id)
        return None if key is None else replace(self.calls[key], age_seconds=self.age_seconds)

    async def payloads(self, message_ids: Sequence[str]) -> Sequence[bytes] | None:
        return [Message(message_id).content.payload for message_id in message_ids]

    async def resolve(self, key: str, provider_ids: Sequence[str] | None) -> None:
        self.may_die()
        self.calls[key] = replace(
            self.calls[key], void=provider_ids is None, provider_ids=provider_ids
        )
        self.may_die()

    async def turn(self, provider: str, apart: float, longest: float) -> float:
        self.turns.append(apart)
        return self.wait_seconds

    async def send(self, *messages: Message) -> Sequence[Any]:
        client = httpx.AsyncClient(
            transport=httpx.MockTransport(self.answer), trust_env=False, verify=CONTEXT
        )
        return await Resend(ACCOUNT, client, self, 5.0).send(messages)


def test_an_email_is_what_resend_publishes() -> None:
    assert json.loads(email_of("m-1", Message("m-1").content.payload)) == {
        "from": '"Acme" <acme@mail.example>',
        "to": ["m-1@example.com"],
        "subject": "Hello",
        "text": "Hi",
        "html": "<p>Hi</p>",
        "reply_to": "reply+1@mail.example",
        "headers": {
            "In-Reply-To": "<0@mail.example>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            "X-Leadflow-Message-Id": "m-1",
        },
        "tags": [{"name": "message_id", "value": "m-1"}],
    }


async def test_one_goes_to_emails_under_its_own_key_and_several_to_batch_under_one() -> None:
    world = World()
    (one,) = await world.send(Message("a"))
    both = await world.send(Message("b"), Message("c"))
    first, second = world.requests
    assert (first.url.path, second.url.path) == ("/emails", "/emails/batch")
    assert first.headers["Authorization"] == "Bearer re_secret"
    assert first.headers["Idempotency-Key"] == "a"
    assert len(second.headers["Idempotency-Key"]) <= 256
    assert second.headers["x-batch-validation"] == "permissive"
    assert one.provider_id == "id-a@example.com"
    assert [each.provider_id for each in both] == ["id-b@example.com", "id-c@example.com"]


def test_the_key_to_the_api_is_in_no_repr() -> None:
    assert "re_secret" not in repr(ACCOUNT)


@pytest.mark.parametrize(
    ("status", "name", "error_class", "retryable", "maybe_accepted"),
    [
        (400, "validation_error", "Rejected", False, False),
        (401, "missing_api_key", "Unauthorized", False, False),
        (403, "invalid_api_key", "Unauthorized", False, False),
        (403, "validation_error", "SenderRefused", False, False),
        (422, "invalid_from_address", "SenderRefused", False, False),
        (409, "invalid_idempotent_request", "KeyConflict", False, True),
        (409, "concurrent_idempotent_requests", "InProgress", True, True),
        (422, "missing_required_field", "Rejected", False, False),
        (429, "rate_limit_exceeded", "Busy", True, False),
        (429, "daily_quota_exceeded", "QuotaExceeded", True, False),
        (500, "application_error", "Broken", True, True),
    ],
)
async def test_an_error_is_told_by_its_name(
    status: int, name: str, error_class: str, retryable: bool, maybe_accepted: bool
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        body = {"statusCode": status, "name": name, "message": "ann@example.com is wrong"}
        return httpx.Response(status, json=body, headers={"retry-after": "7"})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        with pytest.raises(ProviderError) as caught:
            await Resend(ACCOUNT, client, World(), 5.0).send([Message("m-1")])
    refused = caught.value.refused()
    assert refused.error_class == error_class
    assert (refused.retryable, refused.maybe_accepted) == (retryable, maybe_accepted)
    assert "ann@" not in refused.reason
    if status == 429:
        assert not refused.judged, "a batch that it did not look at stays one"
        assert refused.wait_seconds == (3600 if "quota" in name else 7)


async def test_of_a_batch_each_hears_its_own_answer() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        errors = [{"index": 1, "message": "The `to` field is missing."}]
        return httpx.Response(200, json={"data": [{"id": "1"}, {"id": "3"}], "errors": errors})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        first, second, third = await Resend(ACCOUNT, client, World(), 5.0).send(
            [Message("a"), Message("b"), Message("c")]
        )
    assert isinstance(first, Accepted)
    assert isinstance(third, Accepted)
    assert (first.provider_id, third.provider_id) == ("1", "3")
    assert isinstance(second, Refused)
    assert (second.error_class, second.retryable) == ("Rejected", False)


@pytest.mark.parametrize("status", [403, 422])
async def test_a_batch_that_is_refused_whole_is_no_messages_fault_yet(status: int) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, json={"name": "validation_error"})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        with pytest.raises(RefusedTogether):
            await Resend(ACCOUNT, client, World(), 5.0).send([Message("a"), Message("b")])


async def test_a_call_is_not_made_once_a_claim_is_somebody_elses() -> None:
    world = World(ours=False)
    with pytest.raises(NotCalled):
        await world.send(Message("a"), Message("b"))
    assert world.requests == []


async def test_every_call_waits_for_its_turn_and_is_not_made_when_that_is_far_away() -> None:
    world = World()
    await world.send(Message("a"), Message("b"))
    assert world.turns == [0.5], "one call, however many messages, and two a second"
    world.wait_seconds = 2.6
    with pytest.raises(NotCalled) as caught:
        await world.send(Message("c"))
    assert (len(world.requests), caught.value.wait_seconds) == (1, 2.6)


@pytest.mark.parametrize("written", ["0", "-1", "inf", "nan"])
def test_a_number_of_calls_that_is_none_names_its_setting(written: str) -> None:
    told = {"LEADFLOW_RESEND_API_KEY": "re", "LEADFLOW_RESEND_CALLS_PER_SECOND": written}
    with pytest.raises(SettingError, match="LEADFLOW_RESEND_CALLS_PER_SECOND"):
        ResendAccount.read(Environment(told), "email")


async def test_whoever_was_left_out_of_a_lost_batch_is_sent_nothing_by_asking_about_it() -> None:
    """b opted out while the answer was outstanding, and the batch had never arrived."""
    world = World(deaths=iter([2]))
    with pytest.raises(Death):
        await world.send(Message("a"), Message("b"), Message("c"))
    for each in "ac":
        (answer,) = await world.send(Message(each, in_doubt=True))
        assert isinstance(answer, Accepted)
    assert sorted(world.accepted) == ["a", "c"]


async def test_a_batch_that_had_arrived_gives_each_message_its_id_afterwards() -> None:
    world = World(deaths=iter([3]))
    with pytest.raises(Death):
        await world.send(Message("a"), Message("b"), Message("c"))
    answers = [(await world.send(Message(each, in_doubt=True)))[0] for each in "cab"]
    assert [answer.provider_id for answer in answers] == [
        f"id-{each}@example.com" for each in "cab"
    ]
    assert sorted(world.accepted) == ["a", "b", "c"]
    assert len(world.requests) == 3  # the first, the question, the repeat: the rest is known


async def test_a_key_that_resend_may_have_forgotten_is_not_asked_with() -> None:
    world = World(deaths=iter([3]))
    with pytest.raises(Death):
        await world.send(Message("a"), Message("b"))
    world.age_seconds = 24 * 3600.0
    (answer,) = await world.send(Message("a", in_doubt=True))
    assert isinstance(answer, Refused)
    assert answer.error_class == KeyExpired.__name__
    assert (answer.retryable, answer.maybe_accepted) == (False, True)
    assert len(world.requests) == 1


async def test_a_batch_whose_bytes_are_not_what_they_were_is_not_repeated() -> None:
    world = World(deaths=iter([3]))
    with pytest.raises(Death):
        await world.send(Message("a"), Message("b"))
    (key,) = world.calls
    world.calls[key] = replace(world.calls[key], body_sha256="of other bytes")
    (answer,) = await world.send(Message("a", in_doubt=True))
    assert isinstance(answer, Refused)
    assert answer.error_class == KeyConflict.__name__
    assert len(world.requests) == 2


async def test_a_batch_that_was_refused_as_a_whole_is_not_the_fault_of_who_asks() -> None:
    world = World(deaths=iter([3]))
    with pytest.raises(Death):
        await world.send(Message("a"), Message("b"))
    ((key, (body, _)),) = world.keys.items()
    world.keys[key] = (body, httpx.Response(422, json={"name": "validation_error"}))
    world.accepted.clear()
    (answer,) = await world.send(Message("a", in_doubt=True))
    assert isinstance(answer, Accepted)
    assert world.accepted == ["a"]
    assert world.requests[-1].headers["Idempotency-Key"] == "a"


def test_the_bytes_of_a_batch_are_the_same_each_time() -> None:
    payloads = [Message(each).content.payload for each in "ab"]
    assert batch_of("ab", payloads) == batch_of("ab", payloads)


@given(
    deaths=st.lists(st.integers(0, 7), max_size=6),
    order=st.permutations("abcd"),
    stopped=st.sets(st.sampled_from("abcd"), max_size=2),
)
async def test_however_often_the_process_dies_nobody_gets_a_message_twice(
    deaths: list[int], order: list[str], stopped: set[str]
) -> None:
    """`stopped` opt out after the first death: they are never given to the provider again."""
    world = World(deaths=iter(deaths))
    done: dict[str, str | None] = {}
    try:
        answers = await world.send(*(Message(each) for each in "abcd"))
        done = {each: answer.provider_id for each, answer in zip("abcd", answers, strict=True)}
    except Death:
        by_then = list(world.accepted)
        waiting = [each for each in order if each not in stopped]
        while waiting:
            each = waiting.pop(0)
            try:
                (answer,) = await world.send(Message(each, in_doubt=True))
                assert isinstance(answer, Accepted)
                done[each] = answer.provider_id
            except Death:
                waiting.append(each)
        assert not stopped & set(world.accepted[len(by_then) :])
    assert len(world.accepted) == len(set(world.accepted))
    assert done.keys() <= set(world.accepted)
    assert done == {each: f"id-{each}@example.com" for each in done}
