"""Decides answers: whose they are, whether a person wrote them, what they ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from intake import absences, accounts, facts
from intake.automatic import automatic_by
from intake.consents import Wish, apply
from intake.matching import behind
from intake.model import CHANNELS, MESSAGE, Decision, Known, Lead, Prepared
from intake.normalize.fields import line, text
from intake.quoting import READ_CHARS, own_words
from intake.replies import (
    HELP_WORDS,
    KEYWORDS,
    START_WORDS,
    STOP_WORDS,
    answered,
    keyword,
    mail_id,
    message_in,
    wish_word,
)
from leadflow.errors import RecordRefused
from leadflow.records import AccountReplied, LeadRecord, ReplyReceived
from leadflow.tenants import Tenant

OWN_MARK = "x-leadflow-message-id"
"""A header field that only mails of ours have. An answer to one does not take it over."""


def decide_reply(known: Known, prepared: Prepared, tenant: Tenant, now: datetime) -> Decision:
    """An answer, of the lead whose message it names and of every lead behind its sender's address:
    to stop one message too many is the smaller mistake. A person's answer, unless it is a keyword,
    is news for the other contacts of the account. A mail of which nobody knows that it is from
    whom it says stops what it can always stop, e-mails to that address, and goes no further."""
    raw, payload = prepared.raw, prepared.payload
    if _is_our_own(known, prepared):
        raise RecordRefused("own_message", "a mail of our own came back")
    sender = text(payload, "from")
    by_mail = sender is not None and "@" in sender
    channel = (line(payload, "channel") or ("email" if by_mail or not sender else "sms")).lower()
    message_id, addressed = _of_message(known, prepared)
    writers = _writers(known, prepared)
    leads = (*addressed, *(each for each in writers if each not in addressed))
    addresses = [key.value for key in prepared.keys if key.kind in ("email", "phone")]
    own, nothing_own = _words(payload, channel)
    subject = line(payload, "subject") or line(_headers(payload), "subject")
    rule = automatic_by(_with_subject(payload, subject), own, sender, in_thread=bool(addressed))
    automatic = rule is not None
    vouched = (
        leads if not by_mail or _is_vouched(known, prepared, addressed, writers) else addressed
    )
    back = absences.returns_on(own if automatic else None, raw.occurred_at.date(), tenant.region)
    word = _word(channel, None if nothing_own else own, subject, by_machine=automatic)
    # Twilio says so where it knew the word and has answered it (its Advanced Opt-Out).
    answered_already = line(payload, "opt_out_type") is not None
    replies: tuple[LeadRecord, ...] = tuple(
        ReplyReceived(
            **facts.frame(ReplyReceived, lead.lead_id, lead.owner, raw, now),
            channel=channel,
            message_id=message_id,
            from_address=addresses[0] if addresses else sender,
            text=own,
            automatic=automatic,
            returns_on=None if back is None else back.isoformat(),
            automatic_rule=rule,
            by_other=bool(sender) and lead not in writers,
            keyword=None if word is None or answered_already else KEYWORDS[word],
            mail_id=mail_id(text(payload, "mail_id")),
            mail_subject=subject if channel == "email" else None,
        )
        for lead in leads
    )
    if not automatic and word is None:
        replies += tuple(
            AccountReplied(
                **facts.frame(AccountReplied, other.lead_id, other.owner, raw, now),
                replied_lead_id=lead.lead_id,
                channel=channel,
            )
            for other, lead in accounts.others(known, vouched)
            if other not in leads
        )
    decision = Decision(records=replies)
    if word is not None and word not in HELP_WORDS:
        # Whoever says stop is left alone on every channel; START takes back its own alone.
        granted = word in START_WORDS
        wish = Wish(
            granted=granted,
            channels=(channel,) if granted else CHANNELS,
            keyword=word,
            evidence=own,
        )
        meant = [(each, wish.channels if each in vouched else ("email",)) for each in leads]
        changed = apply(wish, meant, known, prepared, now)
        decision = replace(changed, records=(*replies, *changed.records))
    if not leads:
        return replace(decision, error=RecordRefused("unknown_lead", "reply of nobody known"))
    return decision


def _of_message(known: Known, prepared: Prepared) -> tuple[str | None, tuple[Lead, ...]]:
    """The message that is answered and its lead; without a lead, what the payload says it is."""
    for key in prepared.keys:
        if key.kind == MESSAGE and (leads := known.by(key)):
            return key.value, leads
    named = answered(prepared.payload)
    return (named[0] if named else line(prepared.payload, "in_reply_to")), ()


def _writers(known: Known, prepared: Prepared) -> tuple[Lead, ...]:
    return behind(known, [key for key in prepared.keys if key.kind != MESSAGE])


def _is_vouched(
    known: Known, prepared: Prepared, addressed: tuple[Lead, ...], writers: tuple[Lead, ...]
) -> bool:
    """Whether a mail is from whom its From says: anybody can write anything there. It is when it
    answers a message that went to one of those behind the address, which nobody else has seen, or
    when whoever passed it on names the lead."""
    return any(each in addressed for each in writers) or any(
        key.kind in ("lead_id", "external_id") and known.by(key) for key in prepared.keys
    )


def _words(payload: Mapping[str, Any], channel: str) -> tuple[str | None, bool]:
    """The text without what it quotes, and whether nothing of it is the writer's own. Only mail
    programs quote."""
    if channel != "email":
        return text(payload, "text"), False
    whole = text(payload, "text", READ_CHARS)
    if whole is None:
        return None, True
    own = own_words(whole)
    return text({"own": own.text}, "own"), own.nothing_own


def _word(channel: str, own: str | None, subject: str | None, *, by_machine: bool) -> str | None:
    """The keyword; by e-mail also one in the subject of a mail in which nothing is written, which
    is what a `mailto:` link for unsubscribing makes (RFC 2369, 3.2)."""
    word = wish_word(channel, own, by_machine=by_machine)
    if word is None and own is None and channel == "email":
        word = keyword(subject, by_machine=by_machine)
        word = word if word in STOP_WORDS else None
    return word


def _is_our_own(known: Known, prepared: Prepared) -> bool:
    """Whether we wrote it: by our mark, or because its own Message-ID is that of a message."""
    if any(str(name).strip().lower() == OWN_MARK for name in _headers(prepared.payload)):
        return True
    own = message_in(text(prepared.payload, "mail_id") or "")
    return own is not None and any(
        key.kind == MESSAGE and key.value == own and known.by(key) for key in prepared.keys
    )


def _headers(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    headers = payload.get("headers")
    return headers if isinstance(headers, dict) else {}


def _with_subject(payload: Mapping[str, Any], subject: str | None) -> Mapping[str, Any]:
    headers = {str(name).strip().lower(): value for name, value in _headers(payload).items()}
    return headers if subject is None else {"subject": subject, **headers}
