"""SMTP against a real server: STARTTLS, signing in, pipelining, kept connections, doubts."""

from __future__ import annotations

import asyncio
import json
import sys
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dispatcher.model import Accepted, Content
from dispatcher.providers.base import ProviderError
from dispatcher.providers.smtp import Smtp, SmtpAccount
from leadflow.clock import SystemClock

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

SERVER = Path(__file__).with_name("smtp_server.py")
DEADLINE_SECONDS = 20.0
USER, PASSWORD = "postmaster", "open sesame"


@dataclass(frozen=True)
class Message:
    to: str = "ann@example.com"
    sender: str = "acme@mail.example"
    message_id: str = "m-1"
    tenant_id: str = "acme"
    in_doubt: bool = False
    epoch: int = 1

    @property
    def content(self) -> Content:
        send = {
            "from": f"Zoë & Co <{self.sender}>",
            "to": self.to,
            "subject": "Grüße",
            "text": "First\n.\nlast",
            "html": "<p>Grüße 👋</p>",
            "headers": {"X-Leadflow-Message-Id": self.message_id},
        }
        return Content(payload=json.dumps(send).encode(), sha256="")


@dataclass
class Server:
    """What the server has said so far."""

    process: asyncio.subprocess.Process
    port: int = 0
    said: list[dict[str, Any]] = field(default_factory=list)

    async def until(self, what: str, number: int = 1) -> list[dict[str, Any]]:
        """The first `number` times that it said this."""
        assert self.process.stdout is not None
        async with asyncio.timeout(DEADLINE_SECONDS):
            while len(found := [each for each in self.said if each["what"] == what]) < number:
                self.said.append(json.loads(await self.process.stdout.readline()))
        return found[:number]


@asynccontextmanager
async def a_server(**config: Any) -> AsyncIterator[Server]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SERVER), json.dumps(config), stdout=asyncio.subprocess.PIPE
    )
    server = Server(process)
    try:
        server.port = (await server.until("listening"))[0]["port"]
        yield server
    finally:
        process.kill()
        await process.communicate()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A certificate for 127.0.0.1 that vouches for itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    paths = {"certificate": str(folder / "cert.pem"), "key": str(folder / "key.pem")}
    Path(paths["certificate"]).write_bytes(made.public_bytes(serialization.Encoding.PEM))
    Path(paths["key"]).write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


Open = Callable[..., Smtp]


@pytest.fixture
async def smtp() -> AsyncIterator[Open]:
    """Makes providers, and closes them."""
    async with AsyncExitStack() as stack:

        def make(port: int, **changes: Any) -> Smtp:
            account = SmtpAccount(**{"host": "127.0.0.1", "port": port, **changes})
            made = Smtp(account, SystemClock(), 5.0)
            stack.push_async_callback(made.close)
            return made

        yield make


def test_over_starttls_signed_in_a_mail_takes_two_round_trips_and_the_next_no_greeting(
    certificate: dict[str, str],
) -> None:
    """On the loop that the dispatcher runs on: the connection is taken over from one protocol
    by another, which the loop's own transports must allow."""
    uvloop.run(two_mails_over_starttls(certificate))


async def two_mails_over_starttls(certificate: dict[str, str]) -> None:
    async with a_server(**certificate, user=USER, password=PASSWORD) as server:
        account = SmtpAccount(
            host="127.0.0.1",
            port=server.port,
            tls="starttls",
            username=USER,
            password=PASSWORD,
            ca_file=certificate["certificate"],
        )
        provider = Smtp(account, SystemClock(), 5.0)
        for number in (1, 2):
            (answer,) = await provider.send([Message(message_id=f"m-{number}")])
            assert answer == Accepted(provider_id=None, response="250 2.0.0 taken")
        await provider.close()
        first, second = await server.until("mail", 2)
        await server.until("closed")
        sent = [each["text"] for each in server.said if each["what"] == "bytes"]
        together = "MAIL FROM:<acme@mail.example>\r\nRCPT TO:<ann@example.com>\r\nDATA\r\n"
        assert sent.count(together) == 2
        assert sum("EHLO" in each for each in sent) == 2  # before STARTTLS and after it
        assert not any(PASSWORD in each for each in sent)
        in_clear = [e["text"] for e in server.said if e["what"] == "bytes" and not e["secure"]]
        assert not any("AUTH" in each or "MAIL" in each for each in in_clear)
    assert (first["secure"], first["user"]) == (True, USER)
    assert (first["sender"], first["to"]) == ("acme@mail.example", ["ann@example.com"])
    read = message_from_bytes(b64decode(second["content"]), policy=default)
    assert read["Subject"] == "Grüße"
    assert read["From"].addresses[0].display_name == "Zoë & Co"
    assert read["Date"].datetime.tzinfo is not None
    assert read["X-Leadflow-Message-Id"] == "m-2"
    text, html = (part.get_content() for part in read.iter_parts())
    assert text.split() == ["First", ".", "last"]
    assert html.strip() == "<p>Grüße 👋</p>"


