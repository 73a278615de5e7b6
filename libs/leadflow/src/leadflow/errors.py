"""The errors of leadflow.

    LeadflowError                    retryable says whether doing the same again can help
    ├── SettingError                 an environment variable is missing or malformed
    ├── CodecError                   bytes that are not one of our records
    │   ├── Malformed                the framing or the body is broken
    │   └── UnknownSchema            written with a schema that we do not have
    ├── RecordRefused                a record that we understood and cannot process
    ├── BrokerError                  Kafka did not do what it was asked          (retryable)
    ├── DatabaseError                a schema cannot be brought to its newest version
    │   └── DatabaseDown             the database does not let us in             (retryable)
    └── DeadLetterError              the dead-letter topic did not take a record

The text of a LeadflowError holds no personal data: it ends up in logs and in headers of
dead-letter topics.
"""

from __future__ import annotations

from typing import ClassVar


class LeadflowError(Exception):
    """Root of all errors that leadflow raises on purpose."""

    retryable: ClassVar[bool] = False


class SettingError(LeadflowError):
    """A setting is missing or malformed; the text names it and says what it takes."""


class CodecError(LeadflowError):
    """Bytes that are not a record of ours."""


class Malformed(CodecError):
    """The framing or the body is broken."""


class UnknownSchema(CodecError):
    """The record was written with a schema that this program does not have."""


class RecordRefused(LeadflowError):
    """A record that can be read but never processed; `rule` names what it broke."""

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(f"{rule}: {reason}")
        self.rule = rule


class BrokerError(LeadflowError):
    """Kafka refused or did not answer in time."""

    retryable = True


class DatabaseError(LeadflowError):
    """A schema cannot be brought to the version that this program needs."""


class DatabaseDown(DatabaseError):
    """The database cannot be reached, or does not let us in."""

    retryable = True


class DeadLetterError(LeadflowError):
    """The dead-letter topic did not take a record: the process ends rather than skip it."""


# SQLAlchemy's name for "no connection of the pool came free in time".
NO_CONNECTION_FREE = "3o7r"
PASSING_SQLSTATES = ("08", "25006", "28", "3D", "40", "53", "55P03", "57", "58", "XX")


def is_retryable(error: BaseException) -> bool:
    """Whether doing the same again may help: our own errors say so, connections always may.

    The database driver's errors are told by their SQLSTATE class (PostgreSQL, appendix A):
    08 connection, 25006 a standby that takes no writes, 28 and 3D a login or a database that is
    being changed, 40 serialization and deadlock, 53 resources, 55P03 a lock, 57 operator
    intervention, 58 and XX a server in trouble. None of them is the fault of a record, so none
    may send records to a dead-letter topic.
    """
    if isinstance(error, LeadflowError):
        return error.retryable
    if isinstance(error, (OSError, TimeoutError)):
        return True
    cause: BaseException | None = error
    while cause is not None:
        sqlstate = getattr(cause, "sqlstate", None)
        if isinstance(sqlstate, str) and sqlstate.startswith(PASSING_SQLSTATES):
            return True
        if getattr(cause, "connection_invalidated", False) or isinstance(cause, OSError):
            return True
        if getattr(cause, "code", None) == NO_CONNECTION_FREE:
            return True
        cause = cause.__cause__
    return False


class PublicReason(str):
    """Words about an error that hold no personal data, by where they come from."""

    __slots__ = ()


def public_reason(error: BaseException) -> PublicReason:
    """What may be written down about an error: our own words, or only the class of others."""
    return PublicReason(error if isinstance(error, LeadflowError) else type(error).__name__)
