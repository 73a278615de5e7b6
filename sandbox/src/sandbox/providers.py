"""What the providers accepted: an append-only list with an index by key.

The HTTP channels honour idempotency keys, scoped by channel, as Stripe and Resend do: the
same key and body is accepted once, the same key with another body is a conflict. SMTP
(RFC 5321) has no such thing: every message that is taken is an entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sandbox.errors import Full, KeyConflict, Malformed, Unknown
from sandbox.wire import JsonObject, canonical, sha256

HTTP_CHANNELS = ("email", "sms", "whatsapp", "voice")
SMTP = "smtp"
# Named after the provider whose API they follow; its own rules about keys are in its own file.
SHAPED_CHANNELS = ("resend", "twilio", "webhook")
CHANNELS = (*HTTP_CHANNELS, SMTP, *SHAPED_CHANNELS)


@dataclass(frozen=True, slots=True)
class Accepted:
    """One accepted send.

    `body` is the canonical JSON of the send, or for SMTP the message as it was received;
    `digest` is its SHA-256. `seq` counts from 1 in the order of acceptance.
    """

    seq: int
    channel: str
    key: str | None
    id: str
    to: str | list[str]
    subject: str | None
    body: bytes
    digest: bytes
    accepted_at: datetime


def recipients(send: JsonObject) -> list[str]:
    """Whom a send is addressed to: `to` is a string or a list of strings, never empty."""
    to = send.get("to")
    found: list[Any] = to if isinstance(to, list) else [to]
    if not found or not all(isinstance(each, str) and each.strip() for each in found):
        raise Malformed("`to` must be a recipient or a list of recipients")
    return found


class Providers:
    """The accepted sends of one run, at most `capacity` of them.

    `token` is put into every provider id, so that the ids of two runs differ.
    """

    def __init__(self, capacity: int, token: str) -> None:
        self._capacity = capacity
        self._token = token
        self._all: list[Accepted] = []
        self._by_channel: dict[str, list[Accepted]] = {channel: [] for channel in CHANNELS}
        self._by_id: dict[str, Accepted] = {}
        self._by_key: dict[str, list[Accepted]] = {}
        self._attempts: dict[str, dict[str, int]] = {channel: {} for channel in CHANNELS}
        self._keyed = 0

    def accept(
        self, channel: str, key: str | None, send: JsonObject, now: datetime
    ) -> tuple[Accepted, bool]:
        """Accept a send on an HTTP channel; returns the entry and whether it is a replay.

        Without a key every call is accepted. Raises Malformed without a recipient,
        KeyConflict for a used key with another body, Full past the capacity.
        """
        recipients(send)
        subject = send.get("subject")
        if subject is not None and not isinstance(subject, str):
            raise Malformed("`subject` must be a string")
        body = canonical(send)
        digest = sha256(body)
        if key is not None:
            self.count_attempt(channel, key)
            for earlier in self._by_key.get(key, ()):
                if earlier.channel != channel:
                    continue
                if earlier.digest != digest:
                    raise KeyConflict(f"key {key!r} was accepted on {channel} with another body")
                return earlier, True
        return self._append(channel, key, send["to"], subject, body, digest, now), False

    def accept_mail(
        self, to: list[str], key: str | None, subject: str | None, message: bytes, now: datetime
    ) -> Accepted:
        """Accept a message over SMTP: an entry each time, whatever its key."""
        if key is not None:
            self.count_attempt(SMTP, key)
        addressed = to[0] if len(to) == 1 else to
        return self._append(SMTP, key, addressed, subject, message, sha256(message), now)

    def record(
        self,
        channel: str,
        key: str | None,
        to: str | list[str],
        subject: str | None,
        send: JsonObject,
        now: datetime,
    ) -> Accepted:
        """Accept a send of a channel that has rules of its own about keys: an entry each time.

        The caller counts the attempt: it may have refused the key before.
        """
        body = canonical(send)
        return self._append(channel, key, to, subject, body, sha256(body), now)

    def count_attempt(self, channel: str, key: str) -> None:
        """A key was presented; `accept` counts its own, a fault that refuses counts here."""
        attempts = self._attempts[channel]
        if key not in attempts and len(attempts) >= self._capacity:
            raise Full(f"{self._capacity} keys were presented on {channel}")
        attempts[key] = attempts.get(key, 0) + 1

    def attempts(self, entry: Accepted) -> int:
        """How many times the key of the entry was presented on its channel; 1 without a key."""
        return 1 if entry.key is None else self._attempts[entry.channel].get(entry.key, 1)

    def page(
        self, channel: str | None, key: str | None, offset: int, limit: int
    ) -> tuple[int, list[Accepted]]:
        """How many entries there are, and those from `offset`, in the order of acceptance."""
        if channel is not None and channel not in CHANNELS:
            raise Malformed(f"`channel` must be one of {', '.join(CHANNELS)}")
        if key is not None:
            found = [
                entry for entry in self._by_key.get(key, ()) if channel in (None, entry.channel)
            ]
        else:
            found = self._all if channel is None else self._by_channel[channel]
        return len(found), found[offset : offset + limit]

    def find(self, provider_id: str) -> Accepted:
        """The entry with this provider id, or Unknown."""
        entry = self._by_id.get(provider_id)
        if entry is None:
            raise Unknown(f"nothing was accepted with the id {provider_id!r}")
        return entry

    def counts(self) -> dict[str, Any]:
        """Totals; `duplicate_acceptances` are entries beyond the first of a key.

        A key counts across channels here: one message that went out both over the API and
        over SMTP went out twice.
        """
        return {
            "by_channel": {channel: len(found) for channel, found in self._by_channel.items()},
            "total": len(self._all),
            "distinct_keys": len(self._by_key),
            "duplicate_acceptances": self._keyed - len(self._by_key),
        }

    def _append(
        self,
        channel: str,
        key: str | None,
        to: str | list[str],
        subject: str | None,
        body: bytes,
        digest: bytes,
        now: datetime,
    ) -> Accepted:
        # Forgetting an old key would make a duplicate look like a first acceptance.
        if len(self._all) >= self._capacity:
            raise Full(f"{self._capacity} sends are held; DELETE /accepted makes room")
        seq = len(self._all) + 1
        provider_id = f"{channel}_{self._token}_{seq:07d}"
        entry = Accepted(seq, channel, key, provider_id, to, subject, body, digest, now)
        self._all.append(entry)
        self._by_channel[channel].append(entry)
        self._by_id[provider_id] = entry
        if key is not None:
            self._keyed += 1
            self._by_key.setdefault(key, []).append(entry)
        return entry
