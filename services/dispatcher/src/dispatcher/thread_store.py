"""The mails before a message, in SQL: what went out in its enrollment, what the lead wrote back."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.keywords import Asked
from dispatcher.threads import NO_THREAD, Mail, Received, Thread, is_mail_id

REMEMBER = text("""
    INSERT INTO received_mails AS m (lead_id, answers, mail_id, subject, at)
    SELECT lead_id, answers, mail_id, subject, at FROM json_to_recordset(CAST(:rows AS json))
        AS r (lead_id text, answers text, mail_id text, subject text, at timestamptz)
    ORDER BY lead_id, answers
    ON CONFLICT (lead_id, answers) DO UPDATE SET
        mail_id = excluded.mail_id, subject = excluded.subject, at = excluded.at
    WHERE excluded.at >= m.at
""")
SENT = text("""
    SELECT l.enrollment_id, l.changed_at AS at,
        coalesce(
            s.mail_id, convert_from(l.payload, 'UTF8')::json -> 'headers' ->> 'Message-ID'
        ) AS mail_id,
        convert_from(l.payload, 'UTF8')::json ->> 'subject' AS subject
    FROM ledger l LEFT JOIN sent_mails s USING (message_id)
    WHERE l.channel = 'email' AND l.state = 'sent'
        AND l.enrollment_id = ANY (CAST(:enrollments AS text[]))
    ORDER BY l.changed_at, l.position
""")
NOTE = text("""
    INSERT INTO sent_mails (message_id, mail_id)
    SELECT * FROM unnest(CAST(:messages AS text[]), CAST(:mails AS text[]))
    ON CONFLICT DO NOTHING
""")
# What a lead wrote belongs to the enrollment of the message that it answers.
WRITTEN = text("""
    SELECT m.lead_id, m.mail_id, m.subject, m.at, l.enrollment_id
    FROM received_mails m LEFT JOIN ledger l ON l.message_id = m.answers
    WHERE m.lead_id = ANY (CAST(:leads AS text[]))
    ORDER BY m.at
""")


# Which of these addresses had said stop before the event that is being answered: the list says so,
# or a STOP was answered of which the list has not heard yet. A START that was answered since, or an
# opt-out that was lifted since, makes the next STOP a first one again.
STOPPED = text("""
    SELECT r.ord FROM json_to_recordset(CAST(:rows AS json))
        AS r (ord integer, tenant_id text, channel text, address text, cause_id text)
    LEFT JOIN suppressions s ON s.reason = 'opt_out' AND s.cause_id <> r.cause_id
        AND (s.tenant_id, s.channel, s.address) = (r.tenant_id, r.channel, r.address)
    LEFT JOIN LATERAL (
        SELECT a.answers, a.due_at FROM ledger a
        WHERE (a.tenant_id, a.channel, a.address) = (r.tenant_id, r.channel, r.address)
            AND a.answers IS NOT NULL AND a.answers <> 'HELP' AND a.answers_event <> r.cause_id
            AND a.created_at > now() - interval '1 day'
        ORDER BY a.created_at DESC, a.position DESC LIMIT 1
    ) AS last ON true
    WHERE CASE WHEN last.answers IS NULL OR last.answers = 'START'
        THEN s.active AND s.changed_at > coalesce(last.due_at, '-infinity')
        ELSE coalesce(s.active OR s.changed_at <= last.due_at, true) END
""")


# Leads that share an address are in other partitions, and so with other dispatchers: who answers
# second has to see what the first has entered. In their order, before any other lock.
ALONE = text("""
    SELECT pg_advisory_xact_lock(hashtextextended(key, 7314))
    FROM (SELECT DISTINCT key FROM unnest(CAST(:keys AS text[])) AS k (key) ORDER BY key) AS keys
""")


@dataclass(frozen=True, slots=True)
class About:
    """The message whose thread is asked for; without an enrollment it answers the lead."""

    message_id: str
    lead_id: str
    enrollment_id: str | None


async def remember(connection: AsyncConnection, mails: Sequence[Received]) -> None:
    """Keep the last mail of each lead and message."""
    if mails:
        rows = [
            {
                "lead_id": mail.lead_id,
                "answers": mail.answers,
                "mail_id": mail.mail_id,
                "subject": mail.subject,
                "at": mail.at.isoformat(),
            }
            for mail in mails
        ]
        await connection.execute(REMEMBER, {"rows": json.dumps(rows)})


async def note_mail_ids(connection: AsyncConnection, mail_ids: Mapping[str, str]) -> None:
    """Keep the Message-IDs that a provider gave to messages, by our ids of them."""
    if mail_ids:
        messages = sorted(mail_ids)
        mails = [mail_ids[each] for each in messages]
        await connection.execute(NOTE, {"messages": messages, "mails": mails})


async def threads_of(connection: AsyncConnection, wanted: Iterable[About]) -> Mapping[str, Thread]:
    """The thread of each message, by its id; NO_THREAD where nothing came before."""
    asked = list(wanted)
    if not asked:
        return {}
    enrollments = sorted({each.enrollment_id for each in asked if each.enrollment_id})
    leads = sorted({each.lead_id for each in asked})
    of_enrollment: dict[str, list[Mail]] = defaultdict(list)
    last_of_lead: dict[str, Mail] = {}
    for row in await connection.execute(SENT, {"enrollments": enrollments}):
        if is_mail_id(row.mail_id):
            of_enrollment[row.enrollment_id].append(
                Mail(mail_id=row.mail_id, subject=row.subject or "", at=row.at, by_lead=False)
            )
    for row in await connection.execute(WRITTEN, {"leads": leads}):
        mail = Mail(mail_id=row.mail_id, subject=row.subject, at=row.at, by_lead=True)
        last_of_lead[row.lead_id] = mail
        if row.enrollment_id is not None:
            of_enrollment[row.enrollment_id].append(mail)
    found = {}
    for each in asked:
        if each.enrollment_id is not None:
            mails = sorted(of_enrollment[each.enrollment_id], key=lambda mail: mail.at)
        else:
            mails = [last_of_lead[each.lead_id]] if each.lead_id in last_of_lead else []
        found[each.message_id] = Thread(tuple(mails)) if mails else NO_THREAD
    return found


async def alone_with(connection: AsyncConnection, asked: Sequence[Asked]) -> None:
    """Until the transaction ends nobody else answers these addresses."""
    if asked:
        keys = [f"answers {each.tenant_id} {each.channel} {each.address}" for each in asked]
        await connection.execute(ALONE, {"keys": keys})


async def stopped_before(connection: AsyncConnection, asked: Sequence[Asked]) -> set[str]:
    """The message ids of those whose address was on the list by another event already."""
    rows = [
        {
            "ord": number,
            "tenant_id": each.tenant_id,
            "channel": each.channel,
            "address": each.address,
            "cause_id": each.event_id,
        }
        for number, each in enumerate(asked)
    ]
    found = await connection.scalars(STOPPED, {"rows": json.dumps(rows)})
    return {asked[number].message_id for number in found}
