"""How a fault rule is carried out on a request, for HTTP and SMTP alike."""

from __future__ import annotations

import asyncio

from sandbox.errors import ConnectionDropped
from sandbox.fault_rules import RuleSpec
from sandbox.faults import refusal


class Injector:
    """Carries rules out; `stop` ends every stall at once, so that shutdown need not wait."""

    def __init__(self) -> None:
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        self._stopping.set()

    async def before(self, spec: RuleSpec | None) -> None:
        """What happens before the request is carried out: raise the refusal, or stall.

        Raises Injected, or ConnectionDropped where the process stops during the stall.
        """
        if spec is None:
            return
        refused = refusal(spec)
        if refused is not None:
            raise refused
        if spec.mode == "stall":
            await self._stall(spec.stall_seconds)

    def after(self, spec: RuleSpec | None) -> None:
        """What happens between carrying out and answering: raises ConnectionDropped or not."""
        if spec is not None and spec.mode == "drop_after_accept":
            raise ConnectionDropped

    async def _stall(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return
        raise ConnectionDropped
