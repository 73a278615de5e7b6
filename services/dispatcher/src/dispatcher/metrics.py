"""Every metric that the dispatcher reports, in one place. Seconds and counts only."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

# Decisions about claimed messages; `queued` is a retry.
MESSAGES = Counter("leadflow_dispatcher_messages", "Decisions", ["channel", "state"])
# Answers and silences of providers.
ANSWERS = Counter("leadflow_dispatcher_answers", "Answers of providers", ["provider", "answer"])
# Claims that ended before their outcome was recorded; a rise means that leases are too short.
LOST_CLAIMS = Counter("leadflow_dispatcher_lost_claims", "Outcomes of claims that were not ours")
# One call, of one message or of a batch.
PROVIDER_SECONDS = Histogram(
    "leadflow_dispatcher_provider_seconds",
    "Time that a provider took to answer",
    ["provider"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
# Reports of providers that were judged: `applied`, or the rule that refused them.
CALLBACKS = Counter("leadflow_dispatcher_callbacks", "Reports judged", ["kind", "outcome"])
