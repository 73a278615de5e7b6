from __future__ import annotations

import pytest

from intake import stages
from intake.automatic import automatic_by
from intake.replies import keyword, wish_word
from leadflow.tenants import DEFAULT_PIPELINE


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("STOP", "STOP"),
        ("stop", "STOP"),
        (" Stop. ", "STOP"),
        ("STOP ALL", "STOPALL"),
        ("Unsubscribe", "UNSUBSCRIBE"),
        ("cancel", "CANCEL"),
        ("END", "END"),
        ("quit!", "QUIT"),
        ("revoke", "REVOKE"),
        ("opt out", "OPTOUT"),
        ("opt-out", "OPTOUT"),
        ("START", "START"),
        ("unstop", "UNSTOP"),
        ("Please stop by on Friday", None),
        ("yes", None),
        ("", None),
        (None, None),
    ],
)
def test_a_text_that_is_a_keyword_is_one(text: str | None, word: str | None) -> None:
    assert keyword(text) == word


@pytest.mark.parametrize(
    ("channel", "text", "word"),
    [
        ("email", "Stop\n\nOn Friday Acme Roofing wrote:\n> We have your message", "STOP"),
        ("email", "\n  unsubscribe.  \n", "UNSUBSCRIBE"),
        ("email", "Please stop by on Friday", None),
        ("email", "Thanks!\n> STOP", None),
        ("email", "START", None),
        ("email", "", None),
        ("sms", "START", "START"),
        ("whatsapp", "stop", "STOP"),
        ("call", "STOP", None),
    ],
)
def test_a_stop_counts_on_every_channel_that_is_written(
    channel: str, text: str, word: str | None
) -> None:
    assert wish_word(channel, text) == word


@pytest.mark.parametrize(
    "headers",
    [
        {"Auto-Submitted": "auto-replied"},
        {"auto-submitted": "auto-generated; owner-email=x@example.com"},
        {"X-Autoreply": "yes"},
        {"X-Autorespond": "true"},
        {"Precedence": "bulk"},
        {"Precedence": "auto_reply"},
        {"Return-Path": "<>"},
        {"Auto-Submitted": ["auto-replied"]},
    ],
)
def test_a_machines_answer_is_automatic(headers: object) -> None:
    assert automatic_by(headers) is not None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Auto-Submitted": "no"},
        {"Subject": "Re: Automatic reply"},
        {"Precedence": "normal"},
        {"Return-Path": "<jane@example.com>"},
        None,
        "Auto-Submitted: auto-replied",
    ],
)
def test_a_persons_answer_is_not(headers: object) -> None:
    assert automatic_by(headers) is None


@pytest.mark.parametrize(
    ("stage", "to"),
    [
        ("new", "contacted"),
        ("contacted", "qualified"),
        ("qualified", "proposal-sent"),
        ("proposal-sent", "won"),
        ("new", "lost"),
        ("proposal-sent", "dormant"),
        ("dormant", "contacted"),
    ],
)
def test_the_default_pipeline_goes_these_ways(stage: str, to: str) -> None:
    assert stages.allowed(DEFAULT_PIPELINE, stage, to)


@pytest.mark.parametrize(
    ("stage", "to"),
    [("new", "won"), ("new", "proposal-sent"), ("won", "new"), ("won", "lost"), ("lost", "won")],
)
def test_and_not_these(stage: str, to: str) -> None:
    assert not stages.allowed(DEFAULT_PIPELINE, stage, to)


def test_every_stage_of_the_presets_has_its_list_and_every_way_ends_in_a_stage() -> None:
    for pipeline in (DEFAULT_PIPELINE, stages.WHOLESALE_PIPELINE):
        ways = stages.transitions(pipeline)
        assert set(ways) == set(pipeline)
        assert {to for ends in ways.values() for to in ends} <= set(pipeline)


def test_another_pipeline_goes_one_stage_at_a_time() -> None:
    pipeline = ("fresh", "called", "signed", "lost")
    assert stages.transitions(pipeline) == {
        "fresh": ("called", "lost"),
        "called": ("signed", "lost"),
        "lost": ("called",),
    }
