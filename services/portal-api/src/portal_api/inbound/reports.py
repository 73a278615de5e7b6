"""What mail servers and mailbox providers report by mail: bounces, complaints, receipts.

Delivery status notifications are RFC 3464, their codes RFC 3463; complaints RFC 5965; receipts
RFC 8098.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email import message_from_string
from email.message import Message
from typing import Any
from uuid import UUID

from portal_api.inbound.mime import POLICY, Mail, decoded, headers_of, one

READ_CHARS = 200_000
STATUS = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
REPLY_CODE = re.compile(r"\b([45])\d\d[ -]")
OUR_MARK = re.compile(r"X-Leadflow-Message-Id:\s{0,5}([0-9a-f-]{36})", re.IGNORECASE)
# 5.1.x: there is no such address; 5.2.1: it is disabled; 5.4.4 and 5.1.2: no such domain. Anything
# else may pass, or is about us and not about the address: a full mailbox, a policy, a block.
# 5.0.0 says no more than "for good".
DEAD = frozenset({"1.0", "1.1", "1.2", "1.3", "1.6", "1.10", "2.1", "4.4", "0.0"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`kind` is the raw event's: bounced, delivered or complained."""

    kind: str
    message_id: str | None
    bounce_type: str | None = None
    diagnostic: str | None = None
    status: str | None = None
    recipient: str | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """A mail that says nothing to anybody, and why."""

    reason: str


def report_in(mail: Mail) -> Report | Ignored | None:
    """What a mail reports; None where it is no report."""
    root = mail.root
    if root is None:
        return None
    if root.get_content_type() == "multipart/report":
        match str(root.get_param("report-type", "")).lower():
            case "feedback-report":
                return _complaint(root)
            case "disposition-notification":
                return Ignored("read_receipt")
            case _:
                return _delivery(root)
    if "x-failed-recipients" in mail.headers:  # Exim reports in words
        return _in_words(mail)
    return None


def bounce_type(status: str | None, diagnostic: str | None = None) -> str:
    """hard where the address is not worth another try, else soft."""
    found = STATUS.search(status or "") or STATUS.search((diagnostic or "")[:2_000])
    if found is None:
        code = REPLY_CODE.search((diagnostic or "")[:2_000])
        return "hard" if code is not None and code[1] == "5" else "soft"
    kind, subject, detail = found.groups()
    return "hard" if kind == "5" and f"{subject}.{detail}" in DEAD else "soft"


def _delivery(root: Message[Any, Any]) -> Report | Ignored:
    for block in _status_blocks(root):
        action = (one(block, "action") or "").lower()
        status, diagnostic = one(block, "status"), one(block, "diagnostic-code")
        if action in ("delayed", "relayed", "expanded"):
            return Ignored(f"delivery_{action}")
        if not (action or status):
            continue  # the block about the message as a whole
        recipient = one(block, "original-recipient") or one(block, "final-recipient")
        return Report(
            kind="delivered" if action == "delivered" else "bounced",
            message_id=_message_in(root),
            bounce_type=None if action == "delivered" else bounce_type(status, diagnostic),
            diagnostic=" ".join(filter(None, (status, diagnostic)))[:1_000] or None,
            status=status,
            recipient=None if recipient is None else recipient.partition(";")[2].strip() or None,
        )
    # A report that cannot be read: that something did not arrive is all it says.
    return Report(kind="bounced", message_id=_message_in(root), bounce_type="soft")


def _complaint(root: Message[Any, Any]) -> Report | Ignored:
    for part in _leaves(root):
        for block in (part, *_blocks(part)):
            kind = one(block, "feedback-type")
            if kind is not None and kind.lower() == "not-spam":
                return Ignored("feedback_not_spam")
            if kind is not None:
                diagnostic = f"feedback: {kind[:40]}"
                return Report(
                    kind="complained", message_id=_message_in(root), diagnostic=diagnostic
                )
    return Report(kind="complained", message_id=_message_in(root), diagnostic="feedback")


def _in_words(mail: Mail) -> Report:
    assert mail.root is not None
    return Report(
        kind="bounced",
        message_id=_message_in(mail.root),
        bounce_type=bounce_type(None, mail.text),
        diagnostic=" ".join(mail.text.split())[:1_000] or None,
        recipient=mail.headers["x-failed-recipients"][:320],
    )


def _status_blocks(root: Message[Any, Any]) -> list[Message[Any, Any]]:
    return [
        block
        for part in _leaves(root)
        if part.get_content_type() in ("message/delivery-status", "message/global-delivery-status")
        for block in _blocks(part)
    ][:50]


def _leaves(root: Message[Any, Any]) -> list[Message[Any, Any]]:
    payload = root.get_payload()
    return (
        [each for each in payload[:20] if isinstance(each, Message)]
        if isinstance(payload, list)
        else []
    )


def _blocks(part: Message[Any, Any]) -> list[Message[Any, Any]]:
    """The groups of fields of a message/* part."""
    payload = part.get_payload()
    if isinstance(payload, list):
        return [each for each in payload[:50] if isinstance(each, Message)]
    return [message_from_string(decoded(part), policy=POLICY)]


def _message_in(root: Message[Any, Any]) -> str | None:
    """Our id of the mail that is reported on: in its header, which the report brings along."""
    for part in _leaves(root)[1:]:
        for block in (*_blocks(part), part):
            for name in ("x-leadflow-message-id", "message-id", "x-original-message-id"):
                for value in headers_of(block, name):
                    if (found := message_in(value)) is not None:
                        return found
    for part in _leaves(root) or [root]:
        if not part.is_multipart() and (named := OUR_MARK.search(decoded(part)[:READ_CHARS])):
            return message_in(named[1])
    return None


def message_in(given: str) -> str | None:
    """The id of a message of ours, a uuid5, by itself or in a Message-ID `<uuid@domain>`."""
    try:
        found = UUID(given.strip().strip("<>").partition("@")[0])
    except ValueError:
        return None
    return str(found) if found.version == 5 else None