async def test_a_connection_can_be_encrypted_from_its_first_byte(
    smtp: Open, certificate: dict[str, str]
) -> None:
    async with a_server(**certificate, implicit=True) as server:
        provider = smtp(server.port, implicit_tls=True, ca_file=certificate["certificate"])
        for _ in range(2):
            (answer,) = await provider.send([Message()])
            assert isinstance(answer, Accepted)
        await server.until("mail", 2)
        untrusting = smtp(server.port, implicit_tls=True)
        with pytest.raises(ProviderError, match="certificate") as caught:
            await untrusting.send([Message()])
        assert caught.value.refused().error_class == "Unauthorized"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"password": "wrong"}, "answered 535 to the login"),
        ({"ca_file": None}, "certificate"),
    ],
)
async def test_a_wrong_password_or_certificate_is_no_messages_fault(
    smtp: Open, certificate: dict[str, str], changes: dict[str, Any], reason: str
) -> None:
    async with a_server(**certificate, user=USER, password=PASSWORD) as server:
        told = {
            "tls": "starttls",
            "username": USER,
            "password": PASSWORD,
            "ca_file": certificate["certificate"],
        }
        with pytest.raises(ProviderError, match=reason) as caught:
            await smtp(server.port, **{**told, **changes}).send([Message()])
        assert caught.value.refused().error_class == "Unauthorized"


async def test_what_is_told_to_encrypt_does_not_speak_to_who_cannot(smtp: Open) -> None:
    async with a_server() as server:
        with pytest.raises(ProviderError, match="STARTTLS") as caught:
            await smtp(server.port, tls="starttls").send([Message()])
        assert caught.value.refused().error_class == "Unauthorized"


@pytest.mark.parametrize("pipelining", [True, False])
async def test_a_refusal_says_whom_it_is_about_and_the_connection_goes_on(
    smtp: Open, pipelining: bool
) -> None:
    async with a_server(pipelining=pipelining) as server:
        provider = smtp(server.port)
        for message, error_class in (
            (Message(to="nobody@example.com"), "BadAddress"),
            (Message(to="later@example.com"), "Busy"),
            (Message(to="policy@example.com"), "Rejected"),
            (Message(sender="stranger@mail.example"), "SenderRefused"),
        ):
            with pytest.raises(ProviderError) as caught:
                await provider.send([message])
            assert caught.value.refused().error_class == error_class
            assert "@" not in str(caught.value)
        (answer,) = await provider.send([Message()])
        assert isinstance(answer, Accepted)
        await server.until("mail")
        sent = "".join(each["text"] for each in server.said if each["what"] == "bytes")
        assert sent.count("EHLO") == 1
        assert sent.count("RSET") == 4


async def test_a_connection_that_breaks_before_the_content_leaves_no_doubt(smtp: Open) -> None:
    async with a_server() as server:
        with pytest.raises(ProviderError) as caught:
            await smtp(server.port).send([Message(to="cut@example.com")])
        refused = caught.value.refused()
        assert (refused.error_class, refused.maybe_accepted) == ("Unreachable", False)


async def test_a_connection_that_the_server_has_closed_is_made_again_without_a_failure(
    smtp: Open,
) -> None:
    async with a_server(timeout=0.3) as server:
        provider = smtp(server.port)
        await provider.send([Message()])
        await server.until("closed")
        (answer,) = await provider.send([Message()])
        assert isinstance(answer, Accepted)
        await server.until("mail", 2)


