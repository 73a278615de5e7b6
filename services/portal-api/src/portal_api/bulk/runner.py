"""Sends the commands of bulk jobs and collects the answers, in any process, as often as it takes.

A batch of commands goes out while its job is locked: first the log has them, then the items say
so. Whoever dies in between sends the same commands again, with the same ids and times, and the
sequencer takes each once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from leadflow import topics
from leadflow.errors import is_retryable, public_reason
from portal_api.bulk.decide import pace
from portal_api.bulk.decide.commands import command
from portal_api.bulk.model import Job
from portal_api.context import Context
from portal_api.store import answers
from portal_api.store import bulk as store

log = structlog.get_logger()

BATCH = 500
IDLE_SECONDS = 5.0
# Answers arrive in bursts; to look for them more often than so helps nobody.
PAUSE_SECONDS = 0.5
# While there is more to send, what was answered is looked at now and then only.
LOOK_SECONDS = 2.0
PREVIEW_KEPT = timedelta(days=1)


class BulkRunner:
    """Runs the bulk jobs of all tenants, a batch of each in turn."""

    jobs = store
    answers = answers  # to the commands, in the read models

    def __init__(self, context: Context, batch: int = BATCH) -> None:
        self._context = context
        self._batch = batch
        self._looked: dict[str, float] = {}  # at which answers, monotonic seconds

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`. What fails is tried again: all of it is in the database."""
        tidied: datetime | None = None
        while not stop.is_set():
            wait = PAUSE_SECONDS
            try:
                now = self._context.clock.now()
                if tidied is None or now - tidied > timedelta(hours=1):
                    async with self._context.engine.begin() as connection:
                        await store.forget_previews(connection, now - PREVIEW_KEPT)
                    tidied = now
                self._context.bulk_waits.clear()
                async with self._context.engine.connect() as connection:
                    jobs = await store.open_jobs(connection)
                if not jobs:
                    wait = IDLE_SECONDS
                    self._looked.clear()
                # What was sent in full waits for answers; the rest need not wait for us.
                elif any([await self.advance(bulk_id) for bulk_id in jobs]):
                    wait = 0
            except Exception as error:
                if not isinstance(error, DBAPIError) and not is_retryable(error):
                    raise
                log.warning("bulk jobs wait", reason=public_reason(error))
                wait = IDLE_SECONDS
            if wait:
                await self._rest(stop, wait)

    async def advance(self, bulk_id: str) -> bool:
        """Send a batch of a job and look for answers; whether there is more to send."""
        context = self._context
        async with context.engine.begin() as connection:
            row = await self.jobs.lock(connection, bulk_id)
            if row is None:
                return False
            job = job_of(row)
            sent = []
            if row["state"] == "running":
                sent = await self._next(connection, row)
                await context.publish(
                    topics.ENROLLMENT_COMMANDS,
                    [
                        (
                            each["lead_id"],
                            command(job, each["lead_id"], each["enrollment_id"], each["owner"]),
                        )
                        for each in sent
                    ],
                )
                await self.jobs.requested(connection, bulk_id, [each["position"] for each in sent])
            more = len(sent) >= self._batch
            if job.started_at is not None and self._looks(bulk_id, more):
                await self.answers.collect(connection, bulk_id, job.action, job.started_at)
            if not more:
                await self.jobs.finish(connection, bulk_id, context.clock.now())
        return more

    async def _next(
        self, connection: AsyncConnection, row: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """The items that are sent now. A resume lets go what is overdue at its rate, the longest
        waiting first, and what is not overdue at once."""
        bulk_id, rate, now = row["bulk_id"], row["rate_per_minute"], self._context.clock.now()
        if rate is None:
            return await self.jobs.waiting(connection, bulk_id, self._batch)
        sent = await self.jobs.not_overdue(connection, bulk_id, now, self._batch)
        unanswered = await self.jobs.unanswered(connection, bulk_id, row["started_at"])
        number, used_until = pace.allowed(
            rate, row["paced_at"] or row["started_at"], now, unanswered
        )
        if number:
            sent += await self.jobs.overdue(connection, bulk_id, now, number)
            await self.jobs.paced(connection, bulk_id, used_until)
        return sent

    def _looks(self, bulk_id: str, more: bool) -> bool:
        """Whether it is time to look for answers to this job."""
        now = self._context.clock.monotonic()
        if more and now - self._looked.setdefault(bulk_id, now) < LOOK_SECONDS:
            return False
        self._looked[bulk_id] = now
        return True

    async def _rest(self, stop: asyncio.Event, seconds: float) -> None:
        """Until something is started, the process stops, or the time is over."""
        waits = [asyncio.ensure_future(each.wait()) for each in (stop, self._context.bulk_waits)]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
                with suppress(asyncio.CancelledError):
                    await each


def job_of(row: dict[str, object]) -> Job:
    """A row of bulk_jobs as the pure part knows it."""
    return Job(**{name: row[name] for name in Job.__dataclass_fields__})  # type: ignore[arg-type]
