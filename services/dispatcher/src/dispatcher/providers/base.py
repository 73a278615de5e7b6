"""The port to a provider, and the errors that say whether doing it again can help.

ProviderError                    retryable, maybe_accepted, judged, patient
├── Unreachable                  it never got the message              (retryable, not judged)
├── Busy                         it said: later                        (retryable, not judged)
│   ├── QuotaExceeded            it said: nothing more before then     (and patient)
│   └── NotCalled                it was not asked: no turn, no claim   (and patient)
├── RefusedTogether              it refused a call of many             (retryable: each alone)
├── NoAnswer                     it got it and nobody knows            (retryable, doubt)
├── Broken                       it failed, perhaps after accepting    (retryable, doubt)
├── InProgress                   it is still at the same key           (retryable, doubt)
├── Unauthorized                 it takes nothing from us as we are: no message is to blame
├── SenderRefused                it takes nothing from this sender, or not for this recipient
├── Rejected                     it will never take this
│   ├── BadAddress               there is nobody at this address or number
│   ├── OptedOut                 the person told the provider to stop
│   └── OutsideWindow            WhatsApp: too long since the person last wrote
├── KeyConflict                  it took this key with other bytes     (doubt)
└── KeyExpired                   too late to ask what became of it     (doubt)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from dispatcher.model import Answer, Content, Refused
from leadflow.errors import LeadflowError

# Those that keep keys keep them for a day; what is asked must be answered before that is over.
KEY_SECONDS = 23 * 3600.0
QUOTA_SECONDS = 900.0

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from leadflow.clock import Clock


class ProviderError(LeadflowError):
    """A message was not accepted, or not as far as we know. The text holds no personal data."""

    maybe_accepted: ClassVar[bool] = False
    # The provider has looked at the message: the attempt counts.
    judged: ClassVar[bool] = True
    # However long it lasts, it speaks against neither the message nor the provider.
    patient: ClassVar[bool] = False

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
            judged=self.judged,
            patient=self.patient,
            wait_seconds=self.wait_seconds,
        )


class Unreachable(ProviderError):
    """No connection, or none that the message went over."""

    retryable = True
    judged = False


class Busy(ProviderError):
    """The provider asked to come again; it accepted nothing."""

    retryable = True
    judged = False


class QuotaExceeded(Busy):
    """What the account may send in a day or a month is used up: it is waited out."""

    patient = True


def busy(reason: str, wait_seconds: float | None) -> Busy:
    """Too much for now: who names so long a wait speaks of a quota."""
    long = wait_seconds is not None and wait_seconds >= QUOTA_SECONDS
    return QuotaExceeded(reason, wait_seconds) if long else Busy(reason, wait_seconds)


class NotCalled(Busy):
    """We made no call: there was no turn for it, or the claim was over."""

    patient = True


class RefusedTogether(ProviderError):
    """A call of several messages was refused as a whole: each goes alone, and hears for itself."""

    retryable = True


class NoAnswer(ProviderError):
    """The message went out and no answer came."""

    retryable = True
    maybe_accepted = True


class Broken(ProviderError):
    """The provider failed in a way that does not say how far it had come."""

    retryable = True
    maybe_accepted = True


class InProgress(ProviderError):
    """The provider is still busy with an earlier call of the same key."""

    retryable = True
    maybe_accepted = True


class Unauthorized(ProviderError):
    """Credentials, permission, sender, plan or endpoint: the provider would refuse any message.

    Trying again does not help and no message is to blame; somebody has to mend the settings.
    It says nothing about an earlier doubt.
    """


class SenderRefused(ProviderError):
    """The provider takes nothing from this sender, or not for this recipient: a number that may
    not send there, a domain that is not verified. Others may pass.

    It says nothing about an earlier doubt.
    """


class Rejected(ProviderError):
    """The provider refused this message for good."""


class BadAddress(Rejected):
    """Nothing can be delivered to this address or number, by any message."""


class OptedOut(Rejected):
    """The person has told the provider that they want no more."""


class OutsideWindow(Rejected):
    """WhatsApp takes free text only within 24 hours of the person's last message."""


class KeyConflict(ProviderError):
    """The provider has accepted the key before, with other bytes."""

    maybe_accepted = True


class KeyExpired(ProviderError):
    """The provider has forgotten the key by now: the same call could be accepted twice."""

    maybe_accepted = True


class Outbound(Protocol):
    """What a provider sees of a message. `message_id` is the idempotency key.

    `in_doubt`: an earlier call may have been accepted without our knowing. `epoch`: that of the
    claim in the ledger under which it is given.
    """

    @property
    def message_id(self) -> str: ...
    @property
    def tenant_id(self) -> str: ...
    @property
    def content(self) -> Content: ...
    @property
    def in_doubt(self) -> bool: ...
    @property
    def epoch(self) -> int: ...


class Provider(Protocol):
    """One way out.

    `keyed`: a key is accepted once, however often it is presented within `key_seconds`, after
    which the provider may have forgotten it (0 without keys). `batch` is the most messages in one
    call, `at_once` the most calls side by side.
    """

    name: str
    keyed: bool
    key_seconds: float
    batch: int
    at_once: int

    async def send(self, messages: Sequence[Outbound]) -> Sequence[Answer]:
        """One answer a message, in their order. Raises ProviderError if it goes for all."""

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a provider may use of the process. No call takes longer than `timeout_seconds`."""

    timeout_seconds: float
    clock: Clock
    engine: AsyncEngine


class Account(Protocol):
    """What a provider has been told: read and checked at start. Its repr shows no secret."""

    def open(self, around: Around) -> Provider:
        """A provider with connections of its own; close it."""