async def test_a_connection_carries_so_many_mails_and_is_left_alone_for_so_long(
    smtp: Open,
) -> None:
    async with a_server() as server:
        provider = smtp(server.port, most_mails=2)
        for _ in range(3):
            await provider.send([Message()])
        await server.until("closed")
        await provider.close()
        await server.until("closed", 2)
        impatient = smtp(server.port, idle_seconds=0.0)
        for _ in range(2):
            await impatient.send([Message()])
        await server.until("closed", 3)


async def test_several_go_side_by_side_over_connections_of_their_own(smtp: Open) -> None:
    async with a_server() as server:
        provider = smtp(server.port, connections=3)
        assert provider.at_once == 3
        answers = await asyncio.gather(
            *(provider.send([Message(message_id=f"m-{number}")]) for number in range(9))
        )
        assert all(isinstance(answer, Accepted) for (answer,) in answers)
        await server.until("mail", 9)
        sent = "".join(each["text"] for each in server.said if each["what"] == "bytes")
        assert 1 <= sent.count("EHLO") <= 3


@asynccontextmanager
async def scripted(script: dict[str, bytes | None]) -> AsyncIterator[int]:
    """The port of a server that answers by the first word of a line; None: it hangs up."""
    speaking: set[asyncio.Task[None] | None] = set()

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        speaking.add(asyncio.current_task())
        writer.write(b"220 hello\r\n")
        content = False
        with suppress(ConnectionError):
            while line := await reader.readline():
                word = line.split(b" ")[0].strip().decode()
                if content and word != ".":
                    continue
                answer = script.get(word, b"250 ok")
                if answer is None:
                    break
                content = answer.startswith(b"354")
                writer.write(answer + b"\r\n")
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        yield int(server.sockets[0].getsockname()[1])
        # The provider is closed by now: each of them hears the end and goes.
        async with asyncio.timeout(5):
            await asyncio.gather(*(task for task in speaking if task is not None))


EHLO = b"250-hello\r\n250 PIPELINING"
GO_ON = b"354 go on"


@pytest.mark.parametrize(
    ("script", "error_class", "maybe_accepted"),
    [
        ({"DATA": GO_ON, ".": None}, "NoAnswer", True),
        ({"DATA": GO_ON, ".": b"421 going away"}, "Broken", True),
        ({"DATA": GO_ON, ".": b"451 not now"}, "Busy", False),
        ({"DATA": GO_ON, ".": b"554 spam"}, "Rejected", False),
        ({"DATA": GO_ON, ".": b"what?"}, "NoAnswer", True),
        ({"DATA": None}, "Unreachable", False),
        ({"DATA": b"421 going away"}, "Busy", False),
        ({"DATA": GO_ON, "RCPT": b"550 5.1.1 who?", ".": b"554 nobody"}, "BadAddress", False),
        ({"MAIL": b"530 5.7.0 sign in first", "DATA": b"503 no"}, "Unauthorized", False),
        ({"MAIL": b"552 5.3.4 too big", "DATA": b"503 no"}, "Rejected", False),
        ({"EHLO": b"554 go away"}, "Unreachable", False),
    ],
)
async def test_only_content_that_was_sent_and_not_answered_is_in_doubt(
    smtp: Open, script: dict[str, bytes | None], error_class: str, maybe_accepted: bool
) -> None:
    async with scripted({"EHLO": EHLO, **script}) as port:
        provider = smtp(port)
        with pytest.raises(ProviderError) as caught:
            await provider.send([Message()])
        await provider.close()
    refused = caught.value.refused()
    assert (refused.error_class, refused.maybe_accepted) == (error_class, maybe_accepted)


async def test_a_silence_after_the_content_is_a_doubt_and_one_before_it_is_none() -> None:
    for word, error_class in ((".", "NoAnswer"), ("RCPT", "Unreachable")):
        async with scripted({"EHLO": EHLO, "DATA": GO_ON, word: b"250-to be continued"}) as port:
            provider = Smtp(SmtpAccount(host="127.0.0.1", port=port), SystemClock(), 0.3)
            with pytest.raises(ProviderError) as caught:
                await provider.send([Message()])
            await provider.close()
        assert caught.value.refused().error_class == error_class
