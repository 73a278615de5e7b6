"""What the notes do not agree on. Each question is one statement; its rows are disagreements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from leadflow_cli.verify.columns import AS_QUEUED
from leadflow_cli.verify.kinds import Disagreement, Kind
from leadflow_cli.verify.notes import Notes

ENDS = "('sent', 'failed', 'unknown', 'suppressed', 'recorded')"


@dataclass(frozen=True, slots=True)
class Question:
    """A statement that gives tenant, message and detail of each disagreement."""

    kind: Kind
    asked: str


def differing(columns: dict[str, str]) -> tuple[str, str]:
    """Two pieces of SQL: the names of the columns in which two rows differ, and whether they do in
    any. `columns` says when, by the name."""
    names = " || ".join(
        f"CASE WHEN {when} THEN {name} || ', ' ELSE '' END" for name, when in columns.items()
    )
    return f"rtrim({names}, ', ')", " OR ".join(f"({when})" for when in columns.values())


# What was erased, of a person's address or of an answer, has no hash any more.
OF_CHAIN, UNLIKE_CHAIN = differing(
    {
        "'tenant_id'": "l.tenant_id <> c.tenant_id",
        "'state (' || c.state || ', now ' || l.state || ')'": "l.state <> c.state",
        "'rule'": "l.rule IS NOT c.rule",
        "'body_sha256'": "l.body_sha256 IS NOT c.body_sha256",
        "'provider'": "l.provider IS NOT c.provider",
        "'provider_id'": "l.provider_id IS NOT c.provider_id",
        "'response'": "l.response_sha256 IS NOT NULL "
        "AND l.response_sha256 IS NOT c.response_sha256",
        "'lead_id'": "c.format > 1 AND l.lead_id IS NOT c.lead_id",
        "'channel'": "c.format > 1 AND l.channel IS NOT c.channel",
        "'changed_at'": "l.changed_at_us <> c.at_us",
        "'recipient, address or salt'": "c.format > 1 AND l.to_sha256 IS NOT NULL "
        "AND l.to_sha256 IS NOT c.to_sha256",
    }
)
# An answer to a keyword stands in no topic: of it no lead is noted.
OF_TOPIC, UNLIKE_TOPIC = differing(
    {
        "'tenant_id'": "l.tenant_id <> q.tenant_id",
        "'lead_id'": "l.lead_id <> q.lead_id",
        "'channel'": "l.channel <> q.channel",
        "'recipient'": "q.lead_id IS NOT NULL AND l.recipient_sha256 IS NOT NULL "
        "AND l.recipient_sha256 IS NOT q.recipient_sha256",
        "'address'": "q.lead_id IS NOT NULL AND l.address_sha256 IS NOT NULL "
        "AND l.address_sha256 IS NOT q.address_sha256",
        **{
            f"'{name}'": "q.lead_id IS NOT NULL AND l.as_queued <> q.as_queued AND "
            f"json_extract(l.as_queued, '$.{name}') IS NOT json_extract(q.as_queued, '$.{name}')"
            for name in AS_QUEUED
        },
    }
)

# Asked while ledger and chain are those of one moment.
OF_THE_CHAIN = (
    Question(
        Kind.LEDGER_ROW_CHANGED,
        f"""
        SELECT c.tenant_id, c.message_id,
            'the chain (row ' || c.seq || ') and the ledger differ in ' || {OF_CHAIN}
        FROM chained c JOIN ledger l USING (message_id) WHERE {UNLIKE_CHAIN}
        """,  # noqa: S608 # constants
    ),
    Question(
        Kind.LEDGER_ROW_REMOVED,
        """
        SELECT c.tenant_id, c.message_id,
            'the chain (row ' || c.seq || ') says ' || c.state || ', the ledger has no such message'
        FROM chained c LEFT JOIN ledger l USING (message_id) WHERE l.message_id IS NULL
        """,
    ),
    Question(
        Kind.NOT_IN_CHAIN,
        f"""
        SELECT l.tenant_id, l.message_id, 'is ' || l.state || ', and the chain has no row of it'
        FROM ledger l LEFT JOIN chained c USING (message_id)
        WHERE l.state IN {ENDS} AND c.message_id IS NULL
        """,  # noqa: S608 # a constant
    ),
)

OF_THE_LOG = (
    Question(
        Kind.TOPIC_NOT_IN_LEDGER,
        """
        SELECT q.tenant_id, q.message_id, 'was queued and read, and the ledger has no such message'
        FROM queued q LEFT JOIN ledger l USING (message_id)
        WHERE q.read AND l.message_id IS NULL AND NOT EXISTS (
            SELECT 1 FROM places p JOIN dead d USING (partition, offset)
            WHERE p.message_id = q.message_id
        )
        """,
    ),
    Question(
        Kind.UNREADABLE_NOT_DEAD,
        """
        SELECT NULL, NULL, 'messages[' || p.partition || ']@' || p.offset
            || ' cannot be read, was passed over, and is no dead letter'
        FROM places p LEFT JOIN dead d USING (partition, offset)
        WHERE p.message_id IS NULL AND d.offset IS NULL
        """,
    ),
    Question(
        Kind.TOPIC_DIFFERS,
        f"""
        SELECT l.tenant_id, l.message_id,
            'what was queued and the ledger differ in ' || {OF_TOPIC}
        FROM queued q JOIN ledger l USING (message_id) WHERE {UNLIKE_TOPIC}
        """,  # noqa: S608 # constants
    ),
    Question(
        Kind.LEDGER_NOT_IN_TOPIC,
        """
        SELECT l.tenant_id, l.message_id, 'is ' || l.state || ', and was never queued'
        FROM ledger l LEFT JOIN queued q USING (message_id) WHERE q.message_id IS NULL
        """,
    ),
    Question(
        Kind.END_WITHOUT_EVENT,
        f"""
        SELECT l.tenant_id, l.message_id, 'is ' || l.state || ', and no event says so'
        FROM ledger l LEFT JOIN told t USING (message_id, state)
        WHERE l.state IN {ENDS} AND t.message_id IS NULL
        """,  # noqa: S608 # a constant
    ),
    Question(
        Kind.EVENT_WITHOUT_END,
        """
        SELECT t.tenant_id, t.message_id, 'an event says ' || t.state || ', the ledger '
            || coalesce('says ' || l.state, 'has no such message')
        FROM told t LEFT JOIN ledger l USING (message_id)
        WHERE l.state IS NOT t.state
            AND NOT (t.state = 'unknown' AND coalesce(l.state, '') IN ('sent', 'failed'))
        """,
    ),
    Question(
        Kind.EVENT_DIFFERS,
        """
        SELECT l.tenant_id, l.message_id, 'the event and the ledger differ in ' || CASE
            WHEN l.body_sha256 IS NOT t.body_sha256 THEN 'body_sha256' ELSE 'provider_id' END
        FROM told t JOIN ledger l USING (message_id, state)
        WHERE (t.body_sha256 IS NOT NULL AND l.body_sha256 IS NOT t.body_sha256)
            OR (t.provider_id IS NOT NULL AND l.provider_id IS NOT t.provider_id)
        """,
    ),
)

# `since`: what was sent before the provider's list begins cannot be asked after.
OF_THE_PROVIDER = (
    Question(
        Kind.ACCEPTED_TWICE,
        """
        SELECT (SELECT tenant_id FROM ledger WHERE message_id = a.key), a.key,
            'was accepted ' || count(*) || ' times: ' || group_concat(a.id, ', ')
        FROM accepted a WHERE a.key IS NOT NULL GROUP BY a.key HAVING count(*) > 1
        """,
    ),
    Question(
        Kind.ACCEPTED_NOT_SENT,
        """
        SELECT l.tenant_id, l.message_id, 'was accepted as ' || min(a.id) || ', and is ' || l.state
        FROM accepted a JOIN ledger l ON l.message_id = a.key
        WHERE a.early AND l.state NOT IN ('sent', 'unknown')
            AND NOT (l.in_doubt AND l.state IN ('queued', 'claimed', 'held'))
        GROUP BY l.message_id
        """,
    ),
    Question(
        Kind.SENT_NOT_ACCEPTED,
        """
        SELECT l.tenant_id, l.message_id,
            'is sent over ' || coalesce(l.provider, l.channel) || ', which did not accept it'
        FROM ledger l LEFT JOIN accepted a ON a.key = l.message_id
        WHERE l.state = 'sent' AND a.id IS NULL AND l.changed_at_us >= :since
        """,
    ),
    Question(
        Kind.ACCEPTED_OTHER_BYTES,
        """
        SELECT l.tenant_id, l.message_id,
            'accepted as ' || a.id || ' with the hash ' || a.body_sha256
            || ', and what is kept makes ' || l.wire_sha256
        FROM accepted a JOIN ledger l ON l.message_id = a.key
        WHERE a.body_sha256 IS NOT NULL AND a.body_sha256 <> l.wire_sha256
        """,
    ),
)

OF_ALL_TENANTS = (
    Question(
        Kind.ACCEPTED_WITHOUT_KEY,
        "SELECT NULL, NULL, a.id || ' was accepted without a key' FROM accepted a "
        "WHERE a.key IS NULL",
    ),
    Question(
        Kind.ACCEPTED_NEVER_QUEUED,
        """
        SELECT NULL, a.key,
            'was accepted as ' || min(a.id) || ', and the ledger has no such message'
        FROM accepted a LEFT JOIN ledger l ON l.message_id = a.key
        WHERE a.early AND a.key IS NOT NULL AND l.message_id IS NULL GROUP BY a.key
        """,
    ),
)

# Messages about which the ledger may have more to say by now: asked again before the verdict.
SUSPECTS = """
    CREATE TABLE suspects AS SELECT q.message_id FROM queued q LEFT JOIN ledger l USING (message_id)
    WHERE q.read AND l.message_id IS NULL
    UNION
    SELECT t.message_id FROM told t LEFT JOIN ledger l USING (message_id)
    WHERE l.state IS NOT t.state
    UNION
    SELECT a.key FROM accepted a LEFT JOIN ledger l ON l.message_id = a.key
    WHERE a.key IS NOT NULL AND (l.message_id IS NULL OR l.state <> 'sent')
"""


def asked(
    notes: Notes, questions: tuple[Question, ...], **values: object
) -> Iterator[Disagreement]:
    """Every disagreement that the questions find, in their order."""
    for question in questions:
        for tenant_id, message_id, detail in notes.db.execute(question.asked, values):
            yield Disagreement(question.kind, tenant_id, message_id, detail)
