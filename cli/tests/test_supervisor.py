import threading

import pytest

from leadflow_cli.errors import CliError, Interrupted
from leadflow_cli.flag import Flag
from leadflow_cli.supervisor import Supervisor


def test_tasks_run_side_by_side() -> None:
    meeting = threading.Barrier(2)
    Supervisor().together(lambda: meeting.wait(5), lambda: meeting.wait(5))
    assert not meeting.broken


def test_the_first_failure_does_not_wait_for_the_others() -> None:
    release = threading.Event()

    def fail() -> None:
        raise CliError("the disk is full")

    with pytest.raises(CliError, match="the disk is full"):
        Supervisor().together(lambda: release.wait(30), fail)
    release.set()


def test_an_interrupt_ends_the_wait_for_tasks_and_the_watch() -> None:
    supervisor = Supervisor()
    release = threading.Event()
    threading.Timer(0.01, supervisor.interrupt).start()
    with pytest.raises(Interrupted):
        supervisor.together(lambda: release.wait(30))
    release.set()
    supervisor.watch()


def test_a_part_that_does_not_exist_is_named() -> None:
    with pytest.raises(CliError, match="no part is called intake"):
        Supervisor().kill("intake")


def test_stopping_twice_or_before_anything_started_is_harmless() -> None:
    supervisor = Supervisor()
    supervisor.stop_all()
    supervisor.stop_all()


def test_a_flag_wakes_everybody_who_waits() -> None:
    flag = Flag()
    woken: list[bool] = []
    waiting = [threading.Thread(target=lambda: woken.append(flag.wait(30))) for _ in range(3)]
    for thread in waiting:
        thread.start()
    assert flag.wait(0.01) is False
    flag.set()
    for thread in waiting:
        thread.join(5)
    assert woken == [True, True, True]
    assert flag.is_set()
    assert flag.wait(0) is True


def test_a_pause_ends_by_itself_or_with_the_interrupt() -> None:
    supervisor = Supervisor()
    supervisor.pause(0.01)
    threading.Timer(0.01, supervisor.interrupt).start()
    with pytest.raises(Interrupted):
        supervisor.pause(30)
