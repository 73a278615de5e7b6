"""Whatever an adapter raises is an answer of its own account: nobody else's, and no end."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from crm_sync.account_store import Registered
from crm_sync.crm.base import (
    LONGEST_WAIT,
    ContactWrite,
    CrmError,
    CrmLimited,
    CrmNever,
    CrmNoRoom,
    CrmOdd,
    CrmUnavailable,
)
from crm_sync.crm.followupboss import FollowUpBossCrm
from crm_sync.crm.guarded import GuardedCrm, guarded
from crm_sync.crm.http import retry_after
from crm_sync.crm.hubspot import HubSpotCrm
from crm_sync.crm.providers import Access
from crm_sync.crm.sandbox import SandboxCrm
from crm_sync.crm.webhook import WebhookCrm
from crm_sync.keeper import Keeper
from crm_sync.model import Note, Task
from crm_sync.routing import Connections, Router
from leadflow.clock import SystemClock
from leadflow.errors import DatabaseDown

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
NOTE = Note("n-1", "words", NOW)
TASK = Task("t-1", "task", "Call", "Call Ada", NOW)
WRITES = [
    ContactWrite("lead-1", "k1", {"tenant_id": "acme", "first_name": "Ada", "stage": "new"}),
    ContactWrite("lead-2", "k2", {"tenant_id": "acme", "first_name": "Ben"}, "17"),
]
ODD: dict[str, tuple[int, dict[str, str], bytes]] = {
    "nothing in it": (200, {}, b"{}"),
    "a list": (200, {}, b"[]"),
    "null": (200, {}, b"null"),
    "an error inside": (200, {}, b'{"status":"error","message":"internal"}'),
    "results null": (200, {}, b'{"results":null,"people":null,"notes":null,"contact":"x"}'),
    "results of strings": (200, {}, b'{"results":["a"],"people":["a"],"customfields":["a"]}'),
    "errors of strings": (207, {}, b'{"results":[],"errors":["boom"]}'),
    "errors an object": (207, {}, b'{"results":[],"errors":{"a":1}}'),
    "errors a number": (400, {}, b'{"errors":5}'),
    "too deep": (400, {}, b"[" * 200_000),
    "deep and well": (200, {}, b"[" * 200_000),
    "no gzip": (200, {"Content-Encoding": "gzip"}, b"notgzip"),
    "no UTF-8": (200, {}, b"\xff\xfe{"),
    "a long wait": (503, {"Retry-After": "1" + "0" * 15}, b""),
    "a longer wait": (429, {"Retry-After": "1" * 5000}, b""),
    "nothing": (204, {}, b""),
}


def crms(answer: tuple[int, dict[str, str], bytes]) -> list[GuardedCrm]:
    status, headers, content = answer

    def transport() -> httpx.MockTransport:
        return httpx.MockTransport(
            lambda _: httpx.Response(status, headers=headers, content=content)
        )

    return [
        GuardedCrm(HubSpotCrm("token", transport=transport())),
        GuardedCrm(FollowUpBossCrm("key", transport=transport())),
        GuardedCrm(
            WebhookCrm("https://crm.test/x", (b"x" * 32,), SystemClock(), transport=transport())
        ),
        GuardedCrm(SandboxCrm("http://crm.test", 5, transport=transport())),
    ]


@pytest.mark.parametrize("odd", ODD)
async def test_no_answer_of_a_crm_ends_as_anything_but_a_crm_error(odd: str) -> None:
    for crm in crms(ODD[odd]):
        answers = await crm.upsert(WRITES)
        assert len(answers) == len(WRITES)
        for answer in answers:
            assert isinstance(answer, str) or answer.retry_after <= LONGEST_WAIT
        for call in (
            lambda crm=crm: crm.add_note("lead-1", NOTE),
            lambda crm=crm: crm.add_task("lead-1", TASK),
            lambda crm=crm: crm.read(["lead-1"]),
            lambda crm=crm: crm.whose("contact", ["17"]),
            lambda crm=crm: crm.canary(),
        ):
            await only_crm_errors(call)
        await crm.close()


async def only_crm_errors(call: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    try:
        await call()
    except CrmError:
        return


class Broken:
    """Every method of it ends in `error`."""

    name = "broken"

    def __init__(self, error: Exception) -> None:
        self._error = error

    @property
    def both_ways(self) -> dict[str, str]:
        raise self._error

    def __getattr__(self, name: str) -> Any:
        if name in ("place", "told", "kept"):
            return self._fail

        async def fails(*_: Any) -> None:
            raise self._error

        return fails

    def _fail(self, *_: Any) -> None:
        raise self._error


def broken(error: Exception) -> GuardedCrm:
    crm: Any = Broken(error)
    return GuardedCrm(crm)


@pytest.mark.parametrize("error", [KeyError("ada@acme.example"), RecursionError(), OverflowError()])
async def test_what_is_told_is_the_method_and_the_kind_of_error_alone(error: Exception) -> None:
    crm, kind = broken(error), type(error).__name__
    for answer in await crm.upsert(WRITES):
        assert isinstance(answer, CrmUnavailable)
        assert str(answer) == f"upsert: {kind}"
    for method, call in {
        "add_note": lambda: crm.add_note("lead-1", NOTE),
        "add_task": lambda: crm.add_task("lead-1", TASK),
        "read": lambda: crm.read(["lead-1"]),
        "whose": lambda: crm.whose("contact", ["17"]),
        "canary": crm.canary,
        "prepare": crm.prepare,
    }.items():
        with pytest.raises(CrmUnavailable, match=f"^{method}: {kind}$"):
            await call()
    for method, answered in {
        "both_ways": lambda: crm.both_ways,
        "place": lambda: crm.place("contact", "x"),
        "told": lambda: crm.told({}, "x"),
        "kept": lambda: crm.kept({}),
    }.items():
        with pytest.raises(CrmUnavailable, match=f"^{method}: {kind}$"):
            answered()


async def test_what_a_crm_refuses_in_its_own_words_stays_as_it_is() -> None:
    refused = CrmNever("no")
    crm = broken(refused)
    assert await crm.upsert(WRITES) == [refused, refused]
    with pytest.raises(CrmNever, match="no"):
        await crm.canary()


@pytest.mark.parametrize("error", [DatabaseDown("gone"), CrmNoRoom("no calls left")])
async def test_a_database_that_is_down_is_no_answer_of_a_crm(error: Exception) -> None:
    async def gate() -> None:
        raise error

    crm = GuardedCrm(HubSpotCrm("token", gate=guarded(gate)))
    with pytest.raises(type(error), match=str(error)):
        await crm.canary()
    await crm.close()


async def test_fewer_answers_than_writes_are_none() -> None:
    class Few(Broken):
        async def upsert(self, _: Any) -> list[str]:
            return ["crm-1"]

    crm: Any = Few(KeyError())
    answers = await GuardedCrm(crm).upsert(WRITES)
    assert [type(each) for each in answers] == [CrmOdd, CrmOdd]


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("30", timedelta(seconds=30)),
        ("0000000000000030", timedelta(seconds=30)),
        ("86401", LONGEST_WAIT),
        ("1000000000000", LONGEST_WAIT),
        ("1" * 5000, LONGEST_WAIT),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_WAIT),
        ("Fri, 31 Dec 999999999999 23:59:59 GMT", timedelta(0)),
        ("-5", timedelta(0)),
        ("²", timedelta(0)),
        ("", timedelta(0)),
    ],
)
def test_a_wait_is_a_day_at_most_and_none_where_it_makes_no_sense(
    value: str, wait: timedelta
) -> None:
    headers = {"Retry-After": value.encode(), "Date": b"Sun, 22 Nov 2026 03:00:00 GMT"}
    assert retry_after(httpx.Response(429, headers=headers)) == wait


def test_an_error_of_a_crm_never_wants_more_than_a_day() -> None:
    assert CrmLimited("slow", timedelta.max).retry_after == LONGEST_WAIT


async def test_one_accounts_answer_ends_neither_its_canary_nor_the_batch_of_others(
    records: Any, item: Any
) -> None:
    class Opening(Connections):
        def _open(self, row: Registered) -> Any:
            return Broken(OverflowError()) if row == ODD_ONE else Well()

    rows = [ODD_ONE, Registered(account_id="default", tenant_id="", provider="x", changed_at=NOW)]

    class Rows:
        async def of(self, _: Any) -> list[Registered]:
            return rows

        async def untold(self) -> list[Registered]:
            return []

        async def to_ask(self, *_: Any) -> list[Registered]:
            return [ODD_ONE]

        async def save_contacts(self, contacts: Sequence[Any]) -> list[Any]:
            return list(contacts)

    anything: Any = None
    kept: Any = Rows()
    connections = Opening(Access(), None, SystemClock(), 10, anything)
    router = Router(kept, kept, connections)
    account = (await router.of({"acme"}))["acme"]
    mine = replace(item(records.created(lead_id="lead-1")), account=account)
    theirs = item(records.created(lead_id="lead-2", tenant_id="other"))
    odd, well = await router.run({}, {"lead-1": [mine], "lead-2": [theirs]})
    assert (type(odd.error), odd.failed) == (CrmOdd, [mine])
    assert well.written == [theirs]
    await Keeper(kept, connections, anything, timedelta(minutes=1)).round()


ODD_ONE = Registered(account_id="odd-1", tenant_id="acme", provider="hubspot", changed_at=NOW)


class Well:
    name = "well"

    async def upsert(self, writes: Sequence[ContactWrite]) -> list[str]:
        return ["crm-1"] * len(writes)
