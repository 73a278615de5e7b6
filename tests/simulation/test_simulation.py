"""The whole pipeline in one process under faults: nothing lost, doubled, early or after a stop.

One integer decides everything that happens. `LEADFLOW_SIM_SEEDS=N` runs N seeds instead of
those of every test run, `LEADFLOW_SIM_SEED=n` one alone, with everything that happened in it.
"""

from __future__ import annotations

import os

import pytest

from .world.run import simulate

SEEDS = int(os.environ.get("LEADFLOW_SIM_SEEDS", "2000"))
ONE = os.environ.get("LEADFLOW_SIM_SEED")
CHUNKS = 8
REPLAY = "LEADFLOW_SIM_SEED={} python -m pytest -s tests/simulation/test_simulation.py"


@pytest.mark.parametrize("chunk", range(1 if ONE else CHUNKS))
def test_no_fault_loses_doubles_hastens_or_revives_a_message(chunk: int) -> None:
    if ONE:
        told = simulate(int(ONE), trace=True)
        print(f"\nseed {ONE}:", *told, sep="\n")
        seeds = [int(ONE)]
    else:
        seeds = list(range(chunk, SEEDS, CHUNKS))
    for seed in seeds:
        wrong = simulate(seed)
        assert not wrong, f"seed {seed}: {wrong}\nreplay: {REPLAY.format(seed)}"


def test_a_seed_replays_exactly() -> None:
    for seed in range(20):
        assert simulate(seed, trace=True) == simulate(seed, trace=True)
