"""Break what the portal promises to whoever asks and looks, and the simulation says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import pytest

import portal_api.projections.handler
from leadflow import ids
from leadflow.kafka.loop import Received
from portal_api.context import Context
from portal_api.once import Write
from portal_api.projections.handler import Projection

from .world.run import first_seed
from .world.sequencer import Parts

SEEDS = 2000
LATER: list[Any] = []


class RowsLater(Projection):
    """Lets the offset go before the rows are there."""

    async def handle(self, batch: Sequence[Received]) -> None:
        LATER.append(asyncio.ensure_future(super().handle(batch)))


def nothing(patch: pytest.MonkeyPatch) -> None:
    """The mutation is in the parts alone."""


def answers_before_the_log_has_it(patch: pytest.MonkeyPatch) -> None:
    publish = Context.publish

    async def begin(*given: Any) -> None:
        LATER.append(asyncio.ensure_future(publish(*given)))

    patch.setattr(Context, "publish", begin)


def names_what_it_asks_for_by_chance(patch: pytest.MonkeyPatch) -> None:
    """A repeat of a request asks for something else."""
    numbers = count()
    patch.setattr(Write, "event_id", lambda *parts: ids.derived_id(*map(str, parts), next(numbers)))


def hears_what_is_told_first_alone(patch: pytest.MonkeyPatch) -> None:
    """Of a decision that a killed sequencer had told of, and its successor took anew."""
    patch.setattr(portal_api.projections.handler, "told_again", lambda *_: {})


@pytest.mark.parametrize(
    ("parts", "mutate", "words"),
    [
        pytest.param(
            Parts(), answers_before_the_log_has_it, ("LOST THOUGH",), id="answer-before-log"
        ),
        pytest.param(
            Parts(projection=RowsLater), nothing, ("SHOWN WRONG",), id="offset-before-rows"
        ),
        pytest.param(
            Parts(), names_what_it_asks_for_by_chance, ("ASKED FOR TWICE",), id="ids-by-chance"
        ),
        pytest.param(Parts(), hears_what_is_told_first_alone, ("SHOWN AS",), id="told-first-alone"),
    ],
)
def test_a_promise_of_the_portal_that_is_broken_on_purpose_is_found(
    parts: Parts,
    mutate: Callable[[pytest.MonkeyPatch], None],
    words: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mutate(monkeypatch)
    assert first_seed(range(SEEDS), words, parts, "portal") is not None
