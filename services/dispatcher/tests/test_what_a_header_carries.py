"""Ids that no provider's header could carry do not get as far as a provider."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dispatcher.content import Writer
from leadflow.errors import RecordRefused
from leadflow.records import MessageQueued

Make = Callable[..., MessageQueued]


@pytest.mark.parametrize("message_id", ["", "grüße-1", "m 1", "м-1", "m" * 201])
def test_a_message_id_that_is_no_idempotency_key_is_refused(
    make_queued: Make, writer: Writer, message_id: str
) -> None:
    """HTTP field values are ASCII (RFC 9110, 5.5), and so is a Message-ID (RFC 5322, 3.6.4)."""
    with pytest.raises(RecordRefused, match="malformed_id"):
        writer.arrive(make_queued(message_id=message_id))


def test_an_international_name_is_no_reason_to_refuse(make_queued: Make, writer: Writer) -> None:
    variables = {**make_queued().variables, "first_name": "Jörg", "tenant_name": "Dächer Müller"}
    assert writer.arrive(make_queued(variables=variables)).rule is None
