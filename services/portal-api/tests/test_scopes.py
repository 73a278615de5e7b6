"""What a scope that is not there is answered with."""

from __future__ import annotations

import pytest

from portal_api.incidents.scopes import MOST_LISTED, missing


@pytest.mark.parametrize(
    ("known", "there"),
    [
        ([], "there are none"),
        (["smtp"], "there is smtp"),
        (["smtp", "resend"], "there are resend, smtp"),
    ],
)
def test_a_name_that_is_not_there_is_answered_with_those_that_are(
    known: list[str], there: str
) -> None:
    assert missing("provider", "nope", known) == f"there is no provider nope; {there}"


def test_thousands_of_names_are_not_listed() -> None:
    said = missing("tenant", "x", [f"t-{number:04}" for number in range(1_000)])
    assert said.endswith("t-0019 and 980 more")
    assert said.count("t-") == MOST_LISTED
