"""Errors as RFC 9457 problem documents (`application/problem+json`)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException

from leadflow.errors import RecordRefused

# PostgreSQL's SQLSTATE for a byte that no text of its encoding has (its manual, appendix A).
NO_SUCH_CHARACTER = "22021"


class Problem(Exception):
    """A request that is answered with `status` and a sentence that says what to do about it."""

    def __init__(self, status: int, detail: str, **members: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.members = members


def document(status: int, detail: str, **members: Any) -> dict[str, Any]:
    title = HTTPStatus(status).phrase
    return {"type": "about:blank", "title": title, "status": status, "detail": detail, **members}


def answer(status: int, detail: str, **members: Any) -> JSONResponse:
    headers = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else None
    return JSONResponse(
        document(status, detail, **members),
        status,
        headers,
        media_type="application/problem+json",
    )


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem document."""

    @app.exception_handler(Problem)
    async def _problem(_request: Request, problem: Problem) -> JSONResponse:
        return answer(problem.status, problem.detail, **problem.members)

    @app.exception_handler(HTTPException)
    async def _http(_request: Request, error: HTTPException) -> JSONResponse:
        return answer(error.status_code, str(error.detail))

    @app.exception_handler(RequestValidationError)
    async def _validation(_request: Request, error: RequestValidationError) -> JSONResponse:
        # Where and why, never the value: it may be somebody's address.
        wrong = [
            {"at": ".".join(str(part) for part in each["loc"]), "problem": each["msg"]}
            for each in error.errors()
        ]
        first = wrong[0]
        detail = f"{first['at']}: {first['problem']}"
        return answer(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=wrong)

    @app.exception_handler(RecordRefused)
    async def _refused(_request: Request, error: RecordRefused) -> JSONResponse:
        large = error.rule == "too_large"
        status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if large else HTTPStatus.UNPROCESSABLE_ENTITY
        return answer(status, f"It cannot be recorded: {error}.")

    @app.exception_handler(DBAPIError)
    async def _database(_request: Request, error: DBAPIError) -> JSONResponse:
        if getattr(error.orig, "sqlstate", None) == NO_SUCH_CHARACTER:
            return answer(HTTPStatus.UNPROCESSABLE_ENTITY, "A text holds a NUL character.")
        raise error

    @app.exception_handler(Exception)
    async def _unexpected(_request: Request, _error: Exception) -> JSONResponse:
        return answer(500, "The portal failed to answer; its log says why.")
