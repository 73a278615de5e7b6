"""What can disagree between the log, the ledger, its chain and the provider."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The value is how a disagreement is counted and named in --json."""

    TOPIC_NOT_IN_LEDGER = "topic_not_in_ledger"
    UNREADABLE_NOT_DEAD = "unreadable_not_dead"
    TOPIC_DIFFERS = "topic_differs"
    LEDGER_NOT_IN_TOPIC = "ledger_not_in_topic"
    END_WITHOUT_EVENT = "end_without_event"
    EVENT_WITHOUT_END = "event_without_end"
    EVENT_DIFFERS = "event_differs"
    ACCEPTED_NOT_SENT = "accepted_not_sent"
    SENT_NOT_ACCEPTED = "sent_not_accepted"
    ACCEPTED_TWICE = "accepted_twice"
    ACCEPTED_WITHOUT_KEY = "accepted_without_key"
    ACCEPTED_NEVER_QUEUED = "accepted_never_queued"
    ACCEPTED_OTHER_BYTES = "accepted_other_bytes"
    PAYLOAD_CHANGED = "payload_changed"
    LEDGER_ROW_CHANGED = "ledger_row_changed"
    LEDGER_ROW_REMOVED = "ledger_row_removed"
    NOT_IN_CHAIN = "not_in_chain"
    CHAIN_ROW_CHANGED = "chain_row_changed"
    CHAIN_ROW_REMOVED = "chain_row_removed"
    CHAIN_GAP = "chain_gap"
    CHAIN_BROKEN = "chain_broken"
    CHAIN_CUT = "chain_cut"
    CHAIN_HEAD_CHANGED = "chain_head_changed"
    CHAIN_REWRITTEN = "chain_rewritten"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """`detail` says what is told where; it holds ids, hashes and states, never a person."""

    kind: Kind
    tenant_id: str | None
    message_id: str | None
    detail: str

    def __str__(self) -> str:
        about = " ".join(each for each in (self.tenant_id, self.message_id) if each)
        return f"{self.kind}: {about}: {self.detail}" if about else f"{self.kind}: {self.detail}"
