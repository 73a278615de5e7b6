"""Opaque tokens for links that leave the house: unsubscribe, clicks, opens, reply addresses.

A token is the fields that it stands for, sealed by AES-SIV (RFC 5297): nobody without the secret
can read, change or make one, and the same fields give the same token, so that a message rendered
again has the same bytes. The purpose is authenticated with them: a token of one kind opens as no
other. Base64url without padding; in hex for places that do not keep upper case; packed where room
is short as well (the local part of a mail address, 64 characters: RFC 5321, 4.5.3.1.1).
"""

from __future__ import annotations

import hashlib
from base64 import b32decode, urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as BadBase64
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from leadflow.errors import LeadflowError

LONGEST_CHARS = 8_192
PACKED_CHARS = 52
"""Length of a packed token: 16 bytes of seal and 16 of the id, in base 32."""
_SEPARATOR = "\x1f"
# Ten bits at a time in base 32, which is a third of the work of base64.b32encode.
_DIGITS = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = [first + second for first in _DIGITS for second in _DIGITS]
_PADDING_BITS = 5 * PACKED_CHARS - 256


class BadToken(LeadflowError):
    """A token that nobody here made, or that was made for something else."""


class Sealer:
    """Makes and opens tokens. `secrets` is one secret, or several with commas between: the first
    seals, each opens, so that a secret can be replaced while old links still work."""

    def __init__(self, secrets: str) -> None:
        each = [secret.strip() for secret in secrets.split(",") if secret.strip()]
        if not each:
            raise ValueError("a secret is needed")
        self._keys = [AESSIV(_key(secret)) for secret in each]

    def seal(self, purpose: str, *fields: str) -> str:
        """The token of `fields`, none of which may hold the character U+001F."""
        return urlsafe_b64encode(self._sealed(purpose, fields)).rstrip(b"=").decode()

    def seal_hex(self, purpose: str, *fields: str) -> str:
        """The same for places that do not tell upper from lower case."""
        return self._sealed(purpose, fields).hex()

    def open(self, purpose: str, token: str) -> tuple[str, ...]:
        """The fields of a token made by `seal`. Raises BadToken."""
        if len(token) > LONGEST_CHARS:
            raise BadToken("the token is too long")
        try:
            sealed = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        except (UnicodeEncodeError, BadBase64):
            raise BadToken("this is no token") from None
        return self._opened(purpose, sealed)

    def open_hex(self, purpose: str, token: str) -> tuple[str, ...]:
        """The fields of a token made by `seal_hex`. Raises BadToken."""
        if len(token) > LONGEST_CHARS:
            raise BadToken("the token is too long")
        try:
            return self._opened(purpose, bytes.fromhex(token))
        except ValueError:
            raise BadToken("this is no token") from None

    def seal_id(self, purpose: str, scope: str, identity: str) -> str:
        """A token of PACKED_CHARS characters, a-z and 2-7, of an id that is a UUID. `scope` is
        authenticated and not in it: who opens the token has to know it.

        Raises ValueError where `identity` is no UUID as `str(UUID)` writes one.
        """
        packed = UUID(identity)
        if str(packed) != identity:
            raise ValueError("a packed token takes a UUID in its plain form")
        sealed = self._keys[0].encrypt(packed.bytes, [purpose.encode(), scope.encode()])
        number = int.from_bytes(sealed) << _PADDING_BITS
        return "".join([_PAIRS[number >> shift & 1023] for shift in range(250, -1, -10)])

    def open_id(self, purpose: str, scope: str, token: str) -> str:
        """The id in a token made by `seal_id`, in whatever case it came back. Raises BadToken."""
        if len(token) != PACKED_CHARS:
            raise BadToken("this is no token")
        try:
            sealed = b32decode(token.upper().encode("ascii") + b"=" * (-PACKED_CHARS % 8))
        except (UnicodeEncodeError, BadBase64):
            raise BadToken("this is no token") from None
        for key in self._keys:
            try:
                return str(UUID(bytes=key.decrypt(sealed, [purpose.encode(), scope.encode()])))
            except (InvalidTag, ValueError):
                continue
        raise BadToken("nobody here made this token")

    def _sealed(self, purpose: str, fields: tuple[str, ...]) -> bytes:
        if any(_SEPARATOR in field for field in fields):
            raise ValueError("a field holds U+001F")
        return self._keys[0].encrypt(_SEPARATOR.join(fields).encode(), [purpose.encode()])

    def _opened(self, purpose: str, sealed: bytes) -> tuple[str, ...]:
        for key in self._keys:
            try:
                return tuple(key.decrypt(sealed, [purpose.encode()]).decode().split(_SEPARATOR))
            except (InvalidTag, ValueError):
                continue
        raise BadToken("nobody here made this token")


def _key(secret: str) -> bytes:
    """64 bytes, for AES-256-SIV, of a secret of any length that is random enough by itself."""
    return hashlib.blake2b(secret.encode(), digest_size=64, person=b"leadflow links").digest()
