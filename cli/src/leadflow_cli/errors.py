"""Errors that end a command.

CliError                one sentence for the person at the terminal, printed without a traceback
├── ChildDied           a supervised process ended by itself
├── NotReady            a supervised process lives but did not become ready in time
└── Interrupted         somebody asked for the end while something was being waited for
"""

from __future__ import annotations


class CliError(Exception):
    """What was wrong, with what, and what to do, in one sentence; it is shown as it stands."""


class ChildDied(CliError):
    """A supervised process ended by itself; the message carries the last lines of its log."""


class NotReady(CliError):
    """A supervised process did not become ready before its deadline."""


class Interrupted(CliError):
    """The wait was ended by `Supervisor.interrupt` (Ctrl-C, SIGTERM, or another part's failure)."""
