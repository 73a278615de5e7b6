"""How many partitions a topic has is asked again: somebody may have added some."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from leadflow.kafka import progress
from leadflow.kafka.progress import PLACES_SECONDS, GroupProgress


async def test_partitions_that_were_added_are_seen_after_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at, there = [1_000.0], [12]

    class Topic(GroupProgress):
        def _look_up(self) -> Iterable[int]:
            return range(there[0])

    monkeypatch.setattr(progress, "AdminClient", lambda _settings: None)
    monkeypatch.setattr(progress, "monotonic", lambda: at[0])
    topic = Topic("nowhere:9092", "dispatcher", "lead-events")
    assert await topic.partitions() == 12
    there[0] = 24
    at[0] += PLACES_SECONDS
    assert await topic.partitions() == 12
    at[0] += 1
    assert await topic.partitions() == 24
