"""Every metric that the shared library reports, in one place. Seconds and counts only."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

# Records read and committed, by consumer loop.
RECORDS = Counter("leadflow_records", "Records handled and committed", ["loop"])
# Records that went to the dead-letter topic.
DEAD_LETTERS = Counter("leadflow_dead_letters", "Records sent to the dead-letter topic", ["loop"])
# Batches repeated because a retry could help; a rise means that something outside is down.
RETRIES = Counter("leadflow_retries", "Batches repeated after a passing failure", ["loop"])
# Records not yet read, over all partitions that this process owns.
LAG = Gauge("leadflow_consumer_lag", "Records behind the end of the log", ["loop"])
# From the first effect of a batch to its committed offsets.
BATCH_SECONDS = Histogram(
    "leadflow_batch_seconds",
    "Time to handle and commit a batch",
    ["loop"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
