"""What is paused, and how fast what was paused goes on, as `automation-controls` has it."""

from __future__ import annotations

import structlog

from leadflow.codec import Codec
from leadflow.errors import CodecError, public_reason
from leadflow.pacing import DEFAULT_PER_MINUTE, rate_per_minute
from leadflow.records import AutomationResumed, Record

log = structlog.get_logger()


class AutomationPauses:
    """Scopes that are paused: everything, tenant:T, channel:T:C, sequence:T:ID.

    Fed by the thread that follows the topic, read by the event loop: what is read is replaced,
    never changed. `changes` counts what was applied, so that whoever waits for a resume knows
    when to ask again.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._paused: frozenset[str] = frozenset()
        self._rates: dict[str, int] = {}
        self._words: dict[str, str] = {}
        self.changes = 0

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Take over one record of the topic; its key is the scope. A control that cannot be
        read pauses its scope: to wait is the mistake that can be undone."""
        scope = key.decode(errors="replace")
        control = self._read(value)
        self._words = {**self._words, scope: "" if control is None else control.event_id}
        rate = _resumed_at(control) if value is not None else DEFAULT_PER_MINUTE
        if rate is None:
            self._paused = self._paused | {scope}
        else:
            self._rates = {**self._rates, scope: rate}
            self._paused = self._paused - {scope}
        self.changes += 1

    def is_paused(self, scope: str) -> bool:
        """Whether exactly this scope is paused, whatever else covers it."""
        return scope in self._paused

    def rate(self, scope: str) -> int:
        """How many leads a minute go on in a scope that is not paused, over all workers."""
        return self._rates.get(scope, DEFAULT_PER_MINUTE)

    def last_word(self, scope: str) -> str:
        """The event id of the control that spoke of a scope last, empty if none did."""
        return self._words.get(scope, "")

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

    def _read(self, value: bytes | None) -> Record | None:
        """The control; None where there is none, or none that can be read."""
        if value is None:
            return None
        try:
            return self._codec.decode(value)
        except CodecError as error:
            log.error("automation control not readable: paused", reason=public_reason(error))
            return None


def _resumed_at(control: Record | None) -> int | None:
    """The rate of a resume; None for a pause."""
    return rate_per_minute(control) if isinstance(control, AutomationResumed) else None
