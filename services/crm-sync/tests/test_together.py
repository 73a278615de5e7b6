"""What is begun at once comes to its end before an error counts, so that a repeat doubles nothing.

Follow Up Boss has neither idempotency keys nor unique fields: it shows what went on beside.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from crm_sync.crm.base import ContactWrite, CrmError, CrmLimited, CrmNever, GateFailed
from crm_sync.crm.followupboss import LEAD, FollowUpBossCrm
from crm_sync.crm.guarded import GuardedCrm, guarded
from crm_sync.crm.hubspot import HubSpotCrm
from crm_sync.crm.sandbox import SandboxCrm
from crm_sync.crm.webhook import WebhookCrm
from crm_sync.model import Contact, Item, Note
from crm_sync.sync import Synchronizer
from crm_sync.together import together
from leadflow.clock import SystemClock
from leadflow.errors import DatabaseDown

NOTE = Note("n-1", "words", datetime(2026, 11, 21, 9, 0, tzinfo=UTC))


class Steps:
    """Calls that take a few turns of the loop; `ended` counts those that came to their end."""

    def __init__(self) -> None:
        self.ended = 0

    async def call(self, turns: int, outcome: BaseException | str) -> str:
        try:
            for _ in range(turns):
                await asyncio.sleep(0)
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome
        finally:
            self.ended += 1


async def test_answers_stand_in_the_order_of_the_calls() -> None:
    steps = Steps()
    assert await together(steps.call(n, str(n)) for n in (3, 0, 2)) == ["3", "0", "2"]


async def test_an_error_that_is_an_answer_is_not_raised() -> None:
    async def answered() -> str | CrmError:
        return refused

    refused = CrmNever("no")
    assert await together([answered()]) == [refused]


async def test_an_error_of_our_own_side_counts_before_a_crms_and_after_the_last_call() -> None:
    ours, theirs, odd = GateFailed(OSError()), CrmNever("no"), KeyError("x")
    steps = Steps()
    with pytest.raises(GateFailed):
        await together(steps.call(n, each) for n, each in enumerate((theirs, odd, ours, "well")))
    assert steps.ended == 4
    with pytest.raises(KeyError):
        await together([steps.call(0, theirs), steps.call(9, odd)])
    with pytest.raises(CrmNever):
        await together([steps.call(0, theirs), steps.call(9, CrmLimited("slow"))])


async def test_a_cancellation_goes_through_once_all_have_come_to_their_end() -> None:
    steps = Steps()

    async def slow_to_end() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            await steps.call(5, "")
        raise AssertionError

    calls = [slow_to_end(), steps.call(0, "well"), steps.call(1, CrmNever("no")), slow_to_end()]
    task = asyncio.create_task(together(calls))
    await steps.call(3, "")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert steps.ended == 5


class FollowUpBoss:
    """People, notes and what they are found by. It carries a call out some turns after it came,
    and answers some turns after that."""

    def __init__(self, seed: int) -> None:
        self.people: dict[int, dict[str, Any]] = {}
        self.notes: list[dict[str, Any]] = []
        self.under_way = 0
        self._chance = random.Random(seed)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.under_way += 1
        try:
            await self._turns()
            answer = self._carry_out(request)
            await self._turns()
            return answer
        finally:
            self.under_way -= 1

    async def _turns(self) -> None:
        for _ in range(self._chance.randrange(12)):
            await asyncio.sleep(0)

    def _carry_out(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/v1").split("/")[1:]
        params = request.url.params
        body = json.loads(request.content) if request.content else {}
        match request.method, path:
            case "GET", ["people"]:
                found = [p for p in self.people.values() if p[LEAD] == params.get(LEAD)]
                return httpx.Response(200, json={"people": found})
            case "GET", ["people", number]:
                return httpx.Response(200, json=self.people[int(number)])
            case "POST", ["people" | "events" as kind]:
                number = len(self.people) + 1
                self.people[number] = {**(body["person"] if kind == "events" else body)}
                self.people[number]["id"] = number
                return httpx.Response(201, json=self.people[number])
            case "PUT", ["people", number]:
                self.people[int(number)] |= body
                return httpx.Response(200, json=self.people[int(number)])
            case "GET", ["notes"]:
                mine = [n for n in self.notes if str(n["personId"]) == params["personId"]]
                return httpx.Response(200, json={"notes": mine})
            case "POST", ["notes"]:
                self.notes.append(body)
                return httpx.Response(201, json={"id": len(self.notes)})
        raise AssertionError(path)


class Rows:
    """The store of contacts in memory."""

    def __init__(self) -> None:
        self.contacts: dict[str, Contact] = {}

    async def save_contacts(self, contacts: Sequence[Contact]) -> list[Contact]:
        saved = [replace(each, version=each.version + 1) for each in contacts]
        self.contacts |= {each.lead_id: each for each in saved}
        return saved


@pytest.mark.parametrize("seed", range(12))
async def test_gates_that_fail_at_any_call_double_neither_people_nor_notes(
    seed: int, records: Any, item: Any
) -> None:
    chance, server, rows = random.Random(seed), FollowUpBoss(seed), Rows()
    fails, asked = set(chance.sample(range(200), 12)), 0

    async def gate() -> None:
        nonlocal asked
        asked += 1
        mine = asked
        await asyncio.sleep(0)
        if mine in fails:
            raise DatabaseDown("connection was closed")

    crm = FollowUpBossCrm("key", gate=guarded(gate), transport=httpx.MockTransport(server))
    store: Any = rows
    synchronizer = Synchronizer(store, GuardedCrm(crm))
    items: dict[str, list[Item]] = {}
    for number in range(15):
        name = f"lead-{number}"
        created = records.created(lead_id=name, first_name=f"Ada {number}")
        notes = [
            records.reviewed("approved", "words", lead_id=name, summary_id=f"{name}:{each}")
            for each in range(2)
        ]
        items[name] = [item(each) for each in (created, *notes)]
    failed = 0
    while True:
        try:
            works = await synchronizer.run(dict(rows.contacts), items)
            break
        except DatabaseDown:
            failed += 1
            assert server.under_way == 0
    assert failed
    assert all(len(work.written + work.unchanged) == 3 for work in works)
    assert Counter(each[LEAD] for each in server.people.values()) == Counter(list(items))
    texts = Counter((each["personId"], each["body"]) for each in server.notes)
    assert (len(texts), set(texts.values())) == (30, {1})


class Sleeper:
    """Answers after some turns, each call later than the one before it."""

    def __init__(self) -> None:
        self.asked = self.under_way = 0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        self.under_way += 1
        for _ in range(10 * self.asked):
            await asyncio.sleep(0)
        self.under_way -= 1
        body = {"id": 1, LEAD: "lead-0", "results": [], "people": [], "contact": {"a": "b"}}
        return httpx.Response(400 if "batch" in request.url.path else 200, json=body)


@pytest.mark.parametrize("kind", ["hubspot", "followupboss", "webhook", "sandbox"])
@pytest.mark.parametrize("fails_at", [2, 3, 5])
async def test_no_adapter_goes_on_after_it_has_ended(kind: str, fails_at: int) -> None:
    server, asked = Sleeper(), 0

    async def gate() -> None:
        nonlocal asked
        asked += 1
        if asked == fails_at:
            raise DatabaseDown("connection was closed")

    transport, asks = httpx.MockTransport(server), guarded(gate)
    crm = GuardedCrm(
        {
            "hubspot": lambda: HubSpotCrm("token", gate=asks, transport=transport),
            "followupboss": lambda: FollowUpBossCrm("key", gate=asks, transport=transport),
            "webhook": lambda: WebhookCrm(
                "http://crm.test", (b"x" * 32,), SystemClock(), gate=asks, transport=transport
            ),
            "sandbox": lambda: SandboxCrm("http://crm.test", 5, transport, asks),
        }[kind]()
    )
    wanted = [ContactWrite(f"lead-{n}", f"k-{n}", {"first_name": "Ada"}) for n in range(30)]
    with pytest.raises(DatabaseDown):
        await crm.upsert(wanted)
    assert server.under_way == 0
    made = server.asked
    for _ in range(1000):
        await asyncio.sleep(0)
    assert server.asked == made


async def test_once_the_gate_has_failed_no_call_that_waits_for_room_is_made() -> None:
    server, asked = Sleeper(), 0

    async def gate() -> None:
        nonlocal asked
        asked += 1
        if asked == 6:
            raise DatabaseDown("connection was closed")

    transport = httpx.MockTransport(server)
    crm = GuardedCrm(FollowUpBossCrm("key", gate=guarded(gate), transport=transport))
    with pytest.raises(DatabaseDown):
        await crm.read([f"lead-{n}" for n in range(50)])
    assert server.asked == 5
    # What is asked for afterwards is called.
    with pytest.raises(CrmError):
        await crm.add_note("lead-1", NOTE)
    assert server.asked == 6
