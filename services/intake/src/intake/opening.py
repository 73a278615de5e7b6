"""What a batch of events is about, read from the database into a book.

An opt-out, or a STOP, is about everybody behind the addresses of those it finds: their addresses
have to be known before the locks are taken, so that nobody is added behind one meanwhile, and
their leads before the rows are, for rows are locked once, in the order of their ids.
"""

from __future__ import annotations

from collections.abc import Iterable

from intake import snapshots
from intake.accounts import MOST_CONTACTS, account_key
from intake.book import Book
from intake.model import MESSAGE, SPREADING, Key, Prepared, address_keys
from intake.store import Transaction
from leadflow.codec import Codec


async def shared_addresses(
    transaction: Transaction, work: Iterable[Prepared], codec: Codec
) -> set[Key]:
    """The addresses of those whom opt-outs and answers find, as they are now; nothing is locked."""
    keys = {key for each in work if each.raw.kind in SPREADING for key in each.keys}
    if not keys:
        return set()
    found = await _lead_ids(transaction, keys)
    rows = await transaction.look({lead_id for ids in found.values() for lead_id in ids})
    return {key for row in rows for key in address_keys(snapshots.from_row(row, codec))}


async def open_book(transaction: Transaction, work: Iterable[Prepared], codec: Codec) -> Book:
    """All that is known about these events; its leads are locked."""
    events = list(work)
    keys = {key for each in events for key in each.keys}
    identities = await _lead_ids(transaction, keys)
    shared = await shared_addresses(transaction, events, codec)
    identities |= await _lead_ids(transaction, shared - keys)
    lead_ids = {lead_id for found in identities.values() for lead_id in found}
    leads = await transaction.leads(lead_ids) if lead_ids else []
    known = {row.lead_id: snapshots.from_row(row, codec) for row in leads}
    if any(each.raw.kind == "reply" for each in events):
        accounts = sorted({key for each in known.values() if (key := account_key(each))})
        contacts = await transaction.contacts(accounts, MOST_CONTACTS + 1)
        identities |= contacts
        others = {lead_id for found in contacts.values() for lead_id in found} - known.keys()
        for row in await transaction.look(others):
            known[row.lead_id] = snapshots.from_row(row, codec)
    refusals = await transaction.refusals(
        {refusal for each in events for refusal in each.addresses()}
    )
    return Book(known.values(), identities, refusals)


async def _lead_ids(transaction: Transaction, keys: Iterable[Key]) -> dict[Key, list[str]]:
    """Lead ids by key, oldest first."""
    wanted = sorted(keys)
    if not wanted:
        return {}
    found = await transaction.identities([key for key in wanted if key.kind != MESSAGE])
    found |= await transaction.messages([key for key in wanted if key.kind == MESSAGE])
    return found | {key: [key.value] for key in wanted if key.kind == "lead_id"}
