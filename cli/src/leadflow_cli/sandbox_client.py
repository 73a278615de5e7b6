"""What the sandbox accepted, asked over HTTP."""

from __future__ import annotations

from datetime import datetime
from types import TracebackType
from typing import Any, Self

import httpx

from leadflow_cli.errors import CliError
from leadflow_cli.ledger import Acceptance

PAGE = 10_000
ANSWER_SECONDS = 30.0


class SandboxClient:
    """Raises CliError when the sandbox does not answer as it should."""

    def __init__(self, url: str) -> None:
        self._url = url
        # trust_env False: a proxy of the shell is not the way to this machine.
        self._http = httpx.Client(base_url=url, timeout=ANSWER_SECONDS, trust_env=False)

    def accepted(self) -> list[Acceptance]:
        """Every accepted send, in order of acceptance."""
        found: list[Acceptance] = []
        while items := self.accepted_page(len(found))[0]:
            found += [Acceptance.from_json(item) for item in items]
        return found

    def accepted_page(self, offset: int) -> tuple[list[dict[str, Any]], datetime]:
        """Up to PAGE accepted sends from an offset on, and when the list was begun: what was
        accepted before that is forgotten."""
        page = self._get("/accepted", offset=offset, limit=PAGE)
        return page["items"], datetime.fromisoformat(page["since"])

    def mail(self, accepted_id: str) -> bytes:
        """A mail as it came over SMTP."""
        whole = self._get(f"/accepted/{accepted_id}")
        return str(whole["raw"]).encode()

    def crm_counts(self) -> dict[str, int]:
        """`contacts`, `notes` and `writes` of the CRM."""
        counts: dict[str, int] = self._get("/crm/counts")
        return counts

    def _get(self, path: str, **parameters: int) -> Any:
        try:
            answer = self._http.get(path, params=parameters)
            answer.raise_for_status()
            return answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise CliError(f"the sandbox at {self._url} does not answer: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._http.close()
