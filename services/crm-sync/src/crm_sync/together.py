"""Calls that are made at once, and come to their end before an error of one counts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import TypeVar

from crm_sync.crm.base import CrmError, GateFailed

T = TypeVar("T")


async def together(calls: Iterable[Awaitable[T]]) -> list[T]:
    """What each of `calls` gave, in their order.

    All of them come to their end before an error is raised, and before a cancellation goes
    through: whoever repeats the work must not have earlier calls go on beside it. Of several errors
    one of our own side is raised before a CrmError, as it says more than about one call.
    """
    # Errors that are answers, such as those of `Crm.upsert`, are told from what was raised.
    tasks = [asyncio.ensure_future(call) for call in calls]
    await asyncio.gather(*tasks, return_exceptions=True)
    errors = [error for task in tasks if (error := _error_of(task)) is not None]
    if errors:
        raise min(errors, key=_rank)
    return [task.result() for task in tasks]


def _error_of(task: asyncio.Future[T]) -> BaseException | None:
    return asyncio.CancelledError() if task.cancelled() else task.exception()


def _rank(error: BaseException) -> int:
    if isinstance(error, CrmError):
        return 3
    if isinstance(error, GateFailed):
        return 1
    return 2 if isinstance(error, Exception) else 0
