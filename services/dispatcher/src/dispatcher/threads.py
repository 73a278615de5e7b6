"""Which mail answers which: In-Reply-To and References (RFC 5322, 3.6.4), subject, Reply-To.

A thread is what went out in an enrollment and what the lead wrote to it. It is read when a message
enters the ledger; the bytes made of it are kept, so a replay that finds more mails by then changes
nothing: the row is there already.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeGuard

from leadflow.records import ReplyReceived
from leadflow.records.base import Record
from leadflow.tokens import Sealer
from rendering.cleaning import cleaned

REPLY = "reply"
MOST_REFERENCES = 10
"""With the first and the last ones of a long thread mail programs find its place; a header line
has at most 998 characters (RFC 5322, 2.1.1)."""
LONGEST_ID = 250
MAIL_ID = re.compile(r"<[!-;=?-~]{1,120}@[!-;=?-~]{1,120}>")
# What mail programs put in front of the subject of an answer or a forward.
PREFIXES = re.compile(
    r"(?:\s*(?:re|aw|sv|vs|antw|ynt|odp|rif|res|fwd?|wg|tr|rv|enc)\s*(?:\[\d{1,3}\])?\s*[:：])+\s*",
    re.IGNORECASE,
)
LONGEST_SUBJECT = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A mail of a thread: `mail_id` with its angle brackets, `at` when it was sent or received."""

    mail_id: str
    subject: str
    at: datetime
    by_lead: bool


@dataclass(frozen=True, slots=True)
class Thread:
    """The mails before a message, the oldest first."""

    mails: tuple[Mail, ...] = ()

    @property
    def is_answer(self) -> bool:
        """Whether the lead has written: only then is what we write an answer."""
        return any(mail.by_lead for mail in self.mails)

    @property
    def placeholder(self) -> str:
        """What stands for a subject that a template leaves to the thread; empty without one."""
        return "-" if self.mails else ""

    def headers(self) -> dict[str, str]:
        """In-Reply-To and References; empty where nothing came before."""
        if not self.mails:
            return {}
        ids = list(dict.fromkeys(mail.mail_id for mail in self.mails))
        if len(ids) > MOST_REFERENCES:
            ids = [ids[0], *ids[1 - MOST_REFERENCES :]]
        return {"In-Reply-To": self.mails[-1].mail_id, "References": " ".join(ids)}

    def subject(self, own: str) -> str:
        """The subject of the next mail, whose template says `own`; empty if nothing says any.

        An answer has `Re:` and the subject of what it answers. Where the lead wrote nothing, a
        `Re:` would be a lie (15 U.S.C. 7704(a)(2) forbids misleading subjects): it is taken off.
        A template without a subject goes on under the last one.
        """
        bare = PREFIXES.sub("", own, count=1) if PREFIXES.match(own) else own
        if not self.is_answer:
            return bare or _bare(self.mails[-1].subject if self.mails else "")
        answered = next(mail for mail in reversed(self.mails) if mail.by_lead)
        subject = _bare(answered.subject) or bare or _bare(self.mails[0].subject)
        return f"Re: {subject}" if subject else ""


NO_THREAD = Thread()


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A mail that a lead wrote; `answers` is the message that it names, empty if none."""

    lead_id: str
    answers: str
    mail_id: str
    subject: str
    at: datetime


def received(records: Iterable[Record]) -> list[Received]:
    """The mails of persons among records of lead-events, the last of each lead and message.

    What a machine sent is nothing to be answered, and what somebody else wrote is not the lead's.
    """
    last: dict[tuple[str, str], Received] = {}
    for record in records:
        if not isinstance(record, ReplyReceived) or record.automatic or record.by_other:
            continue
        if record.channel != "email" or not is_mail_id(record.mail_id):
            continue
        mail = Received(
            lead_id=record.lead_id,
            answers=record.message_id or "",
            mail_id=record.mail_id or "",
            subject=_bare(record.mail_subject or ""),
            at=record.recorded_at,
        )
        key = (mail.lead_id, mail.answers)
        if key not in last or last[key].at <= mail.at:
            last[key] = mail
    return list(last.values())


def is_mail_id(given: str | None) -> TypeGuard[str]:
    """Whether it may stand in a header of ours: it is somebody else's text."""
    return given is not None and MAIL_ID.fullmatch(given) is not None


def reply_to(links: Sealer, tenant_id: str, message_id: str, mail_domain: str) -> str | None:
    """The address that finds its message again, `reply+TOKEN@domain`, which nobody can make for
    another message. The local part has 58 characters, all lower case. None where a message's id
    is no UUID: then In-Reply-To has to do."""
    try:
        return f"{REPLY}+{links.seal_id(REPLY, tenant_id, message_id)}@{mail_domain}"
    except ValueError:
        return None


def _bare(subject: str) -> str:
    """A subject that somebody wrote, without `Re:`, in one line and harmless."""
    line = " ".join(cleaned(subject).split())[:LONGEST_SUBJECT]
    return PREFIXES.sub("", line, count=1) if PREFIXES.match(line) else line
