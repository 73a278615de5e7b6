"""Generated from `schemas/` by `make schemas`. Do not edit."""

from leadflow import records
from leadflow.topic import Topic

RAW_EVENTS = Topic(
    name="raw-events",
    key="tenant:source:external_id",
    records=(records.RawEvent,),
    partitions=12,
    retention="90d",
    producers=("upstream", "portal-api", "crm-sync"),
    consumers=("intake", "dispatcher", "portal-api"),
)
LEAD_EVENTS = Topic(
    name="lead-events",
    key="lead_id",
    records=(
        records.LeadCreated,
        records.LeadUpdated,
        records.LeadMerged,
        records.LeadQualified,
        records.StageChanged,
        records.CallMissed,
        records.QuoteRequested,
        records.ReplyReceived,
        records.AccountReplied,
        records.BookingMade,
        records.JobCompleted,
        records.ConsentChanged,
        records.ProviderEnriched,
        records.CrmChangeSettled,
    ),
    partitions=12,
    retention="forever",
    producers=("intake",),
    consumers=("sequencer", "dispatcher", "crm-sync", "portal-api"),
)
SEQUENCE_DEFINITIONS = Topic(
    name="sequence-definitions",
    key="sequence_id:version",
    records=(records.SequencePublished,),
    partitions=1,
    retention="compact",
    producers=("portal-api",),
    consumers=("sequencer", "portal-api"),
)
AUTOMATION_CONTROLS = Topic(
    name="automation-controls",
    key="scope",
    records=(
        records.AutomationPaused,
        records.AutomationResumed,
    ),
    partitions=1,
    retention="compact",
    producers=("portal-api", "dispatcher"),
    consumers=("sequencer", "dispatcher", "portal-api"),
)
SUPPRESSIONS = Topic(
    name="suppressions",
    key="suppression_id",
    records=(records.SuppressionChanged,),
    partitions=1,
    retention="compact",
    producers=("portal-api", "dispatcher"),
    consumers=("dispatcher", "portal-api"),
)
ENROLLMENT_COMMANDS = Topic(
    name="enrollment-commands",
    key="lead_id",
    records=(
        records.EnrollRequested,
        records.EnrollmentPauseRequested,
        records.EnrollmentResumeRequested,
        records.EnrollmentStopRequested,
        records.EnrollmentMigrateRequested,
        records.ResendRequested,
        records.TaskCompleted,
    ),
    partitions=12,
    retention="forever",
    producers=("portal-api",),
    consumers=("sequencer", "portal-api"),
)
ENROLLMENT_EVENTS = Topic(
    name="enrollment-events",
    key="lead_id",
    records=(
        records.Enrolled,
        records.EnrollmentRefused,
        records.StepScheduled,
        records.StepSkipped,
        records.StepFired,
        records.EnrollmentPaused,
        records.EnrollmentResumed,
        records.EnrollmentMigrated,
        records.EnrollmentStopped,
        records.EnrollmentCompleted,
        records.CommandRefused,
    ),
    partitions=12,
    retention="forever",
    producers=("sequencer",),
    consumers=("dispatcher", "crm-sync", "portal-api"),
)
SEQUENCER_TICKS = Topic(
    name="sequencer-ticks",
    key="partition number",
    records=(records.Tick,),
    partitions=12,
    retention="1d",
    producers=("sequencer",),
    consumers=("sequencer",),
)
MESSAGES = Topic(
    name="messages",
    key="lead_id",
    records=(records.MessageQueued,),
    partitions=12,
    retention="forever",
    producers=("sequencer", "portal-api"),
    consumers=("intake", "dispatcher", "portal-api"),
)
MESSAGE_REVIEWS = Topic(
    name="message-reviews",
    key="lead_id",
    records=(
        records.MessageReviewed,
        records.DoubtSettled,
    ),
    partitions=12,
    retention="forever",
    producers=("portal-api",),
    consumers=("dispatcher", "portal-api"),
)
MESSAGE_EVENTS = Topic(
    name="message-events",
    key="lead_id",
    records=(
        records.MessageHeld,
        records.MessageSent,
        records.MessageRecorded,
        records.MessageFailed,
        records.MessageSuppressed,
        records.MessageUnknown,
        records.MessageDelivered,
        records.MessageOpened,
        records.MessageClicked,
        records.MessageBounced,
        records.MessageComplained,
    ),
    partitions=12,
    retention="forever",
    producers=("dispatcher",),
    consumers=("sequencer", "crm-sync", "portal-api"),
)
SUMMARIES = Topic(
    name="summaries",
    key="lead_id",
    records=(
        records.SummaryCreated,
        records.SummaryReviewed,
    ),
    partitions=12,
    retention="forever",
    producers=("intake", "portal-api"),
    consumers=("crm-sync", "portal-api"),
)
CRM_SYNC_RETRY_30S = Topic(
    name="crm-sync-retry-30s",
    key="lead_id",
    records=(),
    partitions=12,
    retention="7d",
    producers=("crm-sync",),
    consumers=("crm-sync",),
)
CRM_SYNC_RETRY_5M = Topic(
    name="crm-sync-retry-5m",
    key="lead_id",
    records=(),
    partitions=12,
    retention="7d",
    producers=("crm-sync",),
    consumers=("crm-sync",),
)
CRM_SYNC_RETRY_1H = Topic(
    name="crm-sync-retry-1h",
    key="lead_id",
    records=(),
    partitions=12,
    retention="7d",
    producers=("crm-sync",),
    consumers=("crm-sync",),
)
CRM_SYNC_EVENTS = Topic(
    name="crm-sync-events",
    key="lead_id",
    records=(records.SyncRunRecorded,),
    partitions=12,
    retention="400d",
    producers=("crm-sync",),
    consumers=("portal-api",),
)
CRM_NOTICES = Topic(
    name="crm-notices",
    key="tenant:provider:crm_id",
    records=(records.CrmNoticed,),
    partitions=12,
    retention="7d",
    producers=("portal-api",),
    consumers=("crm-sync",),
)
CRM_ACCOUNTS = Topic(
    name="crm-accounts",
    key="account_id",
    records=(records.AccountStatusChanged,),
    partitions=1,
    retention="compact",
    producers=("crm-sync",),
    consumers=("portal-api",),
)
INTAKE_DLQ = Topic(
    name="intake-dlq",
    key="as the source",
    records=(),
    partitions=12,
    retention="forever",
    producers=("intake",),
    consumers=("portal-api",),
)
SEQUENCER_DLQ = Topic(
    name="sequencer-dlq",
    key="as the source",
    records=(),
    partitions=12,
    retention="forever",
    producers=("sequencer",),
    consumers=("portal-api",),
)
DISPATCHER_DLQ = Topic(
    name="dispatcher-dlq",
    key="as the source",
    records=(),
    partitions=12,
    retention="forever",
    producers=("dispatcher",),
    consumers=("portal-api",),
)
CRM_SYNC_DLQ = Topic(
    name="crm-sync-dlq",
    key="as the source",
    records=(),
    partitions=12,
    retention="forever",
    producers=("crm-sync",),
    consumers=("portal-api",),
)
PORTAL_API_DLQ = Topic(
    name="portal-api-dlq",
    key="as the source",
    records=(),
    partitions=12,
    retention="forever",
    producers=("portal-api",),
    consumers=("operators",),
)
DEAD_LETTER_REVIEWS = Topic(
    name="dead-letter-reviews",
    key="dead letter",
    records=(records.DeadLetterReviewed,),
    partitions=1,
    retention="forever",
    producers=("portal-api", "operators"),
    consumers=("portal-api",),
)

ALL: tuple[Topic, ...] = (
    RAW_EVENTS,
    LEAD_EVENTS,
    SEQUENCE_DEFINITIONS,
    AUTOMATION_CONTROLS,
    SUPPRESSIONS,
    ENROLLMENT_COMMANDS,
    ENROLLMENT_EVENTS,
    SEQUENCER_TICKS,
    MESSAGES,
    MESSAGE_REVIEWS,
    MESSAGE_EVENTS,
    SUMMARIES,
    CRM_SYNC_RETRY_30S,
    CRM_SYNC_RETRY_5M,
    CRM_SYNC_RETRY_1H,
    CRM_SYNC_EVENTS,
    CRM_NOTICES,
    CRM_ACCOUNTS,
    INTAKE_DLQ,
    SEQUENCER_DLQ,
    DISPATCHER_DLQ,
    CRM_SYNC_DLQ,
    PORTAL_API_DLQ,
    DEAD_LETTER_REVIEWS,
)
