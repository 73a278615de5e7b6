"""The eight kinds of incident (product.md, "Incidents"), and what each asks for by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Kind:
    """`task` is what has to be verified before anything goes on, `rollback` how to get back to
    where nothing goes wrong. Whoever opens an incident may say something more exact."""

    task: str
    rollback: str


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "credential": Kind(
            "Put the new credential in place and see a test send accepted with it.",
            "Go back to the last credential that worked; what is held stays held.",
        ),
        "webhook": Kind(
            "Send one event of each kind from the source and see it arrive as what it is.",
            "Point the source back at the version of its integration that worked.",
        ),
        "import": Kind(
            "Import again as a dry run and read the refused rows.",
            "Leave the batch out; what it brought stays where it is.",
        ),
        "delivery": Kind(
            "See a test message to an address of ours delivered.",
            "Send over the other provider, or the template version before.",
        ),
        "privacy": Kind(
            "Have the person in charge of privacy confirm what may be shown and sent.",
            "Withdraw what was shown; nothing goes out until it is settled.",
        ),
        "compliance": Kind(
            "Read what the complaints are about, and check consent and opt-outs of who is next.",
            "Archive the sequence or publish the version before.",
        ),
        "freshness": Kind(
            "See new data of the source arrive, and say since when it was stale.",
            "Work from the last data that is known to be right.",
        ),
        "data_quality": Kind(
            "Read ten of the records in question and confirm that they are right.",
            "Publish the version before; correct the records at their source.",
        ),
    }
)
