"""Cursor pages: the cursor is the sort key of the last row, so rows that arrive shift nothing."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from portal_api.problems import Problem

LARGEST_PAGE = 200


def encode(at: datetime, key: str) -> str:
    """An opaque cursor behind the row with this time and id."""
    return urlsafe_b64encode(json.dumps([at.isoformat(), key]).encode()).decode().rstrip("=")


def decode(cursor: str | None) -> tuple[datetime | None, str]:
    """(time, id), or (None, "") for the first page. Raises Problem 400."""
    if not cursor:
        return None, ""
    try:
        at, key = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return datetime.fromisoformat(at), str(key)
    except (ValueError, TypeError):
        raise Problem(400, "cursor: take it from `next` of the page before, unchanged") from None


def page(
    rows: Sequence[dict[str, Any]], limit: int, cursor: Callable[[dict[str, Any]], str]
) -> tuple[Sequence[dict[str, Any]], str | None]:
    """(rows of this page, cursor of the next or None), from a query for `limit + 1` rows."""
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], cursor(rows[limit - 1])
