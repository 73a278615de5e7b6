"""The portal's API, as far as the commands ask it."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import httpx

from leadflow_cli.errors import CliError

ANSWER_SECONDS = 15.0


class PortalClient:
    """Raises CliError when the portal does not answer, or refuses."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self._http = httpx.Client(
            base_url=f"{url}/api/v1",
            headers={"Authorization": f"Bearer {key}"},
            timeout=ANSWER_SECONDS,
            trust_env=False,  # a proxy of the shell is not the way to this machine
        )

    def pipeline(self) -> dict[str, Any]:
        """The totals of GET /pipeline."""
        totals: dict[str, Any] = self._ask("GET", "/pipeline")
        return totals

    def pending_summary(self) -> dict[str, Any] | None:
        """A summary that waits for its review, None when none does."""
        found = self._ask("GET", "/summaries", params={"state": "pending", "limit": 1})["items"]
        return found[0] if found else None

    def approve(self, summary: dict[str, Any]) -> None:
        """Approve exactly the text that `summary` holds."""
        self._ask(
            "POST",
            f"/summaries/{summary['summary_id']}/review",
            json={"decision": "approved", "text_hash": summary["text_hash"]},
        )

    def _ask(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            answer = self._http.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise CliError(
                f"the portal at {self.url} does not answer ({type(error).__name__})"
            ) from error
        try:
            body = answer.json()
        except ValueError:
            body = {}
        if not answer.is_success:
            told = body.get("detail") or body.get("title") or answer.reason_phrase
            raise CliError(f"the portal refused {method} {path}: {answer.status_code} {told}")
        return body

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._http.close()
