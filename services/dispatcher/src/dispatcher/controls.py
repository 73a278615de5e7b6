"""What is paused, held whole by every worker, from the compacted topic automation-controls."""

from __future__ import annotations

import structlog

from dispatcher.model import Paused
from leadflow.codec import Codec
from leadflow.errors import CodecError
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
        if self._resumes(scope, value):
            scopes = self._paused.scopes - {scope}
        else:
            scopes = self._paused.scopes | {scope}
        # A new value instead of a changed one: a reader sees all of it or nothing.
        self._paused = Paused(scopes)

    def _resumes(self, scope: str, value: bytes | None) -> bool:
        if value is None:
            return True
        try:
            return isinstance(self._codec.decode(value), AutomationResumed)
        except CodecError as error:
            log.error(
                "a control cannot be read: its scope is paused", scope=scope, reason=str(error)
            )
            return False
