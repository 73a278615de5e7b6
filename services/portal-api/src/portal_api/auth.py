"""Who asks, and what that role may do. Pure: secrets come in, answers go out.

An API key is `lf_` and 43 random characters (256 bits); of it only the SHA-256 is kept, which
is enough for a secret that nobody chose. A browser session is a credential of its own, named
in a cookie that is signed with a key derived from LEADFLOW_SECRET. A sign-in ticket is used
up by the first who brings it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

KEY_PREFIX = "lf_"
TICKET_PREFIX = "lft_"
SESSION_LENGTH = timedelta(hours=12)
TICKET_LENGTH = timedelta(minutes=10)


class Role(StrEnum):
    """admin and ops run things, a reviewer lets texts out, a rep sees the leads that are
    theirs, a client sees what was approved for their tenant."""

    ADMIN = "admin"
    OPS = "ops"
    REVIEWER = "reviewer"
    REP = "rep"
    CLIENT = "client"


STAFF = frozenset({Role.ADMIN, Role.OPS, Role.REVIEWER, Role.REP})
OPERATORS = frozenset({Role.ADMIN, Role.OPS})
REVIEWERS = frozenset({Role.ADMIN, Role.REVIEWER})
# What a client may see is cut out by tenant: without one there is nothing to see.
BOUND_ROLES = frozenset({Role.CLIENT})


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: `tenant_id` None may see every tenant."""

    credential_id: str
    role: Role
    tenant_id: str | None
    subject: str

    def tenant(self, wanted: str | None) -> str | None:
        """The tenant to show: the principal's own, else the wanted one, None for all.

        Raises PermissionError where another tenant is wanted than the principal's.
        """
        if self.tenant_id is None:
            return wanted or None
        if wanted and wanted != self.tenant_id:
            raise PermissionError(f"this key is for tenant {self.tenant_id}")
        return self.tenant_id

    def sees(self, tenant_id: str, owner: str | None = None) -> bool:
        """Whether a thing of this tenant, and of this owner where it has one, may be shown."""
        if self.tenant_id is not None and self.tenant_id != tenant_id:
            return False
        return self.role is not Role.REP or owner == self.subject


def new_key() -> str:
    return KEY_PREFIX + secrets.token_urlsafe(32)


def new_ticket() -> str:
    return TICKET_PREFIX + secrets.token_urlsafe(32)


def secret_hash(secret: str) -> str:
    """What is kept of a key or a ticket."""
    return hashlib.sha256(secret.encode()).hexdigest()


def text_hash(text: str) -> str:
    """SHA-256 of a text's UTF-8 bytes, hex: what a review covers."""
    return hashlib.sha256(text.encode()).hexdigest()


def bearer(header: str | None) -> str | None:
    """The key in an Authorization header (RFC 6750), or None."""
    scheme, _, value = (header or "").partition(" ")
    return value.strip() or None if scheme.lower() == "bearer" else None


def sign(secret: str, credential_id: str) -> str:
    """A cookie value that names a session."""
    return f"{credential_id}.{_signature(secret, credential_id)}"


def signed(secret: str, cookie: str | None) -> str | None:
    """The session that a cookie names, or None if we did not sign it."""
    credential_id, _, signature = (cookie or "").rpartition(".")
    expected = _signature(secret, credential_id)
    if not credential_id or not hmac.compare_digest(expected.encode(), signature.encode()):
        return None
    return credential_id


def _signature(secret: str, credential_id: str) -> str:
    key = hmac.new(secret.encode(), b"portal session cookie", "sha256").digest()
    return hmac.new(key, credential_id.encode(), "sha256").hexdigest()
