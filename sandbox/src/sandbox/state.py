"""All that one sandbox remembers: what providers accepted, the CRM, and the fault rules."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.crm import Crm
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
        self.faults = Faults()
        self.resend_keys = ResendKeys()
