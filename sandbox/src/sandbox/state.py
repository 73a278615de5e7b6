"""All that one sandbox remembers: what providers accepted, the CRMs, and the fault rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sandbox import followupboss_rules, hubspot_rules
from sandbox.crm import Crm
from sandbox.crm_accounts import Accounts, Webhook
from sandbox.faults import Faults
from sandbox.providers import Providers
from sandbox.resend_keys import ResendKeys

DEFAULT_CAPACITY = 1_000_000


class State:
    """The stores of one run. No clock and no randomness of its own: `token` gives a short
    string that differs from run to run and becomes part of the ids that are given out.
    """

    def __init__(self, capacity: int, token: Callable[[], str]) -> None:
        self._capacity = capacity
        self._token = token
        self.clear()

    def clear(self) -> None:
        """Forget everything; ids given out afterwards differ from those before."""
        token = self._token()
        self.providers = Providers(self._capacity, token)
        self.crm = Crm(self._capacity, token)
        # Who is told of changes in it, and in the accounts by provider and name.
        self.crm_webhook: Webhook | None = None
        self.webhooks: dict[tuple[str, str], Webhook] = {}
        self.accounts = Accounts(self._capacity)
        self.accounts.play("hubspot", hubspot_rules.keys, hubspot_rules.LIMITS)
        self.accounts.play("followupboss", followupboss_rules.keys, followupboss_rules.LIMITS)
        self.accounts.play("webhook", _by_external_id, {})
        self.faults = Faults()
        self.resend_keys = ResendKeys()


def _by_external_id(_kind: str, values: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    return [("external_id", values["external_id"])] if values else []
