"""One walk over the chains, tenant by tenant and row by row. Pure.

A row's hash is SHA-256 over the previous row's hash and a JSON text of what the row says, as
docs/adr/0019-the-ledger-is-chained.md writes it down. It is computed here anew, not asked of the
database.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from leadflow_cli.verify.kinds import Disagreement, Kind


@dataclass(frozen=True, slots=True)
class Link:
    """A row of the chain. `at_us`: microseconds since 1970. The first row's `previous` is empty.

    Whose the message was is said from format 2 on; `to_sha256` is the hash of where it went.
    """

    tenant_id: str
    seq: int
    message_id: str
    state: str
    rule: str | None
    body_sha256: str | None
    provider: str | None
    provider_id: str | None
    response_sha256: str | None
    at_us: int
    previous: bytes
    hash: bytes
    format: int = 1
    lead_id: str | None = None
    channel: str | None = None
    to_sha256: str | None = None

    def computed(self) -> bytes:
        """The hash that follows from what the row says."""
        said: list[str | int | None] = [
            self.tenant_id,
            self.seq,
            self.message_id,
            self.state,
            self.rule,
            self.body_sha256,
            self.provider,
            self.provider_id,
            self.response_sha256,
            self.at_us,
        ]
        if self.format > 1:
            said = [self.format, *said, self.lead_id, self.channel, self.to_sha256]
        return hashlib.sha256(
            self.previous + json.dumps(said, ensure_ascii=False).encode()
        ).digest()


@dataclass(frozen=True, slots=True)
class Head:
    """How far a tenant's chain goes: the number and the hash of its last row."""

    seq: int
    hash: bytes


class ChainWalk:
    """Told every row, ordered by tenant and number, then asked for the ends.

    `kept`: heads that were written down at an earlier time, somewhere else.
    """

    def __init__(self, heads: Mapping[str, Head], kept: Mapping[str, Head] | None = None) -> None:
        self._heads = dict(heads)
        self._kept = dict(kept or {})
        self._last: Link | None = None

    def step(self, link: Link) -> Iterator[Disagreement]:
        """What is wrong with the next row."""
        last = self._last
        if last is not None and last.tenant_id != link.tenant_id:
            yield from self._ended(last)
            last = None
        self._last = link
        if link.computed() != link.hash:
            yield self._at(link, Kind.CHAIN_ROW_CHANGED, "does not have the hash of what it says")
        elif last is not None and link.format < last.format:
            yield self._at(link, Kind.CHAIN_ROW_CHANGED, "says less than the row before it")
        expected_seq, previous = (1, b"") if last is None else (last.seq + 1, last.hash)
        follows = link.previous == previous
        if link.seq > expected_seq:
            missing = f"{expected_seq} to {link.seq - 1}"
            if follows:
                yield self._at(
                    link, Kind.CHAIN_GAP, f"numbers {missing} are left out, though the hashes agree"
                )
            else:
                yield self._at(link, Kind.CHAIN_ROW_REMOVED, f"rows {missing} are gone before it")
        elif not follows:
            yield self._at(
                link, Kind.CHAIN_BROKEN, "does not go on from the hash of the row before it"
            )
        kept = self._kept.get(link.tenant_id)
        if kept is not None and kept.seq == link.seq:
            del self._kept[link.tenant_id]
            if kept.hash != link.hash:
                yield self._at(
                    link, Kind.CHAIN_REWRITTEN, f"had the hash {kept.hash.hex()} when it was kept"
                )

    def end(self) -> Iterator[Disagreement]:
        """What is wrong with the ends of the chains, after the last row."""
        if self._last is not None:
            yield from self._ended(self._last)
            self._last = None
        for tenant_id, head in sorted(self._heads.items()):
            if head.seq:
                yield self._cut(tenant_id, 0, head.seq)
        for tenant_id, kept in sorted(self._kept.items()):
            yield Disagreement(
                Kind.CHAIN_REWRITTEN, tenant_id, None, f"row {kept.seq}, which was kept, is gone"
            )

    def _ended(self, last: Link) -> Iterator[Disagreement]:
        head = self._heads.pop(last.tenant_id, None)
        if head is None:
            yield self._at(last, Kind.CHAIN_HEAD_CHANGED, "is the last row, and there is no head")
        elif head.seq > last.seq:
            yield self._cut(last.tenant_id, last.seq, head.seq)
        elif head.seq < last.seq or head.hash != last.hash:
            yield self._at(
                last, Kind.CHAIN_HEAD_CHANGED, f"is the last row, and the head says row {head.seq}"
            )

    @staticmethod
    def _cut(tenant_id: str, last: int, head: int) -> Disagreement:
        ends = f"ends with row {last}" if last else "has no row"
        return Disagreement(
            Kind.CHAIN_CUT, tenant_id, None, f"the chain {ends}, and the head says row {head}"
        )

    @staticmethod
    def _at(link: Link, kind: Kind, detail: str) -> Disagreement:
        return Disagreement(kind, link.tenant_id, link.message_id, f"row {link.seq} {detail}")
