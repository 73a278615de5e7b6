"""A queued message becomes the bytes that are sent, once, when it enters the ledger.

The same record gives the same bytes: nothing here looks at a clock, and tokens follow from what
they stand for.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from dispatcher import tracking
from dispatcher.events import AboutMessage
from dispatcher.model import CHANNELS, RECORDED_CHANNELS, Arrival, Content
from dispatcher.threads import NO_THREAD, Thread, reply_to
from leadflow.errors import RecordRefused
from leadflow.records import MessageQueued
from leadflow.tenants import Tenant
from leadflow.tokens import Sealer
from rendering.cleaning import cleaned
from rendering.errors import TemplateError
from rendering.parts import Parts, Template, render, with_footer
from rendering.plain import html_of
from rendering.templates import allowed

# One mailbox, without the comments and quotes of RFC 5322 that no lead's address needs.
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
EMAIL = re.compile(rf"[^\s@<>(),;:\\\"\[\]]{{1,64}}@(?=[^@]{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
MESSAGE_ID = re.compile(r"[!-~]{1,200}")
PHONE = re.compile(r"\+[1-9][0-9]{5,14}")  # E.164

# What the sender says of itself; a reviewer's words are put between the same.
OWN = ("tenant_name", "postal_address", "booking_link")
SEQUENCE, REPLY, TEST = "sequence", "reply", "test"
PERSONAL = "personal"  # a person's own words
# All else the law takes for advertisements, also what nobody has heard of yet: a footer too many
# does no harm. A test shows what the lead would get.
NOT_COMMERCIAL = frozenset({REPLY, PERSONAL})
FOOTER_MISSING = "compliance_footer_missing"


def is_commercial(purpose: str) -> bool:
    """Whether an e-mail of this purpose says who sends it from where, and how to stop it."""
    return purpose not in NOT_COMMERCIAL


@dataclass(frozen=True, slots=True)
class Identity:
    """Who writes: `public_url` is the portal's address, `mail_domain` that of the senders."""

    public_url: str = "http://127.0.0.1:8080"
    mail_domain: str = "mail.leadflow.example"


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Whose message it is and where it goes."""

    message_id: str
    tenant_id: str
    lead_id: str
    channel: str
    recipient: str
    purpose: str
    sender_name: str = ""
    thread: Thread = NO_THREAD


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes messages in the name of tenants. A tenant without settings gets the defaults."""

    identity: Identity
    links: Sealer
    tenants: Mapping[str, Tenant] = field(default_factory=dict)

    def arrive(self, queued: MessageQueued, thread: Thread = NO_THREAD) -> Arrival:
        """The ledger's row for a queued message, rendered, or held by the rule that kept it back.
        `thread` are the mails before it.

        Raises RecordRefused for a channel that does not exist, or an id that is none.
        """
        if queued.channel not in CHANNELS:
            raise RecordRefused("unknown_channel", f"{queued.channel[:40]!r} is not a channel")
        for name in ("tenant_id", "lead_id", "message_id"):
            if not getattr(queued, name).isprintable():  # no link could carry it
                raise RecordRefused("malformed_id", f"{name} holds characters that no id has")
        if MESSAGE_ID.fullmatch(queued.message_id) is None:  # nor any provider's header
            raise RecordRefused("malformed_id", "message_id takes 1 to 200 characters of ASCII")
        content, held = None, TemplateError("")
        try:
            content, footless = self._composed(queued, thread)
            held = footless or held
        except TemplateError as error:
            held = error
        return Arrival(
            message_id=queued.message_id,
            tenant_id=queued.tenant_id,
            lead_id=queued.lead_id,
            owner=queued.owner,
            enrollment_id=queued.enrollment_id,
            sequence_id=queued.sequence_id,
            step_id=queued.step_id,
            channel=queued.channel,
            attempt=queued.attempt,
            first_message_id=queued.first_message_id,
            recipient=cleaned(queued.recipient).strip(),
            compliance_note=cleaned(queued.compliance_note, keep_lines=True),
            enrolled_at=queued.enrolled_at,
            stop_on=queued.stop_on,
            due_at=queued.due_at,
            content=content,
            rule=held.rule or None,
            inputs=held.inputs,
            made_of={
                "purpose": queued.purpose,
                **{name: value for name in OWN if (value := queued.variables.get(name))},
            },
        )

    def _composed(
        self, queued: MessageQueued, thread: Thread
    ) -> tuple[Content, TemplateError | None]:
        """The send of a message, rendered, and why it must not go out like this: what can be put
        below it is missing. Raises TemplateError."""
        _check(queued.channel, queued.recipient)
        unsubscribe_url = self.unsubscribe_url(queued)
        own = {"postal_address": self._tenant(queued.tenant_id).postal_address}
        values = allowed({**own, **queued.variables, "unsubscribe_url": unsubscribe_url})
        parts = render(
            Template(
                channel=queued.channel,
                subject=queued.subject if queued.subject.strip() else thread.placeholder,
                body=queued.body,
                body_html=queued.body_html,
            ),
            values,
            footer=False,
        )
        missing: TemplateError | None = None
        if queued.channel == "email" and is_commercial(queued.purpose):
            try:
                parts = with_footer(parts, values)
            except TemplateError as error:
                missing = error
        envelope = Envelope(
            message_id=queued.message_id,
            tenant_id=queued.tenant_id,
            lead_id=queued.lead_id,
            channel=queued.channel,
            recipient=queued.recipient,
            purpose=queued.purpose,
            sender_name=values.get("tenant_name", ""),
            thread=thread,
        )
        written = self._written(envelope, _in_thread(parts, queued, thread), unsubscribe_url)
        return written, missing

    def with_address(self, message: AboutMessage, content: Content) -> Content | None:
        """The bytes of an e-mail that was held for want of a postal address, with the footer that
        its tenant has by now; None where it still has none."""
        send, unsubscribe_url = content.send(), self.unsubscribe_url(message)
        parts = Parts(subject=send["subject"], text=send["text"], html=send["html"])
        own = {
            "postal_address": self._tenant(message.tenant_id).postal_address,
            "unsubscribe_url": unsubscribe_url,
        }
        try:
            parts = with_footer(parts, own)
        except TemplateError:
            return None
        return _content({**send, "text": parts.text, "html": parts.html})

    def edited(
        self,
        message: AboutMessage,
        recipient: str,
        *,
        subject: str,
        text: str,
        thread: Thread = NO_THREAD,
        made_of: Mapping[str, str],
    ) -> Content:
        """A send in a reviewer's words, which are text and no template; `made_of` as it arrived.
        Raises TemplateError."""
        _check(message.channel, recipient)
        tenant, unsubscribe_url = self._tenant(message.tenant_id), self.unsubscribe_url(message)
        own = {
            "tenant_name": tenant.name,
            "postal_address": tenant.postal_address,
            "booking_link": tenant.booking_link,
            **made_of,
        }
        # A person wrote it, whatever it was to be: no machine answers here.
        purpose = SEQUENCE if is_commercial(made_of.get("purpose", SEQUENCE)) else PERSONAL
        parts = Parts(
            subject=" ".join(cleaned(subject).split()) or thread.subject(""),
            text=cleaned(text, keep_lines=True).strip(),
            html="",
        )
        if not parts.text:
            raise TemplateError("template_empty")
        if message.channel == "email":
            if not parts.subject:
                raise TemplateError("template_empty", part="subject")
            known = {unsubscribe_url, own["booking_link"]}
            html = html_of(parts.text, lambda url: url in known)
            parts = Parts(subject=parts.subject, text=parts.text, html=html)
            if is_commercial(purpose):
                parts = with_footer(parts, {**own, "unsubscribe_url": unsubscribe_url})
        envelope = Envelope(
            message_id=message.message_id,
            tenant_id=message.tenant_id,
            lead_id=message.lead_id,
            channel=message.channel,
            recipient=recipient,
            purpose=purpose,
            sender_name=own["tenant_name"],
            thread=thread,
        )
        return self._written(envelope, parts, unsubscribe_url)

    def plain(self, recipient: str, text: str) -> Content:
        """The send of a finished text over a channel that has nothing but text."""
        return _content({"to": recipient, "text": text})

    def unsubscribe_url(self, message: AboutMessage) -> str:
        """Where the receiver of this message ends them all; tells nobody who that is."""
        token = self.links.seal(
            "unsubscribe", message.tenant_id, message.lead_id, message.channel, message.message_id
        )
        return f"{self.identity.public_url}/unsubscribe/{token}"

    def _written(self, envelope: Envelope, parts: Parts, unsubscribe_url: str) -> Content:
        send: dict[str, Any] = {"to": envelope.recipient, "text": parts.text}
        if envelope.channel == "email":
            address = f"{_local_part(envelope.tenant_id)}@{self.identity.mail_domain}"
            send["from"] = _named(envelope.sender_name, address)
            send["subject"] = parts.subject
            send["html"] = self._tracked(envelope, parts.html, unsubscribe_url)
            send["headers"] = self._headers(envelope, unsubscribe_url)
        elif envelope.channel in RECORDED_CHANNELS:
            send["subject"] = parts.subject
        return _content(send)

    def _headers(self, envelope: Envelope, unsubscribe_url: str) -> dict[str, str]:
        """Stable ids; RFC 8058 where a list can be left; RFC 3834 where a machine answers."""
        headers = {
            "Message-ID": f"<{envelope.message_id}@{self.identity.mail_domain}>",
            "X-Leadflow-Message-Id": envelope.message_id,
            **envelope.thread.headers(),
        }
        address = reply_to(
            self.links, envelope.tenant_id, envelope.message_id, self.identity.mail_domain
        )
        if address is not None:
            headers["Reply-To"] = _named(envelope.sender_name, address)
        if is_commercial(envelope.purpose):
            headers["List-Unsubscribe"] = f"<{unsubscribe_url}>"
            headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        elif envelope.purpose == REPLY:
            headers["Auto-Submitted"] = "auto-replied"
        return headers

    def _tracked(self, envelope: Envelope, html: str, unsubscribe_url: str) -> str:
        tenant = self._tenant(envelope.tenant_id)
        if envelope.purpose != SEQUENCE:
            return html
        links = tracking.Links(
            self.identity.public_url, self.links, envelope.tenant_id, envelope.message_id
        )
        if tenant.track_clicks:
            html = links.with_clicks(html, never=unsubscribe_url)
        return links.with_pixel(html) if tenant.track_opens else html

    def _tenant(self, tenant_id: str) -> Tenant:
        return self.tenants.get(tenant_id) or Tenant(tenant_id=tenant_id)


