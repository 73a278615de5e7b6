"""JSON in and out of the stores: one canonical form, so that equal values hash equal."""

from __future__ import annotations

import hashlib
from typing import Any, TypeAlias

import orjson

from sandbox.errors import Malformed

JsonObject: TypeAlias = dict[str, Any]

# A batch of a hundred large e-mails fits.
MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_BATCH = 100
MAX_KEY_CHARS = 255


def parse(body: bytes) -> Any:
    """Decode a JSON body; Malformed where it is not JSON."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"the body is not JSON: {error}") from None


def parse_object(body: bytes) -> JsonObject:
    """Decode a JSON body that must be an object."""
    return as_object(parse(body), "the body")


def parse_batch(body: bytes) -> list[Any]:
    """Decode a JSON body that must be a list of at most MAX_BATCH items."""
    items = parse(body)
    if not isinstance(items, list):
        raise Malformed("the body must be a JSON list")
    if len(items) > MAX_BATCH:
        raise Malformed(f"a batch has at most {MAX_BATCH} items, this one has {len(items)}")
    return items


def as_object(value: Any, what: str) -> JsonObject:
    """The value if it is a JSON object; Malformed, naming `what`, if not."""
    if not isinstance(value, dict):
        raise Malformed(f"{what} must be a JSON object")
    return value


def as_text(value: Any, what: str) -> str:
    """The value if it is a string that is not blank; Malformed, naming `what`, if not."""
    if not isinstance(value, str) or not value.strip():
        raise Malformed(f"{what} must be a string that is not empty")
    return value


def as_key(value: Any) -> str | None:
    """An idempotency key: None, or a string of 1 to MAX_KEY_CHARS characters."""
    if value is None:
        return None
    key = as_text(value, "the idempotency key")
    if len(key) > MAX_KEY_CHARS:
        raise Malformed(f"the idempotency key is longer than {MAX_KEY_CHARS} characters")
    return key


def canonical(value: JsonObject) -> bytes:
    """UTF-8 JSON with sorted keys and no white space: the form that is kept and hashed."""
    try:
        encoded = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        raise Malformed(f"the body cannot be kept: {error}") from None
    # orjson's own result keeps the buffer it was written into: 8 kB for a short e-mail.
    return bytes(memoryview(encoded))


def sha256(body: bytes) -> bytes:
    """32 bytes."""
    return hashlib.sha256(body).digest()


def render(value: Any) -> bytes:
    """Encode an answer; aware datetimes become RFC 3339 with Z."""
    return orjson.dumps(value, option=orjson.OPT_UTC_Z)
