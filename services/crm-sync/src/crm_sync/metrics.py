"""What crm-sync counts beside the shared library's metrics."""

from __future__ import annotations

from prometheus_client import Counter

# Writes to the CRM by what they write (contact, note, task) and outcome: written, or the kind of
# the error. A rise of anything but written says what the CRM does to us.
CALLS = Counter("leadflow_crm_writes", "Writes to the CRM, by outcome", ["what", "outcome"])
# Rows of what CRMs say was changed there, by what came of a look at them: changed, unchanged,
# nobody (no lead of ours), given_up, or the kind of the error.
NOTICES = Counter("leadflow_crm_notices", "Looks at what CRMs told of, by outcome", ["outcome"])
# Records put into a retry topic, by topic; those of parked leads included.
PARKED = Counter("leadflow_crm_parked", "Records put into a retry topic", ["topic"])
