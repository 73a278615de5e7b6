"""The sandbox's sockets: HTTP by uvicorn and SMTP by aiosmtpd, in one event loop."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import socket
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sandbox.exchange import TRANSPORT
from sandbox.http import Application
from sandbox.injection import Injector
from sandbox.settings import Settings
from sandbox.smtp import Sink, protocol
from sandbox.state import State

log = logging.getLogger("sandbox")

BACKLOG = 2048


class PortTaken(Exception):
    """A port cannot be listened on; the message says which and what to set."""


class _Protocol(HttpToolsProtocol):
    """Hands the transport to the application, which can then close it without an answer."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        extensions: dict[str, object] = {TRANSPORT: self.transport}
        self.scope["extensions"] = extensions  # type: ignore[typeddict-item]


class _Server(uvicorn.Server):
    """Leaves signals to `serve`: uvicorn would raise them again at the end and spoil the exit."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _utc_now() -> datetime:
    return datetime.now(UTC)


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Raises PortTaken where a port cannot be had."""
    loop = asyncio.get_running_loop()
    state = State(settings.capacity, lambda: secrets.token_hex(4))
    injector = Injector()
    http_socket = _listen(settings.host, settings.port, "LEADFLOW_SANDBOX_PORT")
    server = _Server(
        uvicorn.Config(
            Application(state, injector, _utc_now),
            http=_Protocol,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=1,
        )
    )

    def stop() -> None:
        injector.stop()
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)

    listening = [f"http://{settings.host}:{settings.port}"]
    smtp_server = None
    if settings.smtp_port:
        sink = Sink(state, injector, _utc_now)
        smtp_server = await loop.create_server(
            lambda: protocol(sink, settings.host),
            sock=_listen(settings.host, settings.smtp_port, "LEADFLOW_SMTP_SINK_PORT"),
        )
        listening.append(f"smtp://{settings.host}:{settings.smtp_port}")
    log.info("listening on %s", " and ".join(listening))
    try:
        await server.serve(sockets=[http_socket])
    finally:
        if smtp_server is not None:
            smtp_server.close()


def _listen(host: str, port: int, setting: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # From here on connections wait instead of being refused: "listening" is true.
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        reason = error.strerror or error
        raise PortTaken(
            f"cannot listen on {host}:{port} ({reason}); set {setting} to another port"
        ) from error
    listener.setblocking(False)
    return listener
