"""Calls that are not made any more once others have shown what would come of them."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from crm_sync.crm.base import CrmError, CrmSignIn, CrmSilent, CrmUnavailable
from crm_sync.crm.http import Caller


class Server:
    """Answers so, two calls at a time; `asked` are the calls that reached it."""

    def __init__(self, answer: int | Exception) -> None:
        self.answer = answer
        self.asked = 0
        self.caller = Caller(
            "http://crm.test", 1, at_once=2, transport=httpx.MockTransport(self._handle)
        )

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        await asyncio.sleep(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return httpx.Response(self.answer)

    async def calls(self, count: int) -> list[int | CrmError]:
        async def one() -> int | CrmError:
            try:
                return (await self.caller.call("GET", "/", "call")).status_code
            except CrmError as error:
                return error

        return await asyncio.gather(*(one() for _ in range(count)))


@pytest.mark.parametrize("status", [401, 402, 407])
async def test_a_refused_credential_stops_what_waits_for_room(status: int) -> None:
    server = Server(status)
    answers = await server.calls(50)
    assert server.asked <= 3
    assert answers[:2] == [status] * 2
    assert isinstance(answers[-1], CrmSignIn)
    assert str(answers[-1]) == f"not called: others got HTTP {status}"
    # What is asked for afterwards is called: a canary may find that all is well again.
    server.answer = 200
    assert await server.calls(2) == [200, 200]


@pytest.mark.parametrize("status", [403, 404, 422, 429, 500])
async def test_what_may_be_about_one_call_stops_no_other(status: int) -> None:
    server = Server(status)
    assert await server.calls(20) == [status] * 20


async def test_three_calls_in_a_row_without_an_answer_stop_what_waits_and_count_no_attempt() -> (
    None
):
    server = Server(httpx.ReadTimeout("late"))
    answers = await server.calls(50)
    assert server.asked <= 4
    assert [type(each) for each in answers[:3]] == [CrmUnavailable] * 3
    assert isinstance(answers[-1], CrmSilent)
    assert not answers[-1].COUNTS
    server.answer = 200
    assert await server.calls(20) == [200] * 20


async def test_an_answer_in_between_stops_nothing() -> None:
    server = Server(httpx.ReadTimeout("late"))
    for _ in range(3):
        server.answer = httpx.ReadTimeout("late")
        await server.calls(2)
        server.answer = 200
        await server.calls(1)
    server.answer = httpx.ReadTimeout("late")
    assert [type(each) for each in await server.calls(2)] == [CrmUnavailable] * 2
