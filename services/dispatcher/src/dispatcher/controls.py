"""What is paused, held whole by every worker, from the compacted topic automation-controls."""

from __future__ import annotations

import structlog

from dispatcher.model import Paused
from leadflow.codec import Codec
from leadflow.errors import CodecError
from leadflow.pacing import DEFAULT_PER_MINUTE, rate_per_minute
from leadflow.records import AutomationResumed

log = structlog.get_logger()


class Controls:
    """Follows pauses; `apply` may be called from another thread than `paused`."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._paused = Paused()

    @property
    def paused(self) -> Paused:
        return self._paused

    def apply(self, key: bytes, value: bytes | None) -> None:
        """The key is the scope; a value that cannot be read pauses it, to be on the safe side."""
        scope = key.decode("utf-8", "replace")
        rate = self._resumed_at(scope, value)
        before = self._paused
        # A new value instead of a changed one: a reader sees all of it or nothing.
        if rate is None:
            self._paused = Paused(before.scopes | {scope}, before.rates)
        else:
            self._paused = Paused(before.scopes - {scope}, {**before.rates, scope: rate})

    def _resumed_at(self, scope: str, value: bytes | None) -> int | None:
        """The rate of a resume, messages a minute; None for a pause."""
        if value is None:
            return DEFAULT_PER_MINUTE
        try:
            control = self._codec.decode(value)
        except CodecError as error:
            log.error(
                "a control cannot be read: its scope is paused", scope=scope, reason=str(error)
            )
            return None
        return rate_per_minute(control) if isinstance(control, AutomationResumed) else None
