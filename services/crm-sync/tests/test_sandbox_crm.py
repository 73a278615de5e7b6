"""Calls to the sandbox's CRM, and what its answers mean."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from crm_sync.crm.base import (
    ContactWrite,
    CrmConflict,
    CrmError,
    CrmLimited,
    CrmMissing,
    CrmNever,
    CrmSignIn,
    CrmUnavailable,
)
from crm_sync.crm.http import refusal
from crm_sync.crm.sandbox import SandboxCrm
from crm_sync.model import Note

Answer = Callable[[httpx.Request], httpx.Response]
NOTE = Note("s-1", "words", datetime(2026, 11, 21, 9, 0, tzinfo=UTC))


def writes(count: int) -> list[ContactWrite]:
    return [ContactWrite(f"lead-{n}", f"e{n}:0", {"n": n}) for n in range(count)]


def crm(answer: Answer) -> SandboxCrm:
    return SandboxCrm("http://crm.test/crm", 1, httpx.MockTransport(answer))


async def test_one_contact_is_put_under_its_idempotency_key() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"id": "crm_1", "created": True})

    assert await crm(answer).upsert(writes(1)) == ["crm_1"]
    (request,) = seen
    assert (request.method, request.url.path) == ("PUT", "/crm/contacts/lead-0")
    assert request.headers["Idempotency-Key"] == "e0:0"
    assert json.loads(request.content) == {"n": 0}


async def test_many_contacts_go_out_a_hundred_a_call_and_answers_keep_their_places() -> None:
    sizes: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        items = json.loads(request.content)
        sizes.append(len(items))
        assert request.url.path == "/crm/contacts/batch"
        assert items[0].keys() == {"external_id", "key", "contact"}
        results = [{"status": 200, "id": f"crm of {item['external_id']}"} for item in items]
        return httpx.Response(200, json={"results": results})

    answers = await crm(answer).upsert(writes(250))
    assert answers == [f"crm of lead-{n}" for n in range(250)]
    assert sorted(sizes) == [50, 100, 100]


async def test_each_contact_of_a_batch_has_its_own_answer() -> None:
    results = [
        {"status": 200, "id": "crm_1"},
        {"status": 422, "error": "no"},
        {"status": 429, "error": "slow", "retry_after_seconds": 7},
    ]
    answers = await crm(lambda _: httpx.Response(200, json={"results": results})).upsert(writes(3))
    assert answers[0] == "crm_1"
    assert isinstance(answers[1], CrmNever)
    assert isinstance(answers[2], CrmLimited)
    assert answers[2].retry_after == timedelta(seconds=7)


async def test_a_batch_that_is_refused_as_a_whole_is_asked_for_one_by_one() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(("/batch", "/lead-1")):
            return httpx.Response(422)
        return httpx.Response(200, json={"id": "crm_1"})

    answers = await crm(answer).upsert(writes(3))
    assert (answers[0], answers[2]) == ("crm_1", "crm_1")
    assert isinstance(answers[1], CrmNever)


async def test_a_batch_that_fails_for_now_fails_for_each_of_it_in_one_call() -> None:
    calls: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        return httpx.Response(503, headers={"Retry-After": "3"})

    answers = await crm(answer).upsert(writes(5))
    assert len(calls) == 1
    assert [type(each) for each in answers] == [CrmUnavailable] * 5
    assert all(isinstance(each, CrmError) and each.retry_after.seconds == 3 for each in answers)


async def test_a_lost_answer_may_be_asked_for_again() -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        raise httpx.RemoteProtocolError("closed, of ada@example.com")

    (lost,) = await crm(answer).upsert(writes(1))
    assert isinstance(lost, CrmUnavailable)
    assert str(lost) == "PUT of a contact: RemoteProtocolError"


async def test_a_note_carries_the_summarys_id() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"note_id": "s-1", "created": True})

    await crm(answer).add_note("lead-1", NOTE)
    assert seen[0].url.path == "/crm/contacts/lead-1/notes"
    assert json.loads(seen[0].content) == {
        "note_id": "s-1",
        "text": "words",
        "at": "2026-11-21T09:00:00+00:00",
    }


async def test_a_note_on_a_contact_that_is_not_there_says_so() -> None:
    with pytest.raises(CrmMissing):
        await crm(lambda _: httpx.Response(404, json={"error": "no such contact"})).add_note(
            "lead-1", NOTE
        )


@pytest.mark.parametrize("status", [301, 302, 308, 400, 404, 405, 406, 410, 415, 421, 426])
async def test_an_address_that_is_gone_or_moved_is_about_the_account(status: int) -> None:
    gone = crm(lambda _: httpx.Response(status, text="<html>nginx</html>"))
    with pytest.raises(CrmSignIn):
        await gone.canary()
    for error in await gone.upsert(writes(2)):
        assert type(error) is CrmSignIn


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, CrmNever, False),
        (401, CrmSignIn, True),
        (403, CrmSignIn, True),
        (404, CrmMissing, False),
        (408, CrmUnavailable, True),
        (409, CrmConflict, True),
        (422, CrmNever, False),
        (423, CrmConflict, True),
        (425, CrmUnavailable, True),
        (429, CrmLimited, True),
        (500, CrmUnavailable, True),
        (507, CrmUnavailable, True),
    ],
)
def test_a_status_says_whether_to_try_again(
    status: int, kind: type[CrmError], retryable: bool
) -> None:
    error = refusal(status, f"PUT of a contact: HTTP {status}")
    assert (type(error), error.retryable) == (kind, retryable)
