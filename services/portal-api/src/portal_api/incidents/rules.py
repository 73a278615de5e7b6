"""When a pause opens by itself: counts in a window, thresholds with a floor. Pure.

The floors keep a handful of messages from looking like a trend; the windows begin anew when an
incident is closed, so that the same evidence does not open it twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from leadflow.errors import SettingError
from leadflow.tenants import Tenant
from portal_api.incidents.scopes import Scope

BY_CHANNEL, BY_SOURCE = "channel", "source"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Opens an incident when, within `window`, of at least `at_least` at least `bad_at_least`
    are bad and these are at least a share of `share` (0 to 1).

    `of` says what is counted apart: each channel, or each source. A source pauses the sequences
    that name it as theirs; where none does, the whole tenant if `or_tenant`, else nothing.
    """

    kind: str
    of: str
    window: timedelta
    at_least: int
    bad_at_least: int
    share: float
    reason: str  # with {bad}, {total}, {subject}, {window}
    enabled: bool = True
    or_tenant: bool = False


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "delivery": Rule(
            kind="delivery",
            of=BY_CHANNEL,
            window=timedelta(hours=1),
            at_least=20,
            bad_at_least=5,
            share=0.2,
            reason="{bad} of {total} {subject} messages failed, bounced or are unknown within "
            "{window}",
        ),
        # Every message that meets a revoked key is lost to its step: a few are enough.
        "credential": Rule(
            kind="credential",
            of=BY_CHANNEL,
            window=timedelta(minutes=15),
            at_least=3,
            bad_at_least=3,
            share=0.5,
            reason="The {subject} provider refused our credential for {bad} of {total} messages "
            "within {window}",
        ),
        # Google and Yahoo ask bulk senders to stay below 0.1 % and never to reach 0.3 %
        # (https://support.google.com/a/answer/81126).
        "complaints": Rule(
            kind="compliance",
            of=BY_CHANNEL,
            window=timedelta(days=7),
            at_least=300,
            bad_at_least=3,
            share=0.003,
            reason="{bad} of {total} people called our {subject} spam within {window}",
        ),
        "stop_ignored": Rule(
            kind="compliance",
            of=BY_CHANNEL,
            window=timedelta(days=1),
            at_least=1,
            bad_at_least=1,
            share=0.0,
            reason="{bad} {subject} messages went to people who had said stop more than a minute "
            "before, within {window}",
        ),
        # Opt-outs and replies come in over the same way: what cannot be read may be a stop.
        "webhook": Rule(
            kind="webhook",
            of=BY_SOURCE,
            window=timedelta(hours=1),
            at_least=20,
            bad_at_least=10,
            share=0.5,
            reason="{bad} of {total} events from {subject} could not be processed within {window}",
            or_tenant=True,
        ),
        # A flood of spam must not be a way to stop a tenant: only what lives on the source waits.
        "quarantine": Rule(
            kind="data_quality",
            of=BY_SOURCE,
            window=timedelta(hours=1),
            at_least=20,
            bad_at_least=10,
            share=0.5,
            reason="{bad} of {total} leads from {subject} were quarantined within {window}",
        ),
        # `total` are the days of the last eight on which the source sent something: six at most
        # if it keeps weekends, and those must not pause its sequences until Monday's people come.
        "silence": Rule(
            kind="freshness",
            of=BY_SOURCE,
            window=timedelta(hours=24),
            at_least=7,
            bad_at_least=1,
            share=0.0,
            reason="Nothing has come from {subject} for {window}; it sent on {total} of the days "
            "before",
        ),
    }
)
OVERRIDABLE = frozenset({"enabled", "at_least", "bad_at_least", "share", "or_tenant"})


@dataclass(frozen=True, slots=True)
class Count:
    """What a rule looked at: `subject` is a channel or a source."""

    rule: str
    tenant_id: str
    subject: str
    total: int
    bad: int


@dataclass(frozen=True, slots=True)
class Opening:
    """An incident that a rule asks for."""

    rule: str
    kind: str
    scope: Scope
    subject: str
    reason: str
    evidence: Mapping[str, float]


