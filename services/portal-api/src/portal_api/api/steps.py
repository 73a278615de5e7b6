"""/sequences/{id}/steps: each change of a step is a new version of its sequence."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from portal_api import editing
from portal_api.api.access import Ctx, Operator
from portal_api.api.bodies import StepBody, StepChange
from portal_api.api.sequences import name_of, publish, revise, row_of, step_of
from portal_api.api.writing import Done, Write, run
from portal_api.problems import Problem

router = APIRouter(prefix="/sequences/{sequence_id}/steps", tags=["sequences"])


@router.post("", status_code=HTTPStatus.CREATED)
async def add_step(
    sequence_id: str, body: StepBody, request: Request, context: Ctx, principal: Operator
) -> JSONResponse:
    """Add a step, at `step_order` or where its time puts it."""

    async def work(write: Write) -> Done:
        row = await row_of(context, principal, sequence_id)
        record = editing.from_definition(row["definition"])
        step = step_of(body, editing.free_step_id(record, name_of(body)))
        steps = editing.with_step(record, step, body.step_order)
        changed = revise(context, record, write, steps=steps)
        return await publish(context, request, principal, write, changed, HTTPStatus.CREATED)

    return await run(context, request, principal, "step.add", sequence_id, work)


@router.put("/{step_id}")
async def change_step(
    sequence_id: str,
    step_id: str,
    body: StepChange,
    request: Request,
    context: Ctx,
    principal: Operator,
) -> JSONResponse:
    """Change what is given of a step, keep the rest."""

    async def work(write: Write) -> Done:
        row = await row_of(context, principal, sequence_id)
        record = editing.from_definition(row["definition"])
        try:
            old = editing.step_of(record, step_id)
        except KeyError:
            raise _no_step(step_id) from None
        given = body.model_dump(exclude_unset=True)
        names = {
            "template_subject": "subject",
            "template_body": "body",
            "template_html": "body_html",
        }
        changes = {
            names.get(name, name): value
            for name, value in given.items()
            if name not in ("condition", "step_order") and value is not None
        }
        if "condition" in given:
            changes["condition"] = editing.condition_of(given["condition"])
        if given.get("arms") is not None:
            changes["arms"] = tuple(editing.arm_of(each) for each in given["arms"])
        step = replace(old, **changes)
        if body.step_order is not None:
            rest = replace(record, steps=editing.without_step(record, step_id))
            steps = editing.with_step(rest, step, body.step_order)
        else:
            steps = editing.replace_step(record, step)
        changed = revise(context, record, write, steps=steps)
        return await publish(context, request, principal, write, changed, HTTPStatus.OK)

    return await run(context, request, principal, "step.change", f"{sequence_id}/{step_id}", work)


@router.delete("/{step_id}")
async def remove_step(
    sequence_id: str, step_id: str, request: Request, context: Ctx, principal: Operator
) -> JSONResponse:
    """A new version without the step; who is enrolled stays on theirs."""

    async def work(write: Write) -> Done:
        row = await row_of(context, principal, sequence_id)
        record = editing.from_definition(row["definition"])
        try:
            steps = editing.without_step(record, step_id)
        except KeyError:
            raise _no_step(step_id) from None
        changed = revise(context, record, write, steps=steps)
        return await publish(context, request, principal, write, changed, HTTPStatus.OK)

    return await run(context, request, principal, "step.remove", f"{sequence_id}/{step_id}", work)


def _no_step(step_id: str) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, f"The sequence has no step {step_id}.")
