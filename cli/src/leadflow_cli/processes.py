"""What is known about processes and ports of this machine (psutil, behind types)."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

import psutil  # type: ignore[import-untyped]


@dataclass(frozen=True)
class Owner:
    """A process that listens on a port."""

    pid: int
    name: str


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now (connections that linger do not count)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
        return True


def listener(port: int) -> Owner | None:
    """Who listens on a TCP port; None when the operating system does not tell."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if (
                connection.status == psutil.CONN_LISTEN
                and connection.laddr.port == port
                and connection.pid
            ):
                return Owner(connection.pid, psutil.Process(connection.pid).name())
    except psutil.Error:
        pass
    return None


def process_name(pid: int) -> str | None:
    """The name of a living process; None when there is none of that id."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else str(process.name())
    except psutil.NoSuchProcess:
        return None


def started_at(pid: int) -> float | None:
    """When a living process was created, in epoch seconds: with the pid it names the process."""
    try:
        process = psutil.Process(pid)
        dead = process.status() == psutil.STATUS_ZOMBIE
        return None if dead else float(process.create_time())
    except psutil.NoSuchProcess:
        return None


def free_ports(count: int) -> list[int]:
    """Ports for tests, all free now, below those that the kernel gives to outgoing connections.

    Where the search begins depends on the pid, so that parallel test runs keep apart.
    """
    first, last = 20_000, 32_000
    found: list[int] = []
    start = os.getpid() * 61 % (last - first)
    for offset in range(last - first):
        port = first + (start + offset) % (last - first)
        if port not in _handed_out and port_is_free(port):
            found.append(port)
            _handed_out.add(port)
            if len(found) == count:
                return found
    raise OSError(f"no {count} free ports between {first} and {last}")


_handed_out: set[int] = set()
