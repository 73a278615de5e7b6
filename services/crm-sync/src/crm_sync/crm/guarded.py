"""Whatever a CRM answers, and whatever an adapter makes of it, ends as a CrmError."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from crm_sync.crm.base import ContactWrite, Crm, CrmError, CrmOdd, GateFailed, Kept
from crm_sync.crm.http import Gate
from crm_sync.model import Note, Task
from crm_sync.together import together

log = structlog.get_logger()


def guarded(gate: Gate) -> Gate:
    """`gate`, so that `GuardedCrm` can tell its errors from those of an adapter."""

    async def asked() -> None:
        try:
            await gate()
        except CrmError:
            raise
        except Exception as error:
            raise GateFailed(error) from error

    return asked


@contextmanager
def reading(method: str) -> Iterator[None]:
    """Whatever is raised inside by an answer that is not what it should be becomes CrmOdd.

    Its text has the method and the exception's type, as the exception's own words may hold what
    was in the answer. What a gate raises stays as it is.
    """
    try:
        yield
    except (CrmError, GateFailed):
        raise
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        at = f"{Path(last.filename).name}:{last.lineno}"
        raise CrmOdd(f"{method}: {type(error).__name__}", at) from error


async def answers(calls: Iterable[Awaitable[str | CrmError]]) -> list[str | CrmError]:
    """What each write came to, made at once: one's odd answer is no trouble of the others."""

    async def answer(call: Awaitable[str | CrmError]) -> str | CrmError:
        try:
            with reading("upsert"):
                return await call
        except CrmError as error:
            return error

    return await together(map(answer, calls))


async def answers_in_batches(
    writes: Sequence[ContactWrite],
    size: int,
    upsert: Callable[[Sequence[ContactWrite]], Awaitable[list[str | CrmError]]],
) -> list[str | CrmError]:
    """What `writes` came to, made so many a call: one batch's odd answer is no trouble of the
    others."""

    async def batch(writes: Sequence[ContactWrite]) -> list[str | CrmError]:
        try:
            with reading("upsert"):
                found = await upsert(writes)
                if len(found) != len(writes):
                    raise CrmOdd("upsert: not an answer for each write")
                return found
        except CrmError as error:
            return [error] * len(writes)

    found = await together(
        batch(writes[start : start + size]) for start in range(0, len(writes), size)
    )
    return [answer for batch in found for answer in batch]


class GuardedCrm:
    """A CRM whose answers can end nothing but its own account's work.

    Every exception of `crm` that is no CrmError becomes CrmOdd (see `reading`). So does an answer
    to `upsert` or `read` of the wrong shape. What a gate raises stays as it is.
    """

    def __init__(self, crm: Crm) -> None:
        self._crm = crm
        self.name = crm.name

    @property
    def both_ways(self) -> Mapping[str, str]:
        with _guard("both_ways"):
            return self._crm.both_ways

    async def upsert(self, writes: Sequence[ContactWrite]) -> list[str | CrmError]:
        with _guard("upsert"):
            found = await answers_in_batches(writes, max(1, len(writes)), self._crm.upsert)
        if odd := [each for each in found if isinstance(each, CrmOdd)]:
            _tell(odd[0], "upsert", len(odd))
        return found

    async def add_note(self, external_id: str, note: Note) -> None:
        with _guard("add_note"):
            await self._crm.add_note(external_id, note)

    async def add_task(self, external_id: str, task: Task) -> None:
        with _guard("add_task"):
            await self._crm.add_task(external_id, task)

    async def read(self, external_ids: Sequence[str]) -> dict[str, Kept]:
        with _guard("read"):
            found = await self._crm.read(external_ids)
            if not all(isinstance(kept, Mapping) for kept in found.values()):
                raise CrmOdd("read: a contact that is no object")
            return found

    async def whose(self, kind: str, crm_ids: Sequence[str]) -> dict[str, str]:
        with _guard("whose"):
            return await self._crm.whose(kind, crm_ids)

    def place(self, kind: str, name: str) -> str:
        with _guard("place"):
            return self._crm.place(kind, name)

    def told(self, kept: Kept, place: str) -> tuple[str, ...]:
        with _guard("told"):
            return self._crm.told(kept, place)

    def kept(self, fields: Mapping[str, Any]) -> Kept:
        with _guard("kept"):
            return self._crm.kept(fields)

    async def canary(self) -> None:
        with _guard("canary"):
            await self._crm.canary()

    async def prepare(self) -> None:
        with _guard("prepare"):
            await self._crm.prepare()

    async def close(self) -> None:
        with _guard("close"):
            await self._crm.close()


@contextmanager
def _guard(method: str) -> Iterator[None]:
    try:
        with reading(method):
            yield
    except CrmOdd as odd:
        _tell(odd, method, 1)
        raise
    except GateFailed as failed:
        raise failed.error from None


def _tell(odd: CrmOdd, method: str, answers: int) -> None:
    log.error(
        "an answer of a CRM cannot be read",
        method=method,
        reason=str(odd),
        at=odd.at,
        answers=answers,
    )
