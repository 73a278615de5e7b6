"""Whatever a CRM answers, and whatever an adapter makes of it, ends as a CrmError."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from crm_sync.crm.base import ContactWrite, Crm, CrmError, CrmUnavailable, GateFailed, Kept
from crm_sync.crm.http import Gate
from crm_sync.model import Note, Task

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


class GuardedCrm:
    """A CRM whose answers can end nothing but its own account's work.

    Every exception of `crm` that is no CrmError becomes CrmUnavailable; its text has the method
    and the exception's type, as the exception's own words may hold what was in the answer. So
    does an answer to `upsert` or `read` of the wrong shape. What a gate raises stays as it is.
    """

    def __init__(self, crm: Crm) -> None:
        self._crm = crm
        self.name = crm.name

    @property
    def both_ways(self) -> Mapping[str, str]:
        with _guard("both_ways"):
            return self._crm.both_ways

    async def upsert(self, writes: Sequence[ContactWrite]) -> list[str | CrmError]:
        try:
            with _guard("upsert"):
                answers = await self._crm.upsert(writes)
                if len(answers) != len(writes):
                    raise CrmUnavailable("upsert: not an answer for each write")
                return answers
        except CrmError as error:
            return [error] * len(writes)

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
                raise CrmUnavailable("read: a contact that is no object")
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
        yield
    except CrmError:
        raise
    except GateFailed as failed:
        raise failed.error from None
    except Exception as error:
        reason = type(error).__name__
        last = traceback.extract_tb(error.__traceback__)[-1]
        at = f"{Path(last.filename).name}:{last.lineno}"
        log.error("an answer of a CRM cannot be read", method=method, reason=reason, at=at)
        raise CrmUnavailable(f"{method}: {reason}") from error
