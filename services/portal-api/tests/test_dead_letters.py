"""What is done about dead letters becomes the read model in whatever order it is read, and a
runner does not lose or repeat what it had done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from leadflow.codec import Codec
from leadflow.errors import BrokerError
from leadflow.kafka.dead_letters import NAMES
from leadflow.kafka.loop import Received
from leadflow.kafka.port import Message, Outgoing
from leadflow.kafka.reviews import DISCARDED, REPLAYED, Run
from leadflow.records import DeadLetterReviewed, Record
from portal_api.decode import decoder
from portal_api.letters import runner as runner_module
from portal_api.letters.runner import LetterRunner
from portal_api.projections import project
from portal_api.projections.tables import DEAD_LETTER_REVIEWS, DEAD_LETTERS

AT = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
TEXTS = ("crm-sync", "lead-events", "7", "41", "CrmNever", "refused", "then")


def buried(offset: int) -> Message:
    headers = tuple(zip(NAMES, (text.encode() for text in TEXTS), strict=True))
    return Message("crm-sync-dlq", 2, offset, b"lead", b"?", headers, int(AT.timestamp() * 1000))


def review(action: str, offset: int = 5) -> DeadLetterReviewed:
    run = Run(run_id=action, action=action, chosen="all", by="olga", reason=None, source="cli")
    return run.review(
        letter_id=f"crm-sync-dlq:2:{offset}", tenant_id="", service="crm-sync", cause="x", at=AT
    )


def test_a_review_that_is_read_before_its_letter_is_the_state_of_it_all_the_same(
    received: Callable[[str, Record], Received],
) -> None:
    letter = Received(buried(5), decoder(Codec())(buried(5)))
    words = [received("dead-letter-reviews", review(each)) for each in (REPLAYED, DISCARDED)]
    for batch in ([letter, *words], [*words, letter]):
        rows = project(batch)
        (row,) = rows.of(DEAD_LETTERS)
        assert (row["state"], row["reviewed_by"]) == (DISCARDED, "olga")
        assert (row["service"], row["cause"]) == ("crm-sync", "CrmNever: refused")
        assert len(rows.of(DEAD_LETTER_REVIEWS)) == 2


class FakeRuns:
    """The rows of one run, of which a transaction that fails leaves nothing."""

    def __init__(self, items: list[dict[str, Any]], **run: Any) -> None:
        self.items = items
        self.row = {
            "run_id": "r", "action": REPLAYED, "chosen": "all", "requested_by": "olga",
            "reason": None, "again": False, "rate_per_minute": None, "paced_at": None,
            "created_at": AT, **run,
        }  # fmt: skip
        self.states: dict[int, str] = {}

    async def lock(self, _connection: Any, _run_id: str) -> dict[str, Any]:
        return self.row

    async def waiting(self, _connection: Any, _run_id: str, limit: int) -> list[dict[str, Any]]:
        return [each for each in self.items if each["position"] not in self.states][:limit]

    async def settle(self, _connection: Any, _run_id: str, states: Mapping[str, Any]) -> None:
        self.states |= {each: state for state, given in states.items() for each in given}

    async def paced(self, _connection: Any, _run_id: str, until: datetime) -> None:
        self.row["paced_at"] = until

    async def finish(self, *_: Any) -> None: ...


class Bench:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, runs: FakeRuns) -> None:
        self.copies: list[Outgoing] = []
        self.reviews: list[DeadLetterReviewed] = []
        self.fails = False
        self.now = AT

        async def send(batch: list[Outgoing]) -> None:
            self.copies += batch

        async def publish(_topic: Any, records: Iterable[tuple[str, Any]]) -> None:
            if self.fails:
                raise BrokerError("not acknowledged")
            self.reviews += [record for _, record in records]

        async def read(places: Iterable[Any]) -> dict[Any, Message]:
            return {place: buried(place[2]) for place in places if place[2] < 90}

        @asynccontextmanager
        async def begin() -> Any:
            yield None

        context: Any = SimpleNamespace(
            clock=SimpleNamespace(now=lambda: self.now),
            engine=SimpleNamespace(begin=begin),
            letters=SimpleNamespace(read=read),
            letters_wait=asyncio.Event(),
            producer=SimpleNamespace(send=send),
            publish=publish,
        )
        monkeypatch.setattr(runner_module, "store", runs)
        self.runner = LetterRunner(context)


def item(position: int, offset: int, **changes: Any) -> dict[str, Any]:
    return {
        "position": position, "topic": "crm-sync-dlq", "partition": 2, "offset": offset,
        "tenant_id": "acme", "service": "crm-sync", "cause": "x", "state": None, "run_id": None,
        **changes,
    }  # fmt: skip


async def test_a_runner_that_dies_after_the_copies_sends_them_again_and_notes_each_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = FakeRuns([item(1, 5), item(2, 6)])
    bench = Bench(monkeypatch, runs)
    bench.fails = True
    with pytest.raises(BrokerError):
        await bench.runner.advance("r")
    assert (len(bench.copies), runs.states) == (2, {})
    bench.fails = False
    await bench.runner.advance("r")
    assert bench.copies[:2] == bench.copies[2:]
    assert runs.states == {1: "done", 2: "done"}
    assert [each.letter_id for each in bench.reviews] == ["crm-sync-dlq:2:5", "crm-sync-dlq:2:6"]


async def test_what_was_handled_meanwhile_is_passed_over_and_what_is_gone_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    items = [
        item(1, 5, state=REPLAYED, run_id="another"), item(2, 6, state=REPLAYED, run_id="r"),
        item(3, 95), item(4, 7),
    ]  # fmt: skip
    runs = FakeRuns(items)
    bench = Bench(monkeypatch, runs)
    await bench.runner.advance("r")
    assert runs.states == {1: "skipped", 2: "done", 3: "gone", 4: "done"}
    assert [dict(each.headers)["replay-of"] for each in bench.copies] == [b"crm-sync-dlq:2:7"]


async def test_a_rate_is_kept_and_its_first_letter_does_not_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = FakeRuns([item(number, number) for number in range(1, 9)], rate_per_minute=60)
    bench = Bench(monkeypatch, runs)
    sent = []
    for second in range(4):
        bench.now = AT.replace(second=second)
        await bench.runner.advance("r")
        sent.append(len(bench.copies))
    assert sent == [1, 2, 3, 4]


async def test_to_discard_sends_no_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = FakeRuns([item(1, 5), item(2, 95)], action=DISCARDED)
    bench = Bench(monkeypatch, runs)
    await bench.runner.advance("r")
    assert bench.copies == []
    assert [each.action for each in bench.reviews] == [DISCARDED, DISCARDED]