def _content(send: dict[str, Any]) -> Content:
    payload = orjson.dumps(send, option=orjson.OPT_SORT_KEYS)
    return Content(payload=payload, sha256=hashlib.sha256(payload).hexdigest())


def _in_thread(parts: Parts, queued: MessageQueued, thread: Thread) -> Parts:
    """With the subject under which the thread goes on."""
    if queued.channel != "email":
        return parts
    subject = thread.subject(parts.subject if queued.subject.strip() else "")
    if not subject:
        raise TemplateError("template_empty", part="subject")
    return replace(parts, subject=subject)


def _local_part(tenant_id: str) -> str:
    return re.sub(r"[^a-z0-9.-]", "-", tenant_id.lower()).strip(".-")[:60] or "mail"


def _named(name: str, address: str) -> str:
    plain = re.sub(r'[\\"<>@,;:()\[\]]', "", cleaned(name)).strip()[:80]
    return f'"{plain}" <{address}>' if plain else address


def _check(channel: str, recipient: str) -> None:
    """Raises TemplateError for a recipient that the channel does not have, or that is not what the
    ledger would show and look up: suppressions are asked for the cleaned one."""
    wanted = {"email": EMAIL, "sms": PHONE, "whatsapp": PHONE}.get(channel)
    same = recipient.isprintable() and cleaned(recipient).strip() == recipient
    if not same or (wanted is not None and wanted.fullmatch(recipient) is None):
        raise TemplateError("recipient_malformed", channel=channel)
