"""Clicks and openings: one event for what happens once, and no reader waits for the log."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from leadflow.errors import BrokerError
from leadflow.records import RawEvent
from portal_api.sightings import Sightings, publish, sighting

NOW = datetime(2026, 11, 21, 9, 0, 10, tzinfo=UTC)


def click(message_id: str = "m-1", now: datetime = NOW, **changes: str) -> RawEvent:
    given = {
        "tenant_id": "acme",
        "url": "https://a.example",
        "user_agent": "Mail/1.0",
        "ip": "192.0.2.1",
    }
    return sighting("clicked", message_id=message_id, now=now, **{**given, **changes})  # type: ignore[arg-type]


class World:
    """A log that takes events, once it is there."""

    def __init__(self, away: int = 0) -> None:
        self.sightings = Sightings()
        self.away = away
        self.taken: list[RawEvent] = []
        self.all_there = asyncio.Event()

    async def publish_raw(self, events: list[RawEvent]) -> None:
        if self.away:
            self.away -= 1
            raise BrokerError("not now")
        self.taken += events
        self.all_there.set()


def test_the_same_within_a_minute_is_one_event() -> None:
    assert click().event_id == click(now=NOW + timedelta(seconds=40)).event_id
    assert click().event_id != click(now=NOW + timedelta(seconds=60)).event_id


def test_what_a_machine_does_before_a_person_is_another_event() -> None:
    others = [
        click(user_agent="Scanner/1.0"),
        click(ip="192.0.2.2"),
        click(url="https://b.example"),
        click(message_id="m-2"),
    ]
    assert len({click().event_id, *(each.event_id for each in others)}) == 5


def test_an_agent_of_any_length_is_cut() -> None:
    assert len(click(user_agent="x" * 100_000).payload) < 1_000


def test_more_than_there_is_room_for_is_lost_and_nobody_waits() -> None:
    sightings = Sightings(most=2)
    for number in range(5):
        sightings.note(click(f"m-{number}"))
        sightings.note(click(f"m-{number}"))
    assert len(sightings) == 2


async def test_what_was_noted_while_the_log_was_away_is_written_when_it_is_back(
    monkeypatch: Any,
) -> None:
    monkeypatch.setattr("portal_api.sightings.AGAIN_SECONDS", 0.0)
    world, stop = World(away=3), asyncio.Event()
    for number in range(3):
        world.sightings.note(click(f"m-{number}"))
    publishing = asyncio.ensure_future(publish(world, stop))  # type: ignore[arg-type]
    await asyncio.wait_for(world.all_there.wait(), 5)
    world.sightings.note(click("m-3"))
    world.all_there.clear()
    await asyncio.wait_for(world.all_there.wait(), 5)
    stop.set()
    await asyncio.wait_for(publishing, 5)
    assert [event.external_id for event in world.taken] == ["m-0", "m-1", "m-2", "m-3"]
    assert len(world.sightings) == 0
