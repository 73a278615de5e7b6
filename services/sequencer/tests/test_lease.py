"""Who may be the owner of partitions no more is dead before anybody else may be."""

from __future__ import annotations

import signal
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.protocol.group import HeartbeatRequest, LeaveGroupRequest, SyncGroupRequest

from sequencer.lease import Lease

SECONDS = 9.0
NONE, UNKNOWN_MEMBER, REBALANCE_IN_PROGRESS, NOT_COORDINATOR = 0, 25, 27, 16
HEARTBEAT = HeartbeatRequest("group", 1, "member")


class FakeSwitch:
    def __init__(self) -> None:
        self.time = 100.0
        self.at: float | None = None

    def now(self) -> float:
        return self.time

    def set(self, at: float) -> None:
        self.at = at

    def clear(self) -> None:
        self.at = None


class FakeCoordinator:
    """Answers a request after a second with the given error code."""

    def __init__(self, switch: FakeSwitch) -> None:
        self._switch = switch
        self.code = NONE
        self.resets = 0

    async def _send_req(self, request: Any) -> Any:
        self._switch.time += 1
        return SimpleNamespace(error_code=self.code)

    def reset_generation(self) -> None:
        self.resets += 1


class Member:
    def __init__(self) -> None:
        self.switch = FakeSwitch()
        self.coordinator = FakeCoordinator(self.switch)
        self.ended: list[str] = []
        self.lease = Lease(SECONDS, self.switch, self.ended.append)
        self.lease.follow(self.coordinator)

    async def ask(self, request: Any = HEARTBEAT, code: int = NONE) -> None:
        self.coordinator.code = code
        await self.coordinator._send_req(request)


@pytest.fixture
def member() -> Member:
    return Member()


async def test_an_owner_may_live_on_from_the_moment_it_asked_not_from_the_answer(
    member: Member,
) -> None:
    await member.ask()
    member.lease.hold()
    assert member.switch.at == 100 + SECONDS
    await member.ask()
    assert member.switch.at == 101 + SECONDS
    assert member.lease.left() == SECONDS - 1


async def test_an_answer_that_confirms_nothing_puts_nothing_off(member: Member) -> None:
    await member.ask()
    member.lease.hold()
    await member.ask(code=NOT_COORDINATOR)
    await member.ask(code=UNKNOWN_MEMBER)
    await member.ask(LeaveGroupRequest("group", "member"))
    assert member.switch.at == 100 + SECONDS


async def test_being_asked_to_join_again_counts_the_session_anew(member: Member) -> None:
    member.lease.hold()
    await member.ask(code=REBALANCE_IN_PROGRESS)
    assert member.switch.at == 100 + SECONDS


async def test_who_was_just_dealt_partitions_counts_from_the_deal(member: Member) -> None:
    await member.ask(SyncGroupRequest("group", 1, "member", None, []))
    member.lease.hold()
    assert member.switch.at == 100 + SECONDS


async def test_an_owner_that_was_never_confirmed_ends_at_once(member: Member) -> None:
    member.lease.hold()
    assert member.switch.at is not None
    assert member.switch.at < member.switch.now()


async def test_who_owns_nothing_may_wait_for_the_group_as_long_as_it_takes(member: Member) -> None:
    await member.ask()
    member.lease.hold()
    member.lease.let_go()
    assert member.switch.at is None
    await member.ask()
    assert member.switch.at is None
    assert member.lease.left() == float("inf")


async def test_an_owner_that_the_group_knows_no_more_ends_at_once(member: Member) -> None:
    await member.ask()
    member.lease.hold()
    member.coordinator.reset_generation()
    assert len(member.ended) == 1


async def test_who_leaves_the_group_with_nothing_in_hand_does_not_end(member: Member) -> None:
    await member.ask()
    member.lease.hold()
    member.lease.let_go()
    member.coordinator.reset_generation()
    assert member.ended == []
    assert member.coordinator.resets == 1


PROGRAM = """
import sys
from threading import Event
from sequencer import lease
switch = getattr(lease, sys.argv[1])()
switch.set(switch.now() + float(sys.argv[2]))
if len(sys.argv) > 3:
    switch.clear()
print("set", flush=True)
Event().wait(1.0)
"""


def started(*arguments: str) -> subprocess.Popen[str]:
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "set\n"
    program.stdout.close()
    return program


def test_the_kernel_kills_a_process_that_is_stopped() -> None:
    program = started("KernelTimer", "0.3")
    program.send_signal(signal.SIGSTOP)
    assert program.wait(5) == -signal.SIGKILL


def test_a_time_that_is_over_ends_the_process_where_it_stands() -> None:
    program = subprocess.run(
        [sys.executable, "-c", PROGRAM, "KernelTimer", "-5"], capture_output=True, check=False
    )
    assert program.returncode == -signal.SIGKILL
    assert program.stdout == b""


@pytest.mark.parametrize("name", ["KernelTimer", "Alarm"])
def test_what_was_put_off_for_good_ends_nothing(name: str) -> None:
    assert started(name, "0.3", "clear").wait(5) == 0


def test_an_alarm_ends_a_process_that_goes_on() -> None:
    program = started("Alarm", "0.3")
    assert program.wait(5) == -signal.SIGALRM
