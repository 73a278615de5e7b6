"""What crm-sync wants of a CRM, and how a CRM may refuse.

    CrmError            retryable says whether the same call can succeed later
    ├── CrmUnavailable  no answer, an answer lost, or a failure of its own    (retryable)
    │   ├── CrmOdd      an answer that cannot be read                         (retryable)
    │   └── CrmSilent   others have got no answer: no call was made           (retryable)
    ├── CrmLimited      too many calls; retry_after says for how long         (retryable)
    ├── CrmConflict     somebody else is changing the same thing              (retryable)
    ├── CrmSignIn       our credentials are not taken, or the account is not set up for us:
    │                   no call can succeed before a person mended that       (retryable)
    ├── CrmPaused       the account is paused: no call was made               (retryable)
    ├── CrmNoRoom       our own budget of calls is used up: no call was made  (retryable)
    ├── CrmMissing      there is no such contact
    ├── CrmNever        it will never take this
    │   └── CrmUnreadable   it can be written to, and not read
    └── CrmGivenUp      tried as often as the policy says

Texts name the call and the status, never what was in the call or in the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Protocol, TypeAlias

from crm_sync.model import Note, Task
from leadflow.errors import LeadflowError

# No wait is longer: a CRM can name any number.
LONGEST_WAIT = timedelta(days=1)


class CrmError(LeadflowError):
    """A call that the CRM did not carry out, or of which we do not know it.

    `retry_after` is how long the CRM wants to be left alone, zero where it does not say, and at
    most LONGEST_WAIT.
    """

    KIND: ClassVar[str]
    # Whether it uses up one of the attempts that a record has.
    COUNTS: ClassVar[bool] = True

    def __init__(self, reason: str, retry_after: timedelta = timedelta(0)) -> None:
        super().__init__(reason)
        self.retry_after = min(retry_after, LONGEST_WAIT)


class CrmUnavailable(CrmError):
    retryable = True
    KIND = "retry"


class CrmOdd(CrmUnavailable):
    """`at` is the line of ours that could not read it."""

    def __init__(self, reason: str, at: str = "") -> None:
        super().__init__(reason)
        self.at = at


class CrmSilent(CrmUnavailable):
    KIND = "silent"
    COUNTS = False


class CrmLimited(CrmError):
    retryable = True
    KIND = "rate"


class CrmConflict(CrmError):
    retryable = True
    KIND = "conflict"


class CrmSignIn(CrmError):
    retryable = True
    KIND = "auth"
    COUNTS = False


class CrmPaused(CrmError):
    retryable = True
    KIND = "paused"
    COUNTS = False


class CrmNoRoom(CrmError):
    retryable = True
    KIND = "no_room"
    COUNTS = False


class CrmMissing(CrmError):
    KIND = "missing"


class CrmNever(CrmError):
    KIND = "never"


class CrmUnreadable(CrmNever):
    pass


class CrmGivenUp(CrmError):
    KIND = "given_up"


class GateFailed(Exception):
    """Our own side failed before the call: `error` is no answer of the CRM."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


@dataclass(frozen=True, slots=True)
class ContactWrite:
    """The whole value of a contact. Two writes with one key are the same write.

    `crm_id` is the CRM's id as an earlier write gave it, None for a contact that is new.
    """

    external_id: str
    key: str
    fields: Mapping[str, Any]
    crm_id: str | None = None


# What the CRM has of a contact, in the CRM's own words.
Kept: TypeAlias = Mapping[str, Any]


class Crm(Protocol):
    """One account of a CRM. Safe to call again with the same arguments."""

    name: str

    @property
    def both_ways(self) -> Mapping[str, str]:
        """The keys under which `read` has what people may change there too, and our field that
        each is. A field may be in two places."""

    async def upsert(self, writes: Sequence[ContactWrite]) -> list[str | CrmError]:
        """For each write the CRM's id of the contact, or why it was not written. At most one
        write a contact; no order among them."""

    async def add_note(self, external_id: str, note: Note) -> None:
        """Write a note on a contact, once for each note id. Raises CrmError."""

    async def add_task(self, external_id: str, task: Task) -> None:
        """Give a person something to do about a contact, once for each task id. Raises CrmError."""

    async def read(self, external_ids: Sequence[str]) -> dict[str, Kept]:
        """What the CRM has, by external id; contacts that it lacks are left out.

        Raises CrmError; CrmUnreadable where this CRM cannot be read.
        """

    async def whose(self, kind: str, crm_ids: Sequence[str]) -> dict[str, str]:
        """The lead of each object, `kind` contact or deal, by the CRM's id of it; those that are
        no lead's are left out. Raises CrmError."""

    def place(self, kind: str, name: str) -> str:
        """The key under which `read` has the field that the CRM calls so."""

    def told(self, kept: Kept, place: str) -> tuple[str, ...]:
        """What the value at a place of `both_ways` means in our words; empty where it stands for
        nothing of ours, several where it may be one or the other."""

    def kept(self, fields: Mapping[str, Any]) -> Kept:
        """What `read` gives back of a contact written with these fields, as long as nobody else
        changes it; it may give back more. Raises CrmNever for fields that cannot be written."""

    async def canary(self) -> None:
        """A few small calls that change nothing and succeed when a write would: credentials are
        taken, and the account has the fields that the mapping names. Raises CrmError."""

    async def prepare(self) -> None:
        """Make fields that are ours and that the account lacks; again, nothing. Raises CrmError;
        CrmSignIn for fields that the mapping names and that only people can make."""

    async def close(self) -> None:
        """Let connections go."""
