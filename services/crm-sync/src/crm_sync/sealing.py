"""Secrets of accounts at rest: AES-256-GCM under a key that the database does not have."""

from __future__ import annotations

import binascii
import os
from base64 import b64decode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from leadflow.errors import SettingError

KEY_BYTES = 32
# NIST SP 800-38D, 8.2.2: 96 random bits; few enough secrets are sealed for them never to meet.
NONCE_BYTES = 12


class Sealer:
    """Seals and opens under one key. What is sealed for an account opens for no other."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    @classmethod
    def read(cls, written: str) -> Sealer:
        """LEADFLOW_ACCOUNT_SECRET. Raises SettingError."""
        try:
            key = b64decode(written, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES:
            raise SettingError(f"LEADFLOW_ACCOUNT_SECRET takes {KEY_BYTES} bytes in base64")
        return cls(key)

    def seal(self, secret: str, account_id: str) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret.encode(), account_id.encode())

    def open(self, sealed: bytes, account_id: str) -> str:
        """Raises SettingError for what was sealed under another key or for another account."""
        try:
            secret = self._cipher.decrypt(
                sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], account_id.encode()
            )
        except (InvalidTag, ValueError):
            raise SettingError(
                f"the secret of account {account_id} does not open with LEADFLOW_ACCOUNT_SECRET"
            ) from None
        return secret.decode()
