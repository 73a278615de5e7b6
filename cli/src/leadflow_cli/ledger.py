"""Whether every message came to exactly one end, and the provider agrees. Pure.

What was queued (topic messages), what became of it (message-events) and what the sandbox
accepted are three independent accounts of the same sends.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from leadflow import records
from leadflow.records import Record

# A message comes to one of these ends; MessageUnknown waits for a person, but is an answer.
FINAL = {
    records.MessageSent: "sent",
    records.MessageRecorded: "recorded",
    records.MessageFailed: "failed",
    records.MessageSuppressed: "suppressed",
    records.MessageUnknown: "unknown",
}
# An unknown one may be found out later, and a failed one may have been held before.
_REVISABLE = "unknown"


@dataclass(frozen=True, slots=True)
class Acceptance:
    """One entry of the sandbox's /accepted: a send that the provider said yes to."""

    channel: str
    key: str | None
    provider_id: str

    @classmethod
    def from_json(cls, item: dict[str, Any]) -> Acceptance:
        return cls(item["channel"], item["key"], item["id"])


class Ledger:
    """Told the records of messages and message-events in any order, repeats included."""

    def __init__(self) -> None:
        self.queued: dict[str, str] = {}  # channel by message id
        self._ends: dict[str, set[str]] = defaultdict(set)
        self._provider_ids: dict[str, set[str | None]] = defaultdict(set)
        self._held: dict[str, str] = {}  # rule by message id

    def apply(self, record: Record) -> None:
        """Records of other types are passed over."""
        if isinstance(record, records.MessageQueued):
            self.queued[record.message_id] = record.channel
        elif isinstance(record, records.MessageHeld):
            self._held[record.message_id] = record.rule
        elif (end := FINAL.get(type(record))) is not None:
            message_id: str = record.message_id  # type: ignore[attr-defined]
            self._ends[message_id].add(end)
            if isinstance(record, records.MessageSent):
                self._provider_ids[message_id].add(record.provider_id)

    def waiting(self) -> list[str]:
        """Ids of messages that came to no end yet and are not held."""
        return [each for each in self.queued if not self._ends[each] and each not in self._held]

    def held(self) -> dict[str, str]:
        """The rule by the id of a message that waits for a person or a release."""
        return {each: rule for each, rule in self._held.items() if not self._ends[each]}

    def counts(self) -> dict[str, int]:
        """How many messages were queued, came to each end, are held and wait."""
        ends = Counter(end for each in self._ends.values() for end in each)
        return {
            "queued": len(self.queued),
            **{end: ends[end] for end in FINAL.values()},
            "held": len(self.held()),
            "waiting": len(self.waiting()),
        }

    def disagreements(
        self, accepted_before: Iterable[Acceptance], accepted_after: Iterable[Acceptance]
    ) -> list[str]:
        """A sentence for each thing that the three accounts do not agree on, best read sorted.

        `accepted_before` was asked for before the topics were read and `accepted_after` after
        it, so that what is under way meanwhile is not taken for a disagreement.
        """
        found: list[str] = []
        times = Counter(each.key for each in accepted_after if each.key is not None)
        before = {each.key: each for each in accepted_before}
        for message_id in sorted(self._ends.keys() | self.queued.keys()):
            ends = self._ends[message_id]
            if message_id not in self.queued:
                found.append(f"{message_id} is {_either(ends)}, but was never queued")
            if len(ends - {_REVISABLE}) > 1:
                found.append(f"{message_id} came to more than one end: {_either(ends)}")
            if len(self._provider_ids[message_id]) > 1:
                found.append(f"{message_id} was sent under more than one provider id")
            if "sent" in ends and times[message_id] != 1:
                found.append(f"{message_id} is sent, and was accepted {times[message_id]} times")
            if times[message_id] > 1 and "sent" not in ends:
                found.append(f"{message_id} was accepted {times[message_id]} times")
            if message_id in before and not ends & {"sent", _REVISABLE}:
                found.append(f"{message_id} was accepted, and is {_either(ends) or 'not recorded'}")
        for key, acceptance in sorted(before.items(), key=lambda item: str(item[0])):
            if key is None:
                found.append(f"{acceptance.provider_id} was accepted without a key")
            elif key not in self.queued and key not in self._ends:
                found.append(f"{key} was accepted, and was never queued")
        return found


def _either(ends: set[str]) -> str:
    return " and ".join(sorted(ends))
