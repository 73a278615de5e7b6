"""Whose a web address is."""

from __future__ import annotations

from rendering.links import ours


def test_the_senders_own_hosts_are_ours_whatever_the_lead_typed() -> None:
    is_ours = ours({"city": "Austin", "booking_link": "https://book.austinroofing.com/x"})
    assert is_ours("https://book.austinroofing.com/x")


def test_what_a_lead_typed_is_never_ours() -> None:
    is_ours = ours({"company": "evil.example", "booking_link": "https://book.acme.example/x"})
    assert not is_ours("https://evil.example/")
    assert not is_ours("https://www.evil.example/")
    assert is_ours("https://acme.example/guide")
