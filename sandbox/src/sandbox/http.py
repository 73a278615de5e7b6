"""The sandbox as an ASGI application: which path is which endpoint, and how errors answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

from starlette.exceptions import HTTPException
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox.errors import ConnectionDropped, Refused, Shaped, Unknown, WrongMethod
from sandbox.exchange import TRANSPORT, answer, answer_nothing, answer_problem, drop, read_body
from sandbox.http_accounts import AccountRoutes
from sandbox.http_callbacks import CallbackRoutes
from sandbox.http_crm import CrmRoutes
from sandbox.http_followupboss import FollowUpBossRoutes
from sandbox.http_hubspot import HubSpotRoutes
from sandbox.http_mailbox import MailboxRoutes
from sandbox.http_providers import ProviderRoutes
from sandbox.http_resend import ResendRoutes
from sandbox.http_twilio import TwilioRoutes
from sandbox.http_webhook import WebhookRoutes
from sandbox.http_webhook_crm import WebhookCrmRoutes
from sandbox.injection import Injector
from sandbox.providers import HTTP_CHANNELS
from sandbox.state import State
from sandbox.wire import parse


class FaultRoutes:
    """The endpoints of the fault rules; rules never hit these."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def add(self, scope: Scope, receive: Receive, send: Send) -> None:
        """POST /faults"""
        rule_id = self._state.faults.add(parse(await read_body(receive)))
        await answer(send, {"id": rule_id}, status=201)

    async def list_rules(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /faults"""
        items = self._state.faults.view()
        await answer(send, {"total": len(items), "items": items})

    async def remove(self, scope: Scope, receive: Receive, send: Send) -> None:
        """DELETE /faults/{id}"""
        self._state.faults.remove(scope["path_params"]["id"])
        await answer_nothing(send)

    async def clear(self, scope: Scope, receive: Receive, send: Send) -> None:
        """DELETE /faults"""
        self._state.faults.clear()
        await answer_nothing(send)


class Application:
    """The ASGI application over one State."""

    def __init__(self, state: State, injector: Injector, now: Callable[[], datetime]) -> None:
        self._providers = ProviderRoutes(state, injector, now)
        self._router = _router(
            self._providers,
            CrmRoutes(state, injector, now),
            FaultRoutes(state),
            ResendRoutes(state, injector, now),
            TwilioRoutes(state, injector, now),
            WebhookRoutes(state, injector, now),
            MailboxRoutes(state),
            CallbackRoutes(state, now),
            [
                *_accounts(AccountRoutes(state, now)),
                *_hubspot(HubSpotRoutes(state, injector, now)),
                *_followupboss(FollowUpBossRoutes(state, injector, now)),
                (
                    "POST",
                    "/webhook-crm/{account}",
                    WebhookCrmRoutes(state, injector, now).receive,
                ),
            ],
        )
        # Most requests are sends: they go past the router, which tries its routes in turn.
        self._sends = {f"/providers/{channel}": channel for channel in HTTP_CHANNELS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # With an application in the scope the router raises instead of answering as text.
        scope["app"] = self
        try:
            channel = self._sends.get(scope["path"]) if scope["method"] == "POST" else None
            if channel is not None:
                await self._providers.send(channel, scope, receive, send)
            else:
                await self._router(scope, receive, send)
        except Shaped as error:
            headers = [(name.encode(), value.encode()) for name, value in error.headers.items()]
            await answer(send, error.body, error.status, headers)
        except Refused as error:
            await answer_problem(send, error)
        except HTTPException as error:
            await answer_problem(send, _no_endpoint(scope, error))
        except ConnectionDropped:
            if TRANSPORT not in scope.get("extensions", {}):
                raise
            await drop(scope, receive)


def _no_endpoint(scope: Scope, error: HTTPException) -> Refused:
    asked = f"{scope['method']} {scope['path']}"
    if error.status_code == 405:
        return WrongMethod(f"there is no endpoint {asked}, the path takes other methods")
    return Unknown(f"there is no endpoint {asked}")


async def _healthz(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, {"status": "ok"})


class _Endpoint:
    """Keeps a route from taking an ASGI function for one of (request) -> response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


Table: TypeAlias = list[tuple[str, str, ASGIApp]]


def _accounts(accounts: AccountRoutes) -> Table:
    account = "/accounts/{provider}/{account}"
    return [
        ("GET", account, accounts.show),
        ("POST", account, accounts.set_up),
        ("GET", account + "/{kind}", accounts.list_records),
        ("GET", account + "/{kind}/duplicates", accounts.duplicates),
        ("PUT", account + "/{kind}/{id}", accounts.edit),
        ("POST", account + "/{kind}/{id}/notices", accounts.tell),
    ]


def _hubspot(hubspot: HubSpotRoutes) -> Table:
    objects, links = "/hubspot/crm/v3/objects/{kind}", "associations/default/{to}/{to_id}"
    return [
        ("POST", objects + "/batch/{verb}", hubspot.batch),
        ("PUT", "/hubspot/crm/v4/objects/{kind}/{id}/" + links, hubspot.associate),
        (
            "POST",
            "/hubspot/crm/v4/associations/{kind}/{to}/batch/associate/default",
            hubspot.associate_batch,
        ),
        ("POST", "/hubspot/crm/v3/properties/{kind}/batch/{verb}", hubspot.properties),
        ("POST", "/hubspot/crm/v3/properties/{kind}/groups", hubspot.make_group),
    ]


def _followupboss(boss: FollowUpBossRoutes) -> Table:
    root = "/followupboss/v1"
    table: Table = [
        ("GET", root + "/people", boss.search_people),
        ("POST", root + "/people", boss.create_person),
        ("GET", root + "/people/{id}", boss.show_person),
        ("PUT", root + "/people/{id}", boss.update_person),
        ("POST", root + "/events", boss.event),
        ("GET", root + "/customFields", boss.custom_fields),
        ("POST", root + "/customFields", boss.add_custom_field),
        ("GET", root + "/stages", boss.stages),
    ]
    # After the others: the first path that fits is taken.
    table.append(("GET", root + "/{kind}", boss.list_of_person))
    table.append(("POST", root + "/{kind}", boss.add_to_person))
    return table


def _router(
    providers: ProviderRoutes,
    crm: CrmRoutes,
    faults: FaultRoutes,
    resend: ResendRoutes,
    twilio: TwilioRoutes,
    webhook: WebhookRoutes,
    mailbox: MailboxRoutes,
    callbacks: CallbackRoutes,
    crms: Table,
) -> Router:
    contact = "/crm/contacts/{external_id}"
    table: Table = [
        ("PUT", contact, crm.upsert),
        ("PATCH", contact, crm.edit),
        ("POST", contact + "/notices", crm.tell),
        ("PUT", "/crm/webhook", crm.set_webhook),
        ("POST", "/crm/contacts/batch", crm.upsert_batch),
        ("POST", contact + "/notes", crm.add_note),
        ("POST", contact + "/tasks", crm.add_task),
        ("POST", "/providers/email/batch", providers.send_batch),
        ("POST", "/resend/emails", resend.send),
        ("POST", "/resend/emails/batch", resend.send_batch),
        ("POST", "/twilio/2010-04-01/Accounts/{sid}/Messages.json", twilio.send),
        ("POST", "/webhook", webhook.receive),
        ("GET", "/accepted", providers.list_accepted),
        ("DELETE", "/accepted", providers.clear),
        ("GET", "/accepted/counts", providers.count_accepted),
        ("GET", "/accepted/{id}", providers.show_accepted),
        ("GET", "/mailbox", mailbox.list_mails),
        ("GET", "/mailbox/{id}", mailbox.show),
        ("POST", "/mailbox/{id}/unsubscribe", mailbox.unsubscribe),
        ("POST", "/callbacks", callbacks.report),
        ("GET", "/crm/counts", crm.counts),
        ("GET", "/crm/contacts", crm.list_contacts),
        ("GET", contact, crm.show),
        ("GET", contact + "/history", crm.history),
        ("GET", contact + "/notes", crm.list_notes),
        ("GET", contact + "/tasks", crm.list_tasks),
        ("POST", "/faults", faults.add),
        ("GET", "/faults", faults.list_rules),
        ("DELETE", "/faults", faults.clear),
        ("DELETE", "/faults/{id}", faults.remove),
        ("GET", "/healthz", _healthz),
        *crms,
    ]
    return Router(
        [Route(path, _Endpoint(app), methods=[method]) for method, path, app in table],
        redirect_slashes=False,
    )
