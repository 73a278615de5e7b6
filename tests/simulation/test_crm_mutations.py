"""Break what keeps a lead's changes in order into the CRM, and the simulation says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

import crm_sync.handler
import crm_sync.work
from crm_sync.handler import SyncHandler, Tools
from crm_sync.model import State, Upsert, Waiting
from crm_sync.parking import Turn
from crm_sync.store import Leads

from .world import crm
from .world.run import first_seed
from .world.sequencer import Parts

SEEDS = 2000


class NobodyIsParked:
    """A store that does not say what waits."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def load(self, lead_ids: Iterable[str]) -> Leads:
        found: Leads = await self._store.load(lead_ids)
        return replace(found, queues={})


class Overtaking(SyncHandler):
    """Takes every lead for one of which nothing waits."""

    def __init__(self, tools: Tools) -> None:
        store: Any = NobodyIsParked(tools.store)
        super().__init__(replace(tools, store=store))


def later_ones_do_not_wait(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(crm, "SyncHandler", Overtaking)


def whoever_comes_is_next(patch: pytest.MonkeyPatch) -> None:
    """Takes a record from a retry topic whose predecessor waits in another."""

    def turn(queue: Sequence[Waiting], arrived: Mapping[str, int]) -> Turn:
        return Turn(tuple(each for each in queue if arrived.get(each.event_id, -1) >= each.hop), ())

    patch.setattr(crm_sync.handler, "turn", turn)


def whoever_comes_last_wins(patch: pytest.MonkeyPatch) -> None:
    """Merges in the order of arrival, and not by revision or time."""

    def merge(state: State, changes: Sequence[Upsert]) -> State:
        merged = dict(state)
        for change in changes:
            merged.update(change.registers)
        return state if merged == state else merged

    patch.setattr(crm_sync.work, "merge", merge)


@pytest.mark.parametrize(
    ("mutate", "words"),
    [
        pytest.param(later_ones_do_not_wait, ("OVERTAKEN",), id="parked-lead-overtaken"),
        pytest.param(whoever_comes_is_next, ("OVERTAKEN",), id="retry-out-of-turn"),
        pytest.param(whoever_comes_last_wins, ("INVERTED",), id="last-come-wins"),
    ],
)
def test_an_order_that_is_broken_on_purpose_is_found(
    mutate: Callable[[pytest.MonkeyPatch], None],
    words: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mutate(monkeypatch)
    assert first_seed(range(SEEDS), words, Parts()) is not None
