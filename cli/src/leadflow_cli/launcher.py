"""Becomes the program that it is given, once that program is sure to die with its parent.

    python -I -S launcher.py DEATH_SIGNAL PARENT_PID UID GID PROGRAM ARGUMENTS…

Run as a file, with the standard library alone. It is a program of its own, and not a
`preexec_fn`, because the parent has threads (librdkafka's among them) and Python code between
fork and exec may deadlock there. UID and GID are -1 where the user stays the same; DEATH_SIGNAL
is 0 where none is wanted.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PR_SET_PDEATHSIG = 1


def prctl() -> Callable[[int], None] | None:
    """A function that asks Linux for a signal when the parent dies (prctl(2)); else None.

    Elsewhere nothing is asked: a parent that was killed leaves its children there.
    """
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)

    def die_with_parent(signal_number: int) -> None:
        if libc.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")

    return die_with_parent


def main() -> None:
    death_signal, parent_pid, uid, gid = (int(value) for value in sys.argv[1:5])
    command = sys.argv[5:]
    die_with_parent = prctl()  # before setuid: the new user may not be able to read Python
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if death_signal and die_with_parent is not None:
        die_with_parent(death_signal)  # after setuid, which clears the request
        if os.getppid() != parent_pid:  # the parent died before it was asked
            os._exit(1)
    try:
        os.execvp(command[0], command)  # noqa: S606
    except OSError as error:
        sys.stderr.write(f"cannot start {command[0]}: {error.strerror}\n")
        sys.exit(127)


if __name__ == "__main__":
    main()
