"""crm-sync on its own, over what a seed has left in the log: faults first, then calm.

Most seeds have no time for it while everybody else is at work; its order is asked of all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from .crm import CrmSync, FakeCrm
from .durable import Durable

STEPS = 60
MOST_CRASHES = 2
JUMPS = (1, 40, 400, 4000)


async def keep_the_crm(
    durable: Durable,
    crm: FakeCrm,
    begin: Callable[[], CrmSync],
    settle: Callable[[], Awaitable[None]],
) -> None:
    """Until the CRM has everything. `settle` lets everybody go on who can."""
    rng, crashes = durable.rng, 0
    crm.faulty = True
    worker = begin()

    def read() -> bool:
        ends = [(each, number) for each in worker.readers for number in each.readable()]
        if ends:
            reader, number = rng.choice(ends)
            reader.read(number)
        return bool(ends)

    async def release_all() -> None:
        await settle()
        while durable.waiting:
            durable.release(durable.waiting[0])
            await settle()

    for _ in range(STEPS):
        chance = rng.random()
        if chance < 0.5 and durable.waiting:
            durable.release(rng.choice(durable.waiting))
        elif chance < 0.85:
            read()
        elif chance < 0.9:
            durable.clock.advance(rng.choice(JUMPS))
        elif chance < 0.95:
            crm.carry_out_late_ones(0.3)
        elif crashes < MOST_CRASHES:
            crashes += 1
            await durable.crash(worker.process)
            worker = begin()
        await settle()
        if worker.process.failed:
            await durable.crash(worker.process)
            worker = begin()
    crm.faulty = False
    crm.carry_out_late_ones(1.0)
    await release_all()
    while True:
        while read():
            await release_all()
        if worker.process.failed:
            await durable.crash(worker.process)
            worker = begin()
        elif times := [at for each in worker.readers for at in each.waits_until()]:
            durable.clock.time = max(durable.clock.time, min(times)) + timedelta(milliseconds=1)
        else:
            break
    await durable.crash(worker.process)
