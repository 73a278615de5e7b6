"""What the runner of bulk jobs lives through."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from portal_api.bulk.runner import BulkRunner


def runner_of(error: Exception, stop: asyncio.Event) -> BulkRunner:
    """One whose database answers everything with this error, until the process stops."""

    def refuse() -> Any:
        stop.set()
        raise error

    context: Any = SimpleNamespace(
        clock=SimpleNamespace(now=lambda: datetime(2026, 11, 21, tzinfo=UTC)),
        engine=SimpleNamespace(begin=refuse, connect=refuse),
        bulk_waits=asyncio.Event(),
    )
    return BulkRunner(context)


async def test_requests_that_use_up_the_pool_do_not_end_the_portal() -> None:
    stop = asyncio.Event()
    await runner_of(NoConnectionFree("none came free", code="3o7r"), stop).run(stop)


async def test_a_mistake_of_ours_is_not_tried_for_ever() -> None:
    stop = asyncio.Event()
    with pytest.raises(KeyError):
        await runner_of(KeyError("ours"), stop).run(stop)
