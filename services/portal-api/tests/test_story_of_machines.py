"""The timeline says of an open by a machine that it does not count, and how that is known."""

from __future__ import annotations

import pytest

from portal_api.story import text


@pytest.mark.parametrize(
    ("kind", "reason", "said"),
    [
        ("MessageOpened", "image_proxy", "Email was opened, by the mail provider's image proxy"),
        ("MessageClicked", "burst", "Email: a link was followed, by a machine, several links at"),
        ("MessageOpened", None, "Email was opened, by a scanner or proxy"),
    ],
)
def test_what_a_machine_did_is_said_to_be_its_doing(
    kind: str, reason: str | None, said: str
) -> None:
    data = {"channel": "email", "automated": True, "automated_reason": reason}
    sentence = text(kind, "dispatcher", data)
    assert sentence.startswith(said)
    assert sentence.endswith(": it does not count")


def test_what_a_person_did_counts() -> None:
    data = {"channel": "email", "automated": False, "automated_reason": None}
    assert text("MessageOpened", "dispatcher", data) == "Email was opened"
