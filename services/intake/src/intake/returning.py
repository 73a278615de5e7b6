"""A lead that was silent for so long that others have forgotten it.

The sequencer keeps a lead's row for the tenant's retention time. An event that comes after that
says too little by itself: so what is known of the lead goes ahead of it, as a LeadUpdated.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from intake import facts
from intake.model import Decision, Known, Prepared
from leadflow.records import LeadCreated, LeadUpdated
from leadflow.tenants import Tenant

EARLIER = timedelta(days=1)


def remind(
    decision: Decision, known: Known, prepared: Prepared, tenant: Tenant, now: datetime
) -> Decision:
    """The decision, with what is known of a long silent lead ahead of what is said of it."""
    if not tenant.retention_days:
        return decision
    since = now - timedelta(days=tenant.retention_days) + EARLIER
    silent = {
        lead.lead_id: lead
        for leads in known.leads.values()
        for lead in leads
        if lead.seen_at <= since
    }
    if not silent:
        return decision
    told = {
        each.lead_id for each in decision.records if isinstance(each, LeadCreated | LeadUpdated)
    }
    wanted = {each.lead_id for each in decision.records} & silent.keys() - told
    reminders = [facts.updated(silent[lead_id], prepared.raw, now) for lead_id in sorted(wanted)]
    return replace(decision, records=(*reminders, *decision.records))
