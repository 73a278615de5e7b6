"""What an account's mapping is unless the account says otherwise.

The CRMs' own stages are those of a new account: HubSpot's default deal pipeline and Follow Up
Boss' default stages. Both of our pipelines are named (product.md, "Stages").
"""

from __future__ import annotations

from crm_sync.crm.mapping import CrmMapping

# How the names of fields begin that are leadflow's alone.
HUBSPOT_OWN = "leadflow_"
FOLLOW_UP_BOSS_OWN = "customLeadflow"
# Fields for which the CRMs have none of their own; theirs follow from the name.
OWN_FIELDS = (
    "stage",
    "owner",
    "source",
    "service",
    "urgency",
    "timezone",
    "language",
    "attribution.channel",
    "attribution.campaign",
    "attribution.medium",
    "attribution.gclid",
    "attribution.fbclid",
    "attribution.landing_page",
    "fit",
    "intent",
    "temperature",
    "next_action",
    "sequence",
    "last_message_channel",
    "last_message_at",
    "revision",
)


def _snake(path: str) -> str:
    return HUBSPOT_OWN + path.rpartition(".")[2]


def _camel(path: str) -> str:
    words = path.rpartition(".")[2].split("_")
    return FOLLOW_UP_BOSS_OWN + "".join(word.capitalize() for word in words)


HUBSPOT = CrmMapping(
    contact={
        "first_name": "firstname",
        "last_name": "lastname",
        "email": "email",
        "phone": "phone",
        "company": "company",
        "title": "jobtitle",
        "address.street": "address",
        "address.city": "city",
        "address.region": "state",
        "address.postal_code": "zip",
        "address.country": "country",
        **{path: _snake(path) for path in OWN_FIELDS},
    },
    deal={"budget.amount": "amount", "service": "leadflow_service", "source": "leadflow_source"},
    stages={
        "new": "appointmentscheduled",
        "contacted": "qualifiedtobuy",
        "qualified": "presentationscheduled",
        "proposal-sent": "contractsent",
        "won": "closedwon",
        "lost": "closedlost",
        "dormant": "closedlost",
        "offer-sent": "contractsent",
        "under-contract": "decisionmakerboughtin",
        "assigned": "closedwon",
    },
    pipeline="default",
)

FOLLOW_UP_BOSS = CrmMapping(
    contact={
        "first_name": "firstName",
        "last_name": "lastName",
        **{path: _camel(path) for path in OWN_FIELDS},
        "company": "customLeadflowCompany",
        "title": "customLeadflowTitle",
        "budget.amount": "customLeadflowBudget",
    },
    stages={
        "new": "Lead",
        "contacted": "C - Cold 6+ Months",
        "qualified": "B - Warm 3-6 Months",
        "proposal-sent": "A - Hot 1-3 Months",
        "won": "Closed",
        "lost": "Trash",
        "dormant": "Nurture",
        "offer-sent": "A - Hot 1-3 Months",
        "under-contract": "Pending",
        "assigned": "Closed",
    },
)
