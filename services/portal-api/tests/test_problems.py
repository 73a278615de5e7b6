"""What went wrong is told as a problem document, and without what was sent."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.exc import DBAPIError

from portal_api import problems


class Refused(Exception):
    def __init__(self, sqlstate: str) -> None:
        super().__init__("dana@example.com")
        self.sqlstate = sqlstate


async def ask(sqlstate: str) -> httpx.Response:
    app = FastAPI()
    problems.install(app)

    @app.get("/")
    async def fail() -> None:
        raise DBAPIError("SELECT 1", None, Refused(sqlstate))

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://portal") as client:
        return await client.get("/")


@pytest.mark.parametrize(("sqlstate", "status"), [("22021", 422), ("23505", 500)])
async def test_a_character_that_cannot_be_kept_is_the_callers_fault_and_the_rest_is_ours(
    sqlstate: str, status: int
) -> None:
    answer = await ask(sqlstate)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert "dana" not in answer.text
