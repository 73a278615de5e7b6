"""What a person's word about a held message does to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dispatcher.callbacks import Reported
from dispatcher.content import Identity, written
from dispatcher.model import Content
from dispatcher.templates import TemplateError, cleaned
from leadflow.records import MessageReviewed

# These holds end by themselves; no approval may get round them.
NOT_BY_REVIEW = frozenset({"paused", "no_consent"})


@dataclass(frozen=True, slots=True)
class Approve:
    """Queue it, with these bytes where the reviewer wrote others."""

    content: Content | None


@dataclass(frozen=True, slots=True)
class Reject:
    """It never goes out."""

    inputs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Refuse:
    """The word cannot be followed: it stays held, and why."""

    rule: str
    inputs: Mapping[str, str]


def judge(
    review: MessageReviewed,
    message: Reported,
    rule: str,
    sha256: str | None,
    identity: Identity,
) -> Approve | Reject | Refuse:
    """What to do with a message that is held by `rule` and whose bytes have that hash."""
    if review.decision == "rejected":
        return Reject({"reviewer": review.reviewer, "held_by": rule})
    if rule in NOT_BY_REVIEW:
        return Refuse(rule, {"decision": review.decision})
    if review.decision == "edited" and review.edited_body is not None:
        try:
            return Approve(_edited(review, message, identity))
        except TemplateError as error:
            return Refuse(error.rule, error.inputs)
    if review.decision == "approved" and sha256 is not None and review.body_hash == sha256:
        return Approve(None)
    return Refuse("approval_covers_other_bytes", {"held_by": rule, "decision": review.decision})


def _edited(review: MessageReviewed, message: Reported, identity: Identity) -> Content:
    return written(
        message.channel,
        message_id=message.message_id,
        tenant_id=message.tenant_id,
        recipient=message.recipient,
        subject=" ".join(cleaned(review.edited_subject or "").split()),
        text=cleaned(review.edited_body or "", keep_lines=True).strip(),
        sender_name="",
        links={"unsubscribe_url": f"{identity.public_url}/unsubscribe/{message.message_id}"},
        identity=identity,
    )
