"""POST /resend/emails and /resend/emails/batch, as Resend's API has them.

https://resend.com/docs/api-reference/emails: what is required, what is answered, and what is
refused in which words.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from starlette.types import Receive, Scope, Send

from sandbox.errors import Injected, Malformed, Shaped
from sandbox.exchange import answer, header, read_body
from sandbox.injection import Injector
from sandbox.resend_keys import error
from sandbox.state import State
from sandbox.wire import MAX_BATCH, JsonObject, canonical, parse, sha256

API_KEY = "re_sandbox"
MAX_RECIPIENTS = 50
REQUIRED = ("from", "to", "subject")


class ResendRoutes:
    """The two endpoints that send."""

    def __init__(self, state: State, injector: Injector, now: Callable[[], datetime]) -> None:
        self._state = state
        self._injector = injector
        self._now = now

    async def send(self, scope: Scope, receive: Receive, send: Send) -> None:
        """POST /resend/emails: one e-mail, {"id"}."""
        email = await self._body(scope, receive)
        wrong = problem(email)
        if wrong is not None:
            raise wrong
        (given, _) = await self._carry_out(scope, [email], [None], many=False)
        await answer(send, given["data"][0])

    async def send_batch(self, scope: Scope, receive: Receive, send: Send) -> None:
        """POST /resend/emails/batch: up to 100, {"data": [{"id"}], "errors": [{"index"...}]}.

        The strict mode refuses the whole for one that is wrong, the permissive one sends the rest.
        """
        emails = await self._body(scope, receive)
        if not isinstance(emails, list) or not 1 <= len(emails) <= MAX_BATCH:
            raise error(422, "validation_error", f"A batch has 1 to {MAX_BATCH} emails.")
        problems = [problem(email) for email in emails]
        permissive = header(scope, b"x-batch-validation") == "permissive"
        if not permissive:
            for wrong in problems:
                if wrong is not None:
                    raise wrong
        given, errors = await self._carry_out(scope, emails, problems, many=True)
        await answer(send, {**given, "errors": errors} if permissive else given)

    async def _body(self, scope: Scope, receive: Receive) -> Any:
        signed = header(scope, b"authorization")
        if not signed:
            raise error(401, "missing_api_key", "Missing API key in the authorization header.")
        if signed != f"Bearer {API_KEY}":
            raise error(403, "invalid_api_key", "API key is invalid.")
        try:
            return parse(await read_body(receive))
        except Malformed as malformed:
            raise error(400, "validation_error", malformed.detail) from malformed

    async def _carry_out(
        self, scope: Scope, emails: list[Any], problems: list[Shaped | None], *, many: bool
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        key, now = header(scope, b"idempotency-key"), self._now()
        digest = sha256(canonical({"emails": emails, "many": many}))
        sound = [email for email, wrong in zip(emails, problems, strict=True) if wrong is None]
        for email in sound:
            if (name := own_key(email)) is not None:
                self._state.providers.count_attempt("resend", name)
        earlier = self._state.resend_keys.begin(key, digest, now)
        everybody = [each for email in sound for each in recipients(email)]
        spec = self._state.faults.pick("resend", everybody)
        try:
            await self._injector.before(spec)
        except BaseException as failed:
            if earlier is None:
                self._state.resend_keys.finish(key, None)
            if isinstance(failed, Injected):
                raise injected(failed) from failed
            raise
        if earlier is None:
            given = {"data": [{"id": self._accept(email, key, now, many)} for email in sound]}
            self._state.resend_keys.finish(key, given)
        else:
            given = earlier
        self._injector.after(spec)
        errors = [
            {"index": index, "message": wrong.body["message"]}
            for index, wrong in enumerate(problems)
            if wrong is not None
        ]
        return given, errors

    def _accept(self, email: JsonObject, key: str | None, now: datetime, many: bool) -> str:
        name = own_key(email) or (None if many else key)
        return self._state.providers.record(
            "resend", name, email["to"], email["subject"], email, now
        ).id


def problem(email: Any) -> Shaped | None:
    """What is wrong with an e-mail, in Resend's words."""
    if not isinstance(email, dict):
        return error(422, "validation_error", "An email must be an object.")
    for name in REQUIRED:
        if not email.get(name):
            return error(422, "missing_required_field", f"Missing `{name}` field.")
    if not (email.get("html") or email.get("text")):
        return error(422, "missing_required_field", "Missing `html` or `text` field.")
    to = recipients(email)
    if len(to) > MAX_RECIPIENTS or not all(
        isinstance(each, str) and "@" in each and " " not in each.strip() for each in to
    ):
        return error(
            422,
            "validation_error",
            "Invalid `to` field. The email address needs to follow the `email@example.com` format.",
        )
    return None


def recipients(email: JsonObject) -> list[str]:
    to = email["to"]
    return to if isinstance(to, list) else [to]


def own_key(email: JsonObject) -> str | None:
    """By what an entry of the list is told from others: the id that the sender put in a header.

    The idempotency key will not do: a batch has one for all of its e-mails.
    """
    headers = email.get("headers")
    named = headers.get("X-Leadflow-Message-Id") if isinstance(headers, dict) else None
    return named if isinstance(named, str) and named else None


def injected(fault: Injected) -> Shaped:
    """A fault rule's refusal as Resend would word it."""
    name = {429: "rate_limit_exceeded", 422: "validation_error"}.get(
        fault.status, "application_error" if fault.status >= 500 else "invalid_parameter"
    )
    headers = {}
    if fault.retry_after_seconds is not None:
        wait = str(fault.retry_after_seconds)
        headers["retry-after"] = wait
        if fault.status == 429:
            headers |= {
                "ratelimit-limit": "5",
                "ratelimit-remaining": "0",
                "ratelimit-reset": wait,
            }
    return error(fault.status, name, fault.detail, headers)
