"""What a reviewer's word does to a held message."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dispatcher.callbacks import Reported
from dispatcher.content import Identity, Writer
from dispatcher.reviews import Approve, Refuse, Reject, judge
from leadflow.records import MessageReviewed
from leadflow.tenants import Tenant
from leadflow.tokens import Sealer

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
MESSAGE = Reported(
    message_id="m-1",
    tenant_id="acme",
    lead_id="lead-1",
    owner=None,
    enrollment_id=None,
    sequence_id=None,
    step_id=None,
    channel="email",
    recipient="ann@example.com",
    provider=None,
    provider_id=None,
)

ACME = Tenant(tenant_id="acme", name="Acme", postal_address="1 Main St, Austin, TX 78701")
WRITER = Writer(Identity(), Sealer("only for tests"), {"acme": ACME})


def word(decision: str, body_hash: str = "h", **edited: str) -> MessageReviewed:
    return MessageReviewed(
        event_id="r-1",
        tenant_id="acme",
        occurred_at=NOW,
        recorded_at=NOW,
        source="portal-api",
        lead_id="lead-1",
        message_id="m-1",
        decision=decision,
        body_hash=body_hash,
        reviewer="ren",
        edited_subject=edited.get("subject"),
        edited_body=edited.get("body"),
    )


def judged(review: MessageReviewed, rule: str, sha256: str | None) -> Approve | Reject | Refuse:
    return judge(review, MESSAGE, rule, sha256, WRITER, made_of={"purpose": "reply"})


def test_an_approval_of_these_bytes_lets_it_go() -> None:
    assert judged(word("approved", "h"), "review", "h") == Approve(None)


def test_an_approval_of_other_bytes_changes_nothing() -> None:
    judgement = judged(word("approved", "old"), "review", "h")
    assert isinstance(judgement, Refuse)
    assert judgement.rule == "approval_covers_other_bytes"


def test_an_approval_cannot_fill_a_hole() -> None:
    assert isinstance(judged(word("approved", ""), "template_value_missing", None), Refuse)


@pytest.mark.parametrize("rule", ["paused", "no_consent"])
def test_no_approval_gets_round_a_pause_or_a_missing_consent(rule: str) -> None:
    assert isinstance(judged(word("approved", "h"), rule, "h"), Refuse)
    assert isinstance(judged(word("edited", subject="a", body="b"), rule, "h"), Refuse)


def test_an_edit_brings_its_own_bytes() -> None:
    judgement = judged(
        word("edited", subject="Hi\r\nBcc: x", body="Hello Ann"), "template_value_missing", None
    )
    assert isinstance(judgement, Approve)
    assert judgement.content is not None
    send = judgement.content.send()
    assert (send["subject"], send["text"]) == ("Hi Bcc: x", "Hello Ann")


def test_an_edited_message_of_a_sequence_says_who_sends_it_and_how_to_stop_it() -> None:
    review = word("edited", subject="Hi", body="Hello Ann")
    message = replace(MESSAGE, sequence_id="acme.first-touch")
    made_of = {"purpose": "sequence", "postal_address": "2 Elm St, Austin, TX 78701"}
    judgement = judge(review, message, "template_value_missing", None, WRITER, made_of=made_of)
    assert isinstance(judgement, Approve)
    assert judgement.content is not None
    send = judgement.content.send()
    url = WRITER.unsubscribe_url(message)
    assert send["text"] == f"Hello Ann\n\n2 Elm St, Austin, TX 78701\nUnsubscribe: {url}"
    assert send["headers"]["List-Unsubscribe"] == f"<{url}>"


@pytest.mark.parametrize("rule", ["review", "paused", "template_error"])
def test_a_rejection_ends_it(rule: str) -> None:
    assert isinstance(judged(word("rejected"), rule, "h"), Reject)


def test_no_approval_lets_out_a_message_that_does_not_say_who_sends_it() -> None:
    refused = judged(word("approved", "h"), "compliance_footer_missing", "h")
    assert isinstance(refused, Refuse)
    assert refused.rule == "compliance_footer_missing"
