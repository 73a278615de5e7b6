"""One seed, and what is wrong with it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from random import Random

from .checks import check
from .living import World
from .loop import Loop
from .sequencer import Parts
from .sequences import Features
from .undisturbed import rows_of


def simulate(
    seed: int, parts: Parts | None = None, *, trace: bool = False, kind: type[World] = World
) -> list[str]:
    """Run a seed; everything that is wrong with it, and before that its trace if asked for."""
    world = kind(seed, parts or Parts(), tracing=trace)
    with asyncio.Runner(loop_factory=Loop) as runner:
        outcome = runner.run(world.run())
        wanted = runner.run(rows_of(outcome))
    found = outcome.rows()
    wrong = check(outcome) + world.elsewhere()
    wrong += [
        f"ROW of {key.decode()[:8]} is not that of an undisturbed run"
        for key in sorted(wanted.keys() | found.keys())
        if wanted.get(key) != found.get(key)
    ]
    return [*world.durable.trace, *wrong]


def first_seed(
    seeds: Iterable[int], words: tuple[str, ...], parts: Parts, takes_part: str = ""
) -> int | None:
    """The first seed in which something is wrong that begins with one of these words; of those
    that try out a feature, if one is named."""
    for seed in seeds:
        if takes_part and not getattr(Features.drawn(Random(seed)), takes_part):
            continue
        wrong = [each for each in simulate(seed, parts) if each.startswith(words)]
        if wrong:
            print(f"found at seed {seed}: {wrong[0]}")
            return seed
    return None
