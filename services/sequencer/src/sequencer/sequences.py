"""The published sequences, as `sequence-definitions` has them."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from leadflow.codec import Codec
from leadflow.errors import CodecError, public_reason
from leadflow.records import SequencePublished

log = structlog.get_logger()

TriggerKey = tuple[str, str, str]


class PublishedSequences:
    """Fed by the thread that follows the topic, read by the event loop.

    What is looked up is built anew at the first question after a change, and put in place in
    one assignment: a reader sees all of a change or nothing of it.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._all: dict[bytes, SequencePublished] = {}
        self._built: _Lookup | None = _Lookup({})
        self.changes = 0

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Take over one record of the topic. One that cannot be read is as good as missing:
        enrollments in that version are held, the others go on."""
        if value is None:
            self._all.pop(key, None)
        else:
            try:
                record = self._codec.decode(value)
            except CodecError as error:
                log.error("sequence definition not readable", reason=public_reason(error))
                return
            if not isinstance(record, SequencePublished):
                log.error("not a sequence definition", record_type=record.TYPE)
                return
            self._all[key] = record
        self._built = None
        self.changes += 1

    def get(self, sequence_id: str, version: int) -> SequencePublished | None:
        return self._lookup().versions.get((sequence_id, version))

    def active(self, sequence_id: str) -> SequencePublished | None:
        return self._lookup().active.get(sequence_id)

    def triggered(self, tenant_id: str, kind: str, value: str) -> Sequence[SequencePublished]:
        return self._lookup().triggered.get((tenant_id, kind, value), ())

    def _lookup(self) -> _Lookup:
        built = self._built
        if built is None:
            changes = self.changes
            built = _Lookup(dict(self._all))
            if changes == self.changes:
                self._built = built
        return built


class _Lookup:
    """The three questions, answered ahead."""

    def __init__(self, definitions: dict[bytes, SequencePublished]) -> None:
        self.versions = {(each.sequence_id, each.version): each for each in definitions.values()}
        # The newest version that is no draft has the word: archived, it takes nobody in, even
        # though an older version was active.
        newest: dict[str, SequencePublished] = {}
        for each in definitions.values():
            best = newest.get(each.sequence_id)
            if each.status != "draft" and (best is None or each.version > best.version):
                newest[each.sequence_id] = each
        self.active = {name: each for name, each in newest.items() if each.status == "active"}
        triggered: dict[TriggerKey, list[SequencePublished]] = {}
        for each in self.active.values():
            # Silence is looked at for all of a tenant's sequences at once, whatever their days.
            value = "" if each.trigger.kind == "dormant" else each.trigger.value
            key = (each.tenant_id, each.trigger.kind, value)
            triggered.setdefault(key, []).append(each)
        self.triggered: dict[TriggerKey, tuple[SequencePublished, ...]] = {
            key: tuple(sorted(found, key=lambda each: (-each.priority, each.sequence_id)))
            for key, found in triggered.items()
        }
