"""A real SMTP server in a process of its own: `python smtp_server.py CONFIG_AS_JSON`.

Says its port first, then what happens, as JSON lines: a connection's end, each piece of bytes
as it came over the wire, and each mail. Addresses choose: `nobody@` does not exist, `later@` is
told to come later, mail from `stranger@` is not taken, and on `cut@` the connection breaks.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from base64 import b64encode
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


def tell(what: str, **more: Any) -> None:
    print(json.dumps({"what": what, **more}), flush=True)


class Server(SMTP):
    def data_received(self, data: bytes) -> None:
        tell("bytes", text=data.decode("latin-1"), secure=self._tls_protocol is not None)
        super().data_received(data)

    def connection_lost(self, error: Exception | None) -> None:
        tell("closed")
        super().connection_lost(error)


class Handler:
    def __init__(self, pipelining: bool) -> None:
        self.pipelining = pipelining

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, name: str, said: list[str]
    ) -> list[str]:
        session.host_name = name
        return [said[0], "250-PIPELINING", *said[1:]] if self.pipelining else said

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("stranger@"):
            return "550 5.7.60 not as this sender"
        envelope.mail_from = address
        return "250 2.1.0 ok"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        name = address.partition("@")[0]
        if name == "cut" and server.transport is not None:
            server.transport.abort()
        refused = {
            "nobody": "550 5.1.1 no such user",
            "later": "450 4.2.0 greylisted",
            "policy": "550 5.7.1 not wanted",
        }.get(name)
        if refused is None:
            envelope.rcpt_tos.append(address)
        return refused or "250 2.1.5 ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        tell(
            "mail",
            sender=envelope.mail_from,
            to=envelope.rcpt_tos,
            content=b64encode(envelope.original_content or b"").decode(),
            secure=session.ssl is not None,
            user=session.auth_data and session.auth_data.login.decode(),
        )
        return "250 2.0.0 taken"


async def serve(config: dict[str, Any]) -> None:
    context = None
    if config.get("certificate"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(config["certificate"], config["key"])
    # From the first byte, instead of by STARTTLS.
    implicit, context = (context, None) if config.get("implicit") else (None, context)
    user, password = config.get("user"), config.get("password")

    def authenticate(
        server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword
    ) -> AuthResult:
        right = (data.login, data.password) == (user.encode(), password.encode())
        return AuthResult(success=right, handled=False, auth_data=data)

    def protocol() -> SMTP:
        return Server(
            Handler(config.get("pipelining", True)),
            hostname="localhost",
            tls_context=context,
            require_starttls=context is not None,
            auth_required=user is not None,
            auth_require_tls=True,
            authenticator=authenticate if user else None,
            timeout=config.get("timeout", 60),
            loop=asyncio.get_running_loop(),
        )

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, ssl=implicit)
    tell("listening", port=server.sockets[0].getsockname()[1])
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(json.loads(sys.argv[1])))
