"""Whether a retry can help, told from the errors as the drivers really raise them."""

from __future__ import annotations

import asyncpg
import pytest
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.pool import QueuePool

from leadflow.errors import (
    BrokerError,
    DeadLetterError,
    Malformed,
    RecordRefused,
    SettingError,
    UnknownSchema,
    is_retryable,
    public_reason,
)

DBAPI = AsyncAdapt_asyncpg_dbapi(asyncpg)  # type: ignore[no-untyped-call]


def as_raised(cause: BaseException, *, invalidated: bool = False) -> BaseException:
    """`cause` as it reaches us through SQLAlchemy: adapted to DB-API, then wrapped, chained."""
    try:
        try:
            adapted = DBAPI.Error(str(cause), cause)  # type: ignore[no-untyped-call]
            adapted.sqlstate = getattr(cause, "sqlstate", None)
            raise adapted from cause
        except Exception as error:
            raise DBAPIError("SELECT 1", {}, error, connection_invalidated=invalidated) from error
    except DBAPIError as wrapped:
        return wrapped


@pytest.mark.parametrize(
    "error",
    [
        BrokerError("no answer"),
        ConnectionRefusedError("postgres"),
        TimeoutError(),
        asyncpg.DeadlockDetectedError("deadlock"),
        asyncpg.TooManyConnectionsError("53300"),
        as_raised(asyncpg.SerializationError("40001")),
        as_raised(asyncpg.DeadlockDetectedError("40P01")),
        as_raised(asyncpg.AdminShutdownError("57P01")),
        as_raised(asyncpg.CannotConnectNowError("57P03")),
        as_raised(asyncpg.ConnectionDoesNotExistError("08003")),
        as_raised(asyncpg.TooManyConnectionsError("53300")),
        as_raised(asyncpg.ReadOnlySQLTransactionError("25006")),
        as_raised(asyncpg.InvalidPasswordError("28P01")),
        as_raised(asyncpg.InvalidCatalogNameError("3D000")),
        as_raised(asyncpg.LockNotAvailableError("55P03")),
        as_raised(asyncpg.PostgresIOError("58030")),
        as_raised(asyncpg.InternalServerError("XX000")),
        as_raised(asyncpg.InternalClientError("closed"), invalidated=True),
        as_raised(ConnectionResetError("reset by peer")),
    ],
    ids=repr,
)
def test_what_may_pass_is_worth_a_retry(error: BaseException) -> None:
    assert is_retryable(error)


@pytest.mark.parametrize(
    "error",
    [
        SettingError("LEADFLOW_X is not set"),
        Malformed("cut short"),
        UnknownSchema("no schema"),
        RecordRefused("rule", "reason"),
        DeadLetterError("not taken"),
        ValueError("a defect of ours"),
        as_raised(asyncpg.UniqueViolationError("23505")),
        as_raised(asyncpg.UndefinedTableError("42P01")),
        as_raised(asyncpg.CharacterNotInRepertoireError("22021")),
        as_raised(asyncpg.InsufficientPrivilegeError("42501")),
        InterfaceError("SELECT 1", {}, ValueError("not a connection's fault")),
    ],
    ids=repr,
)
def test_what_will_fail_again_is_not(error: BaseException) -> None:
    assert not is_retryable(error)


def test_only_our_own_words_are_written_down() -> None:
    assert public_reason(RecordRefused("stage", "lost needs a reason")) == (
        "stage: lost needs a reason"
    )
    assert public_reason(ValueError("m@example.com")) == "ValueError"
    assert "m@example.com" not in public_reason(as_raised(ValueError("m@example.com")))


class Connection:
    """As much of one as a pool asks for."""

    def close(self) -> None:
        return

    def rollback(self) -> None:
        return


def test_that_others_use_up_the_pool_is_no_fault_of_a_record() -> None:
    pool = QueuePool(Connection, pool_size=1, max_overflow=0, timeout=0.01)  # type: ignore[arg-type]
    taken = pool.connect()
    with pytest.raises(NoConnectionFree) as refused:
        pool.connect()
    assert is_retryable(refused.value)
    taken.close()
