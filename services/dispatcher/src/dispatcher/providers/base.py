"""The port to a provider, and the errors that say whether doing it again can help.

ProviderError                    retryable, maybe_accepted
├── Unreachable                  it never got the message              (retryable)
├── Busy                         it said: later                        (retryable)
├── NoAnswer                     it got it and nobody knows            (retryable, doubt)
├── Broken                       it failed, perhaps after accepting    (retryable, doubt)
├── Rejected                     it will never take this
└── KeyConflict                  it took this key with other bytes     (doubt)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from dispatcher.model import Answer, Content, Refused
from leadflow.errors import LeadflowError


class ProviderError(LeadflowError):
    """A message was not accepted, or not as far as we know. The text holds no personal data."""

    maybe_accepted: ClassVar[bool] = False

    def __init__(self, reason: str, wait_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.wait_seconds = wait_seconds

    def refused(self) -> Refused:
        """The error as the answer that it is."""
        return Refused(
            error_class=type(self).__name__,
            reason=str(self),
            retryable=self.retryable,
            maybe_accepted=self.maybe_accepted,
            wait_seconds=self.wait_seconds,
        )


class Unreachable(ProviderError):
    """No connection, or none that the message went over."""

    retryable = True


class Busy(ProviderError):
    """The provider asked to come again; it accepted nothing."""

    retryable = True


class NoAnswer(ProviderError):
    """The message went out and no answer came."""

    retryable = True
    maybe_accepted = True


class Broken(ProviderError):
    """The provider failed in a way that does not say how far it had come."""

    retryable = True
    maybe_accepted = True


class Rejected(ProviderError):
    """The provider refused this message for good."""


class KeyConflict(ProviderError):
    """The provider has accepted the key before, with other bytes."""

    maybe_accepted = True


class Outbound(Protocol):
    """What a provider sees of a message. `message_id` is the idempotency key."""

    @property
    def message_id(self) -> str: ...
    @property
    def content(self) -> Content: ...


class Provider(Protocol):
    """One way out.

    `keyed`: a key is accepted once, however often it is presented. `batch` is the most
    messages in one call, `at_once` the most calls side by side.
    """

    name: str
    keyed: bool
    batch: int
    at_once: int

    async def send(self, messages: Sequence[Outbound]) -> Sequence[Answer]:
        """One answer a message, in their order. Raises ProviderError if it goes for all."""

    async def close(self) -> None: ...