def for_tenants(tenants: Iterable[Tenant]) -> Mapping[str, Mapping[str, Rule]]:
    """The rules of every tenant that has some of its own, by tenant and name.

    Raises SettingError that names tenant, rule and setting.
    """
    own: dict[str, Mapping[str, Rule]] = {}
    for tenant in tenants:
        if tenant.incident_rules:
            changed = {
                name: _changed(tenant.tenant_id, name, values)
                for name, values in tenant.incident_rules.items()
            }
            own[tenant.tenant_id] = {**RULES, **changed}
    return own


def openings(
    counts: Iterable[Count],
    *,
    own_rules: Mapping[str, Mapping[str, Rule]],
    feeds: Mapping[tuple[str, str], Sequence[str]],
    open_already: Collection[tuple[str, str]],
) -> list[Opening]:
    """The incidents to open, each (rule, scope) once.

    `own_rules` as `for_tenants` gives them, `feeds` the sequences that name a (tenant, source)
    as theirs, `open_already` the (rule, scope) of incidents that are open.
    """
    found: dict[tuple[str, str], Opening] = {}
    for count in counts:
        rule = own_rules.get(count.tenant_id, RULES)[count.rule]
        if not _broken(rule, count):
            continue
        for scope in _scopes(rule, count, feeds):
            key = (count.rule, str(scope))
            if key not in open_already:
                found.setdefault(key, _opening(rule, count, scope))
    return list(found.values())


def _broken(rule: Rule, count: Count) -> bool:
    return (
        rule.enabled
        and count.total >= rule.at_least
        and count.bad >= rule.bad_at_least
        and count.bad >= rule.share * count.total
    )


def _scopes(
    rule: Rule, count: Count, feeds: Mapping[tuple[str, str], Sequence[str]]
) -> list[Scope]:
    tenant_id = count.tenant_id
    if rule.of == BY_CHANNEL:
        return [Scope("channel", tenant_id, count.subject)]
    fed = feeds.get((tenant_id, count.subject), ())
    if fed:
        return [Scope("sequence", tenant_id, each) for each in fed]
    return [Scope("tenant", tenant_id)] if rule.or_tenant else []


def _opening(rule: Rule, count: Count, scope: Scope) -> Opening:
    words = rule.reason.format(
        bad=count.bad, total=count.total, subject=count.subject, window=_words(rule.window)
    )
    return Opening(
        rule=count.rule,
        kind=rule.kind,
        scope=scope,
        subject=count.subject,
        reason=f"{words}.",
        evidence={
            "total": count.total,
            "bad": count.bad,
            "share": rule.share,
            "at_least": rule.at_least,
            "window_minutes": rule.window / timedelta(minutes=1),
        },
    )


def _words(window: timedelta) -> str:
    minutes = round(window / timedelta(minutes=1))
    if minutes % 1440 == 0 and minutes > 1440:
        return f"{minutes // 1440} days"
    if minutes % 60 == 0:
        return "an hour" if minutes == 60 else f"{minutes // 60} hours"
    return f"{minutes} minutes"


def _changed(tenant_id: str, name: str, values: Mapping[str, Any]) -> Rule:
    rule = RULES.get(name)
    if rule is None:
        raise SettingError(
            f"tenant {tenant_id}: there is no incident rule {name}; there are {', '.join(RULES)}"
        )
    kinds = {each.name: type(getattr(rule, each.name)) for each in fields(Rule)}
    for setting, value in values.items():
        if setting not in OVERRIDABLE:
            raise SettingError(
                f"tenant {tenant_id}: incident rule {name} has no setting {setting}; "
                f"it has {', '.join(sorted(OVERRIDABLE))}"
            )
        allowed = (int, float) if kinds[setting] is float else kinds[setting]
        if not isinstance(value, allowed) or (kinds[setting] is not bool and value is True):
            raise SettingError(
                f"tenant {tenant_id}: incident rule {name}: {setting} takes "
                f"{'true or false' if kinds[setting] is bool else 'a number'}, not {value!r}"
            )
    return replace(rule, **values)
