"""STOP, START and HELP are answered by themselves, once, in the words that the rules ask for.

Sources: CTIA, Messaging Principles and Best Practices, 5.1.3 (an opt-out is acknowledged), and its
Short Code Monitoring Handbook (HELP is answered whoever asks, subscribed or not); 47 CFR
64.1200(a)(12): one text that confirms an opt-out and nothing else may follow it, within five
minutes. docs/adr/0022 has the rules and their reasons.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dispatcher.facts import LIFTED_BY_OPT_IN, OPT_OUT, address_key
from dispatcher.model import Arrival, Content, Entry
from leadflow.ids import answer_id
from leadflow.records import ReplyReceived
from leadflow.records.base import Record
from leadflow.tenants import Tenant

STOP, START, HELP = "STOP", "START", "HELP"
AGAIN = "STOP again"
"""A STOP of an address that was on the list already: its one confirmation has been sent."""
CHANNELS = frozenset({"sms", "whatsapp"})
MOST_A_DAY = 5
"""To one address. Two machines that answer each other end here at the latest."""
LATEST_SECONDS: Mapping[str, float] = {STOP: 300.0, START: 3600.0, HELP: 3600.0}
CONSENT_SECONDS = 2.0
CONSENT_AWAITED_SECONDS = 60.0
COMPLIANCE_NOTE = "answers a keyword of the recipient"


@dataclass(frozen=True, slots=True)
class Broken:
    """The rule that an answer would break, and what it was judged by."""

    rule: str
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A keyword that is to be answered."""

    tenant_id: str
    lead_id: str
    owner: str | None
    channel: str
    recipient: str
    keyword: str
    event_id: str  # of the raw event that brought it
    record: ReplyReceived

    @property
    def message_id(self) -> str:
        """The same for every lead that shares the address: it is answered once."""
        return answer_id(self.tenant_id, self.event_id, self.keyword, self.recipient)

    @property
    def address(self) -> str:
        return address_key(self.channel, self.recipient)


class Plain(Protocol):
    """Makes the send of a finished text."""

    def plain(self, recipient: str, text: str) -> Content: ...


def asked(records: Iterable[Record], tenants: Mapping[str, Tenant]) -> list[Asked]:
    """The keywords among records of lead-events that leadflow itself answers: those of persons, on
    channels that the tenant has chosen for it."""
    found: dict[str, Asked] = {}
    for record in records:
        if not isinstance(record, ReplyReceived) or record.automatic or not record.from_address:
            continue
        tenant = tenants.get(record.tenant_id)
        if (
            tenant is None
            or record.channel not in CHANNELS
            or record.channel not in tenant.answers_keywords
            or record.keyword not in LATEST_SECONDS
        ):
            continue
        each = Asked(
            tenant_id=record.tenant_id,
            lead_id=record.lead_id,
            owner=record.owner,
            channel=record.channel,
            recipient=record.from_address,
            keyword=record.keyword or "",
            event_id=record.cause_id,
            record=record,
        )
        found.setdefault(each.message_id, each)
    return list(found.values())


def in_turn(asked: Sequence[Asked]) -> Iterator[Sequence[Asked]]:
    """The keywords in groups, in their order, each group with at most one of an address."""
    rounds: list[list[Asked]] = []
    before: Counter[tuple[str, str, str]] = Counter()
    for each in asked:
        address = (each.tenant_id, each.channel, each.address)
        if before[address] == len(rounds):
            rounds.append([])
        rounds[before[address]].append(each)
        before[address] += 1
    yield from rounds


def text_of(keyword: str, tenant: Tenant) -> str:
    """What is answered. A confirmation says that it is done and how to undo it, and nothing that
    could be taken for an advertisement."""
    name = tenant.name or tenant.tenant_id
    if keyword == STOP:
        return (
            f"{name}: You are unsubscribed and will receive no more messages. "
            "Reply START to subscribe again."
        )
    if keyword == START:
        return (
            f"{name}: You are subscribed again. Msg & data rates may apply. "
            "Reply HELP for help, STOP to unsubscribe."
        )
    contact = f" or call {tenant.agent_phone}" if tenant.agent_phone else ""
    return tenant.help_text or (
        f"{name}: For help reply with your question{contact}. Msg frequency varies. "
        "Msg & data rates may apply. Reply STOP to unsubscribe."
    )


def arrival(each: Asked, tenant: Tenant, writer: Plain, *, again: bool) -> Arrival:
    """The ledger's row for an answer; `again`: the address had said stop before."""
    record = each.record
    return Arrival(
        message_id=each.message_id,
        tenant_id=each.tenant_id,
        lead_id=each.lead_id,
        owner=each.owner,
        enrollment_id=None,
        sequence_id=None,
        step_id=None,
        channel=each.channel,
        attempt=1,
        first_message_id=None,
        recipient=each.recipient,
        compliance_note=COMPLIANCE_NOTE,
        enrolled_at=None,
        stop_on=(),
        # When the person wrote: a dispatcher that was down reads it late.
        due_at=min(record.occurred_at, record.recorded_at),
        content=writer.plain(each.recipient, text_of(each.keyword, tenant)),
        answers=AGAIN if again and each.keyword == STOP else each.keyword,
        answers_event=each.event_id,
    )


def broken(entry: Entry) -> Broken | None:
    """The rule by which an answer must not go out. An opt-out forbids only the answer to a START
    that has not lifted it; any other reason on the list forbids all."""
    known, keyword = entry.known, entry.answers or ""
    if waits(entry):
        return None
    if known.suppressed_by is not None and (known.suppressed_by != OPT_OUT or keyword == START):
        return Broken("suppression_list", {"reason": known.suppressed_by, "channel": entry.channel})
    if known.consent is False and keyword == START:
        return Broken("consent_refused", {"channel": entry.channel})
    if keyword == AGAIN:
        return Broken("stop_confirmed_before")
    latest = LATEST_SECONDS[keyword]
    if known.age_seconds > latest:
        return Broken("answer_too_late", {"latest_seconds": f"{latest:.0f}"})
    if known.answered >= MOST_A_DAY:
        return Broken("too_many_answers", {"most_a_day": str(MOST_A_DAY)})
    return None


def waits(entry: Entry) -> bool:
    """Whether the consent that a START gives is still on its way: the answer is read before it."""
    known = entry.known
    return (
        entry.answers == START
        and (known.consent is False or known.suppressed_by in LIFTED_BY_OPT_IN)
        and known.waited_seconds < CONSENT_AWAITED_SECONDS
    )
