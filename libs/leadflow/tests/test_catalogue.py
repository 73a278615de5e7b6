"""The catalogue of topics holds together: types, services, partitions, dead letters."""

from __future__ import annotations

from collections import Counter

import pytest

from leadflow import topics
from leadflow.records import RECORD_TYPES, LeadRecord
from leadflow.topic import Topic

SERVICES = {"intake", "sequencer", "dispatcher", "crm-sync", "portal-api"}
BY_NAME = {topic.name: topic for topic in topics.ALL}
EVERY_TOPIC = pytest.mark.parametrize("topic", topics.ALL, ids=str)

# The table of design.md, "Topics", and seven more: a channel without a provider ends as recorded
# (product.md), a migration is an event for each lead, so is another contact's reply,
# suppression lists are kept by people too (ADR 20), what people do about dead letters is in the
# log (ADR 30), and so is how CRM accounts and what is on its way to them stand (ADR 28), and
# what is changed in CRMs (ADR 29).
DESIGN = {
    "raw-events": "RawEvent",
    "lead-events": "LeadCreated LeadUpdated LeadMerged LeadQualified StageChanged CallMissed "
    "QuoteRequested ReplyReceived AccountReplied BookingMade JobCompleted ConsentChanged "
    "ProviderEnriched CrmChangeSettled",
    "sequence-definitions": "SequencePublished",
    "automation-controls": "AutomationPaused AutomationResumed",
    "suppressions": "SuppressionChanged",
    "enrollment-commands": "EnrollRequested EnrollmentPauseRequested EnrollmentResumeRequested "
    "EnrollmentStopRequested EnrollmentMigrateRequested ResendRequested TaskCompleted",
    "enrollment-events": "Enrolled EnrollmentRefused StepScheduled StepSkipped StepFired "
    "EnrollmentPaused EnrollmentResumed EnrollmentMigrated EnrollmentStopped "
    "EnrollmentCompleted CommandRefused",
    "sequencer-ticks": "Tick",
    "messages": "MessageQueued",
    "message-reviews": "MessageReviewed DoubtSettled",
    "message-events": "MessageHeld MessageSent MessageRecorded MessageFailed MessageSuppressed "
    "MessageUnknown MessageDelivered MessageOpened MessageClicked MessageBounced "
    "MessageComplained",
    "summaries": "SummaryCreated SummaryReviewed",
    "crm-sync-events": "SyncRunRecorded",
    "crm-accounts": "AccountStatusChanged",
    "crm-notices": "CrmNoticed",
    "crm-sync-retry-30s": "",
    "crm-sync-retry-5m": "",
    "crm-sync-retry-1h": "",
    **{f"{service}-dlq": "" for service in SERVICES},
    "dead-letter-reviews": "DeadLetterReviewed",
}


def test_the_topics_are_those_of_the_design() -> None:
    found = {topic.name: {each.TYPE for each in topic.records} for topic in topics.ALL}
    assert found == {name: set(types.split()) for name, types in DESIGN.items()}


def test_every_record_type_is_in_exactly_one_topic() -> None:
    homes = Counter(record_type for topic in topics.ALL for record_type in topic.records)
    assert homes == dict.fromkeys(RECORD_TYPES, 1)


@EVERY_TOPIC
def test_producers_and_consumers_are_known(topic: Topic) -> None:
    assert topic.producers
    assert topic.consumers
    assert set(topic.producers) <= SERVICES | {"upstream", "operators"}
    assert set(topic.consumers) <= SERVICES | {"operators"}


@EVERY_TOPIC
def test_a_topic_has_the_records_of_a_lead_if_it_is_keyed_by_lead(topic: Topic) -> None:
    if topic.records:
        of_leads = {issubclass(record_type, LeadRecord) for record_type in topic.records}
        assert of_leads == {topic.key == "lead_id"}


def test_topics_keyed_by_lead_and_the_ticks_share_one_number_of_partitions() -> None:
    together = [topic for topic in topics.ALL if topic.key in ("lead_id", "partition number")]
    assert len({topic.partitions for topic in together}) == 1


def test_every_service_has_its_dead_letter_topic() -> None:
    for service in SERVICES:
        assert BY_NAME[f"{service}-dlq"].producers == (service,)


@EVERY_TOPIC
def test_a_compacted_topic_is_read_whole_so_one_partition_is_enough(topic: Topic) -> None:
    assert topic.compacted == (
        topic.key in ("scope", "sequence_id:version", "suppression_id", "account_id")
    )
    if topic.compacted:
        assert topic.partitions == 1


@EVERY_TOPIC
def test_a_retention_is_a_word_or_a_number_of_days(topic: Topic) -> None:
    time = topic.retention_time
    assert (time is None) == (topic.retention in ("compact", "forever"))
    assert time is None or time.days > 0
