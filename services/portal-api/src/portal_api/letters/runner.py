"""Replays and discards dead letters, in any process, as often as it takes.

A batch goes out while its run is locked: first the log has the copies, then the reviews, then the
items say so. Whoever dies in between sends the same copies and reviews again: consumers take an
event once, and a review has the same id.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from leadflow import topics
from leadflow.errors import is_retryable, public_reason
from leadflow.kafka.port import Outgoing
from leadflow.kafka.replay import NotReplayable, copy_of, letter_of
from leadflow.kafka.reviews import OPEN, REPLAYED, Run, wanted
from portal_api.bulk.decide import pace
from portal_api.context import Context
from portal_api.store import letter_runs as store
from portal_api.store.dead_letters import id_of

log = structlog.get_logger()

BATCH = 500
IDLE_SECONDS = 5.0
PAUSE_SECONDS = 0.25
SOURCE = "portal-api"


class LetterRunner:
    """Carries on the runs of all tenants, a batch of each in turn."""

    def __init__(self, context: Context, batch: int = BATCH) -> None:
        self._context = context
        self._batch = batch

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`. What fails is tried again: all of it is in the database."""
        while not stop.is_set():
            wait = PAUSE_SECONDS
            try:
                self._context.letters_wait.clear()
                async with self._context.engine.connect() as connection:
                    open_runs = await store.open_runs(connection)
                if not open_runs:
                    wait = IDLE_SECONDS
                for run_id in open_runs:
                    await self.advance(run_id)
            except Exception as error:
                if not isinstance(error, DBAPIError) and not is_retryable(error):
                    raise
                log.warning("dead letters wait", reason=public_reason(error))
                wait = IDLE_SECONDS
            await self._rest(stop, wait)

    async def advance(self, run_id: str) -> None:
        """Do what the run's rate allows by now."""
        now = self._context.clock.now()
        async with self._context.engine.begin() as connection:
            row = await store.lock(connection, run_id)
            if row is None:
                return
            number = self._batch
            if row["rate_per_minute"] is not None:
                began = row["paced_at"] or row["created_at"]
                allowed, until = pace.allowed(row["rate_per_minute"], began, now, 0)
                if row["paced_at"] is None:
                    allowed, until = max(1, allowed), max(until, now)  # the first one is not late
                number = min(allowed, number)
                if number:
                    await store.paced(connection, run_id, until)
            if number:
                await self._do(connection, row, number, now)
            await store.finish(connection, run_id, now)

    async def _do(
        self, connection: AsyncConnection, row: dict[str, Any], number: int, now: datetime
    ) -> None:
        run = Run(
            run_id=row["run_id"],
            action=row["action"],
            chosen=row["chosen"],
            by=row["requested_by"],
            reason=row["reason"],
            source=SOURCE,
        )
        items = await store.waiting(connection, run.run_id, number)
        states: dict[str, list[int]] = {"done": [], "gone": [], "skipped": []}
        taken = []
        for item in items:
            if item["run_id"] == run.run_id:
                states["done"].append(item["position"])  # before we died
            elif not wanted(run.action, item["state"] or OPEN, again=row["again"]):
                states["skipped"].append(item["position"])
            else:
                taken.append(item)
        if run.action == REPLAYED:
            taken, gone = await self._send_copies(taken)
            states["gone"] += gone
        await self._context.publish(
            topics.DEAD_LETTER_REVIEWS,
            [
                (
                    id_of(item),
                    run.review(
                        letter_id=id_of(item),
                        tenant_id=item["tenant_id"] or "",
                        service=item["service"],
                        cause=item["cause"] or "",
                        at=now,
                    ),
                )
                for item in taken
            ],
        )
        states["done"] += [item["position"] for item in taken]
        await store.settle(connection, run.run_id, {k: v for k, v in states.items() if v})

    async def _send_copies(
        self, items: list[dict[str, Any]]
    ) -> tuple[list[dict[str, Any]], list[int]]:
        """Those that went back to their topics, and the positions of those that cannot."""
        found = await self._context.letters.read(
            [(item["topic"], item["partition"], item["offset"]) for item in items]
        )
        copies: list[Outgoing] = []
        sent, gone = [], []
        for item in items:
            message = found.get((item["topic"], item["partition"], item["offset"]))
            try:
                if message is None:
                    raise NotReplayable("the log does not keep it any more")
                copies.append(copy_of(letter_of(message)))
            except NotReplayable:
                gone.append(item["position"])
            else:
                sent.append(item)
        await self._context.producer.send(copies)
        return sent, gone

    async def _rest(self, stop: asyncio.Event, seconds: float) -> None:
        """Until a run is started, the process stops, or the time is over."""
        waits = [asyncio.ensure_future(each.wait()) for each in (stop, self._context.letters_wait)]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
                with suppress(asyncio.CancelledError):
                    await each
