"""What is paused, held whole by every worker, from the compacted topic automation-controls."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import structlog

from dispatcher.model import Paused
from leadflow.codec import Codec
from leadflow.errors import CodecError, public_reason
from leadflow.pacing import DEFAULT_PER_MINUTE, rate_per_minute
from leadflow.records import AutomationPaused, AutomationResumed
from leadflow.records.base import Record

log = structlog.get_logger()

# Who opens and closes breakers by their rule.
BREAKER = "rule:breaker"


class Controls:
    """Follows pauses; `apply` may be called from another thread than `paused`."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._paused = Paused()
        self._words: Mapping[str, datetime] = {}

    @property
    def paused(self) -> Paused:
        return self._paused

    def apply(self, key: bytes, value: bytes | None) -> None:
        """The key is the scope; a value that cannot be read pauses it, to be on the safe side."""
        scope = key.decode("utf-8", "replace")
        control = self._read(scope, value)
        if _is_breakers(control):
            # Ours, for people to see: the breaker itself lets nothing through but its probes, and
            # what a person paused stays paused until a person says otherwise.
            return
        if isinstance(control, AutomationResumed):
            self._words = {**self._words, scope: control.occurred_at}
        rate = self._rate(value, control)
        before = self._paused
        # A new value instead of a changed one: a reader sees all of it or nothing.
        if rate is None:
            self._paused = Paused(before.scopes | {scope}, before.rates)
        else:
            self._paused = Paused(before.scopes - {scope}, {**before.rates, scope: rate})

    @property
    def words(self) -> Mapping[str, datetime]:
        """When a person last said of a scope that it goes on."""
        return self._words

    def _read(self, scope: str, value: bytes | None) -> Record | None:
        try:
            return None if value is None else self._codec.decode(value)
        except CodecError as error:
            log.error(
                "a control cannot be read: its scope is paused",
                scope=scope,
                reason=public_reason(error),
            )
            return None

    def _rate(self, value: bytes | None, control: Record | None) -> int | None:
        """The rate of a resume, messages a minute; None for a pause."""
        if value is None:
            return DEFAULT_PER_MINUTE
        return rate_per_minute(control) if isinstance(control, AutomationResumed) else None


def _is_breakers(control: Record | None) -> bool:
    match control:
        case AutomationPaused():
            return control.paused_by == BREAKER
        case AutomationResumed():
            return control.resumed_by == BREAKER
    return False
