"""The tables that are filled by projection, column by column. The SQL is in migrations/."""

from __future__ import annotations

from portal_api.projections.rows import FIRST, GREATEST, LAST, LEAST, Rule, Table, by


def _all(rule: Rule, *columns: str) -> dict[str, Rule]:
    return dict.fromkeys(columns, rule)


PROFILE = (
    "status", "first_name", "last_name", "email", "phone", "company", "title", "address",
    "service", "message", "urgency", "budget", "timezone", "timezone_from", "language",
    "attribution", "received", "extra", "quarantine_reasons",
)  # fmt: skip

LEADS = Table(
    "leads",
    ("lead_id",),
    {
        "tenant_id": FIRST,
        "source": FIRST,
        "external_id": FIRST,
        "merged_into": LAST,
        # Two intake workers may publish for one lead in either order: the revision decides.
        **_all(by("revision"), *PROFILE),
        "revision": GREATEST,
        **_all(by("stage_revision"), "stage"),
        "stage_revision": GREATEST,
        **_all(by("qualified_at"), "fit", "intent", "temperature", "qualification", "next_action"),
        "qualified_at": GREATEST,
        "owner": LAST,
        "created_at": LEAST,
        "updated_at": GREATEST,
    },
)

CONSENTS = Table(
    "consents",
    ("lead_id", "channel"),
    {
        "tenant_id": FIRST,
        **_all(by("as_of"), "granted", "basis", "at"),
        "as_of": GREATEST,
    },
)

STAGE_MOVES = Table(
    "stage_moves",
    ("event_id",),
    _all(FIRST, "tenant_id", "lead_id", "from_stage", "to_stage", "at"),
)

REPLIES = Table(
    "replies",
    ("event_id",),
    _all(FIRST, "tenant_id", "lead_id", "message_id", "channel", "at", "text", "automatic"),
)

TIMELINE = Table(
    "timeline",
    ("event_id",),
    _all(
        FIRST,
        "tenant_id", "lead_id", "topic", "type", "source", "occurred_at", "recorded_at", "data",
    ),
)  # fmt: skip

RAW_EVENTS = Table(
    "raw_events",
    ("tenant_id", "event_id"),
    {
        **_all(FIRST, "kind", "source", "external_id", "created_lead_id"),
        "received_at": LEAST,
        **_all(by("outcome_rank"), "outcome", "lead_id"),
        "outcome_rank": GREATEST,
    },
)

FIRST_TOUCHES = Table("first_touches", ("lead_id",), {"tenant_id": FIRST, "accepted_at": LEAST})

DEAD_LETTERS = Table(
    "dead_letters",
    ("topic", "partition", "offset"),
    {
        **_all(
            FIRST,
            "tenant_id", "event_id", "service", "origin_topic", "origin_partition",
            "origin_offset", "error", "reason", "at", "cause", "was", "stuck", "replay_of",
        ),
        # Reviews are in one partition: what comes last is the last word.
        **_all(LAST, "state", "reviewed_at", "reviewed_by", "review_reason", "run_id"),
    },
)  # fmt: skip

DEAD_LETTER_REVIEWS = Table(
    "dead_letter_reviews",
    ("event_id",),
    _all(
        FIRST,
        "topic", "partition", "offset", "action", "at", "reviewed_by", "reason", "chosen", "run_id",
    ),
)  # fmt: skip

SEQUENCES = Table(
    "sequences",
    ("sequence_id", "version"),
    # A published version never changes.
    _all(FIRST, "tenant_id", "name", "status", "definition", "published_at"),
)

ENROLLMENTS = Table(
    "enrollments",
    ("enrollment_id",),
    {
        **_all(
            FIRST,
            "tenant_id", "lead_id", "sequence_id", "entry", "enrolled_at", "enrolled_by",
            "trigger_event_id",
        ),
        # The events of one lead come in order, each once: what comes last is so.
        **_all(LAST, "sequence_version", "status", "stop_rule", "stop_inputs", "ended_at"),
        **_all(LAST, "held_by"),
        "next_due_at": LAST,
        "steps_done": GREATEST,
        "updated_at": GREATEST,
    },
)  # fmt: skip

REFUSALS = Table(
    "refusals",
    ("event_id",),
    _all(FIRST, "tenant_id", "lead_id", "sequence_id", "trigger_event_id", "rule", "inputs", "at"),
)

MESSAGES = Table(
    "messages",
    ("message_id",),
    {
        **_all(
            FIRST,
            "tenant_id", "lead_id", "enrollment_id", "sequence_id", "step_id", "channel",
            "attempt", "first_message_id", "recipient", "template_name", "variables",
            "compliance_note",
        ),
        # What was recorded for a person is the text as it was rendered: it comes last.
        **_all(LAST, "subject", "body"),
        # `messages` and `message-events` are read in either order: the state with the higher
        # rank is the later one.
        **_all(by("rank"), "state", "rule", "inputs", "reason", "provider", "provider_id"),
        "attempts": GREATEST,
        "rank": GREATEST,
        "scheduled_for": LAST,
        **_all(
            LEAST,
            "queued_at", "sent_at", "delivered_at", "opened_at", "clicked_at", "bounced_at",
            "complained_at", "replied_at",
        ),
        "clicked_url": FIRST,
        "updated_at": GREATEST,
    },
)  # fmt: skip

TEST_SENDS = Table(
    "test_sends",
    ("message_id",),
    {
        **_all(FIRST, "tenant_id", "recipient", "template_name"),
        **_all(by("rank"), "state", "rule", "reason"),
        "rank": GREATEST,
        **_all(LEAST, "queued_at", "sent_at"),
        "updated_at": GREATEST,
    },
)

CONTROLS = Table(
    "controls",
    ("scope",),
    {
        "tenant_id": FIRST,
        **_all(by("at"), "paused", "reason", "changed_by"),
        "at": GREATEST,
    },
)

SUPPRESSIONS = Table(
    "suppressions",
    ("suppression_id",),
    {
        **_all(FIRST, "tenant_id", "channel", "address", "reason"),
        **_all(
            by("rank"),
            "active", "source", "changed_by", "note", "evidence", "cause_id", "changed_at",
        ),
        "rank": GREATEST,
    },
)  # fmt: skip

SUMMARIES = Table(
    "summaries",
    ("summary_id",),
    {
        **_all(
            FIRST,
            "tenant_id", "project_id", "lead_id", "owner", "text", "text_hash", "risk_flags",
            "next_action", "decided_by", "created_at",
        ),
        # A decision is one thing: all of it is replaced, or none.
        **_all(
            by("reviewed_at"), "decision", "covered_hash", "approved_text", "reviewer", "reason"
        ),
        "reviewed_at": GREATEST,
    },
)  # fmt: skip
