"""What a person's word about a held message does to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from dispatcher.callbacks import Reported
from dispatcher.content import FOOTER_MISSING, Writer
from dispatcher.model import Content
from dispatcher.threads import NO_THREAD, Thread
from leadflow.records import MessageReviewed
from rendering.errors import TemplateError

# These holds end by themselves; no approval may get round them.
NOT_BY_REVIEW = frozenset({"paused", "enrollment_paused", "no_consent", "credential_refused"})


NOTHING: Mapping[str, str] = MappingProxyType({})


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
    writer: Writer,
    thread: Thread = NO_THREAD,
    made_of: Mapping[str, str] = NOTHING,
) -> Approve | Reject | Refuse:
    """What to do with a message that is held by `rule` and whose bytes have that hash."""
    if review.decision == "rejected":
        return Reject({"reviewer": review.reviewer, "held_by": rule})
    if rule in NOT_BY_REVIEW:
        return Refuse(rule, {"decision": review.decision})
    if review.decision == "edited" and review.edited_body is not None:
        try:
            content = writer.edited(
                message,
                message.recipient,
                subject=review.edited_subject or "",
                text=review.edited_body,
                thread=thread,
                made_of=made_of,
            )
            return Approve(content)
        except TemplateError as error:
            return Refuse(error.rule, error.inputs)
    if rule == FOOTER_MISSING:  # its bytes are kept, for the footer to be put below them
        return Refuse(rule, {"decision": review.decision})
    if review.decision == "approved" and sha256 is not None and review.body_hash == sha256:
        return Approve(None)
    return Refuse("approval_covers_other_bytes", {"held_by": rule, "decision": review.decision})
