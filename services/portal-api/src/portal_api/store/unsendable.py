"""The rule that keeps a waiting message from its lead, as SQL: what a preview must not count.

As the sequencer finds it when the step's turn comes (its decide/recipients.py, and
`bulk.decide.enrolling` for the first step): the newest word on the channel or on all of them, at
one moment a refusal. What already is a message has a recipient, and the dispatcher asks only
whether SMS and WhatsApp were granted.
"""

from __future__ import annotations

# Tables beside `w`, of which lead_id, enrollment_id, sequence_id and channel are read.
BESIDE = """
LEFT JOIN leads l ON l.lead_id = w.lead_id
LEFT JOIN enrollments run ON run.enrollment_id = w.enrollment_id
LEFT JOIN sequences s ON s.sequence_id = w.sequence_id AND s.version = run.sequence_version
LEFT JOIN LATERAL (
    SELECT c.granted FROM consents c
    WHERE c.lead_id = w.lead_id AND c.channel IN (w.channel, 'all') AND c.granted IS NOT NULL
    ORDER BY c.at DESC, c.granted LIMIT 1
) AS word ON true
"""

# '' where nothing does. `w.held_at` is `step` or `message`.
RULE = """
CASE
    WHEN w.channel NOT IN ('email', 'sms', 'whatsapp') THEN ''
    WHEN NOT word.granted THEN 'consent_refused'
    WHEN w.held_at = 'step'
        AND coalesce(CASE w.channel WHEN 'email' THEN l.email ELSE l.phone END, '') = ''
        THEN 'no_recipient'
    WHEN word.granted IS NULL AND (w.channel IN ('sms', 'whatsapp')
        OR w.held_at = 'step' AND s.definition ->> 'consent_rule' = 'channel_opt_in')
        THEN 'consent_missing'
    ELSE ''
END
"""
