"""Health of a process: alive, ready, and a watchdog that ends it when it stands still.

The answers are served by a thread, so that a blocked event loop can still be seen from
outside; the watchdog is a thread for the same reason.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

STALLED_EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h


class Health:
    """Which parts of a process are ready, and when each last made progress.

    A part is not ready until it says so. `progress` is a heartbeat: a part that has called
    it once must go on calling it, or the watchdog ends the process.
    """

    def __init__(self, parts: tuple[str, ...] = ()) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, str] = dict.fromkeys(parts, "starting")
        self._progress: dict[str, float] = {}

    def ready(self, part: str) -> None:
        with self._lock:
            self._waiting.pop(part, None)

    def not_ready(self, part: str, reason: str) -> None:
        with self._lock:
            self._waiting[part] = reason

    def waiting(self) -> dict[str, str]:
        """The parts that are not ready, with the reason; empty when all are."""
        with self._lock:
            return dict(self._waiting)

    def progress(self, part: str) -> None:
        self._progress[part] = time.monotonic()

    def stalled(self, seconds: float) -> str | None:
        """A part that has made no progress for so long."""
        before = time.monotonic() - seconds
        return next((part for part, at in list(self._progress.items()) if at < before), None)


def answer(path: str, health: Health) -> tuple[int, str, bytes]:
    """(status, content type, body) of `/healthz`, `/readyz` and `/metrics`."""
    if path == "/healthz":
        return 200, "application/json", b'{"status":"alive"}'
    if path == "/readyz":
        waiting = health.waiting()
        body = json.dumps({"status": "waiting" if waiting else "ready", "waiting": waiting})
        return (503 if waiting else 200), "application/json", body.encode()
    if path == "/metrics":
        return 200, CONTENT_TYPE_LATEST, generate_latest()
    return 404, "text/plain", b"/healthz, /readyz or /metrics\n"


class HealthServer:
    """Serves `answer` on a thread of its own. Port 0 lets the system choose; see `port`."""

    def __init__(self, health: Health, host: str, port: int) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, content_type, body = answer(self.path.partition("?")[0], health)
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Probes are not worth a line each."""

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def start_watchdog(health: Health, seconds: float) -> None:
    """End the process with code 70 when a part stands still for `seconds`.

    A stalled consumer keeps its partitions and works on nothing; ended, it is restarted or
    replaced, and its records are repeated.
    """

    def watch() -> None:
        pause = threading.Event()
        while not pause.wait(min(5.0, seconds / 4)):
            if (part := health.stalled(seconds)) is not None:
                print(f"{part} made no progress for {seconds:.0f} s: ending", file=sys.stderr)  # noqa: T201
                sys.stderr.flush()
                os._exit(STALLED_EXIT_CODE)

    threading.Thread(target=watch, name="watchdog", daemon=True).start()
