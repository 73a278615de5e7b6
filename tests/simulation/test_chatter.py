"""Much about one lead at once, and a worker that is killed before it commits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from random import Random

import pytest

from leadflow.records.base import changed
from sequencer.decide import repeats, triggers
from sequencer.model import DIGEST_BYTES, LeadRow, ReadUpTo

from .world.chatter import ChattyWorld, takes_part
from .world.run import simulate
from .world.sequences import Features

SEEDS = 300


def seeds() -> Iterator[int]:
    return (seed for seed in range(SEEDS) if takes_part(Features.drawn(Random(seed))))


def test_however_much_a_killed_worker_had_applied_nothing_acts_twice() -> None:
    for seed in seeds():
        wrong = simulate(seed, kind=ChattyWorld)
        assert not wrong, f"seed {seed}: {wrong}"


def remembers_few(patch: pytest.MonkeyPatch) -> None:
    """Only the last 32 ids, and not how far a topic was read."""
    applied: Callable[[LeadRow, str, ReadUpTo | None], LeadRow] = repeats.applied

    def few(row: LeadRow, event_id: str, at: ReadUpTo | None) -> LeadRow:
        row = applied(row, event_id, at)
        return changed(row, applied=row.applied[-32 * DIGEST_BYTES :], read=())

    patch.setattr(repeats, "applied", few)


def forgets_causes(patch: pytest.MonkeyPatch) -> None:
    """Every enrollment has a cause of its own."""
    causes = count()
    patch.setattr(triggers, "digest", lambda _: next(causes).to_bytes(DIGEST_BYTES))


@pytest.mark.parametrize(
    ("mutate", "words"),
    [
        pytest.param((remembers_few,), ("UNMEANT",), id="few-ids"),
        pytest.param((remembers_few, forgets_causes), ("UNMEANT",), id="few-ids-no-causes"),
    ],
)
def test_a_row_that_remembers_few_events_and_no_offsets_is_found(
    mutate: tuple[Callable[[pytest.MonkeyPatch], None], ...],
    words: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for each in mutate:
        each(monkeypatch)
    assert any(
        each.startswith(words) for seed in seeds() for each in simulate(seed, kind=ChattyWorld)
    )
