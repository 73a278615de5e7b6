"""The names of the ways out that the dispatcher has: in limits, in scopes and in what it reports.

The dispatcher's registry holds what is behind them; a test of its own holds it to this list.
"""

from __future__ import annotations

PROVIDERS = (
    "email-api", "sms-api", "whatsapp-api", "smtp", "resend", "twilio-sms", "twilio-whatsapp",
    "webhook-email", "webhook-sms", "webhook-whatsapp",
)  # fmt: skip
