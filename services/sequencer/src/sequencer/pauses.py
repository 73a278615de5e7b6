"""What is paused, as `automation-controls` has it."""

from __future__ import annotations

import structlog

from leadflow.codec import Codec
from leadflow.errors import CodecError
from leadflow.records import AutomationResumed

log = structlog.get_logger()


class AutomationPauses:
    """Scopes that are paused: everything, tenant:T, channel:T:C, sequence:T:ID.

    Fed by the thread that follows the topic, read by the event loop. `changes` counts what
    was applied, so that whoever waits for a resume knows when to ask again.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._paused: frozenset[str] = frozenset()
        self.changes = 0

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Take over one record of the topic; its key is the scope. A control that cannot be
        read pauses its scope: to wait is the mistake that can be undone."""
        scope = key.decode(errors="replace")
        resumed = value is None
        if value is not None:
            try:
                resumed = isinstance(self._codec.decode(value), AutomationResumed)
            except CodecError as error:
                log.error("automation control not readable: paused", reason=str(error))
        self._paused = self._paused - {scope} if resumed else self._paused | {scope}
        self.changes += 1

    def holding(self, tenant_id: str, sequence_id: str, channel: str) -> str | None:
        """The paused scope that covers such a step, or None. A sequence may be named with or
        without its tenant in front."""
        paused = self._paused
        if not paused:
            return None
        for scope in (
            "everything",
            f"tenant:{tenant_id}",
            f"channel:{tenant_id}:{channel}",
            f"sequence:{tenant_id}:{sequence_id}",
            f"sequence:{tenant_id}:{sequence_id.removeprefix(f'{tenant_id}.')}",
        ):
            if scope in paused:
                return scope
        return None
