"""What people have changed in a CRM is told from what we wrote there ourselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_sync.compare import Change, Had, Heard, Look, Noticed, compare

START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def look(**known: Any) -> Look:
    given = {
        "places": {"stage": "stage", "email": "email", "phone": "phone", "title": "title"},
        "base": {"stage": "contacted", "email": "ada@x.example", "phone": "+15125550100"},
        "theirs": {"stage": "contacted", "email": "ada@x.example", "phone": "+15125550100"},
        "begun_at": at(-1),
        "written_at": at(0),
        "noticed_at": at(60),
        "looked_at": at(64),
    }
    return Look(**(given | known))


def theirs(**values: Any) -> dict[str, Any]:
    return {"stage": "contacted", "email": "ada@x.example", "phone": "+15125550100", **values}


def test_what_the_crm_has_and_we_did_not_write_is_a_change() -> None:
    found = compare(look(theirs=theirs(stage="qualified")))
    assert found.changes == (Change("stage", "stage", "qualified", at(60), until=at(62)),)


def test_the_time_of_a_change_is_the_one_that_the_crm_names() -> None:
    noticed = [Noticed("stage", "qualified", at(41)), Noticed("email", "b@x.example", at(7))]
    found = compare(look(theirs=theirs(stage="qualified"), noticed=noticed[:1]))
    assert found.changes[0].at == at(41)


def test_what_came_after_our_last_write_is_newer_than_it_whatever_the_crms_clock_says() -> None:
    noticed = [Noticed("stage", "qualified", at(-30))]
    found = compare(look(theirs=theirs(stage="qualified"), noticed=noticed))
    assert found.changes[0].at == at(-1)


def test_what_came_after_what_was_told_on_is_newer_than_it() -> None:
    heard = {"stage": Heard(at(62), "qualified", at(4))}
    assert compare(look(theirs=theirs(stage="lost"), heard=heard)).changes[0].at == at(62)
    # And what was told on and is still there is the same change.
    assert compare(look(theirs=theirs(stage="qualified"), heard=heard)).changes[0].at == at(4)


@pytest.mark.parametrize(
    "same",
    [
        theirs(),
        theirs(email="Ada@X.example"),
        theirs(phone="(512) 555-0100"),
        theirs(stage=""),
        theirs(title=None),
        theirs(elsewhere="Rome"),
    ],
)
def test_what_only_looks_different_is_no_change(same: dict[str, Any]) -> None:
    assert compare(look(theirs=same)).changes == ()


def test_what_is_about_to_be_written_is_ours_too() -> None:
    pending = theirs(stage="qualified")
    assert compare(look(pending=pending, theirs=pending)).changes == ()
    assert compare(look(pending=pending, theirs=theirs())).changes == ()
    (change,) = compare(look(pending=pending, theirs=theirs(stage="lost"))).changes
    assert change.word == "lost"


def test_an_edit_that_our_write_has_overwritten_is_told_on() -> None:
    noticed = [Noticed("stage", "qualified", at(10)), Noticed("stage", "contacted", at(12))]
    found = compare(look(noticed=noticed, written_at=at(12)))
    assert found.changes == (Change("stage", "stage", "qualified", at(10), until=at(10)),)


def test_an_edit_that_somebody_has_taken_back_is_not() -> None:
    noticed = [Noticed("stage", "qualified", at(10)), Noticed("stage", "contacted", at(20))]
    assert compare(look(noticed=noticed)).changes == ()


def test_an_edit_that_is_not_there_though_nothing_was_written_is_worth_another_look() -> None:
    found = compare(look(noticed=[Noticed("stage", "qualified", at(10))]))
    assert (found.changes, found.unsure) == ((), True)


def test_an_edit_that_our_write_may_be_going_over_is_worth_another_look() -> None:
    noticed = [Noticed("stage", "qualified", at(10)), Noticed("stage", "contacted", at(12))]
    found = compare(look(noticed=noticed, pending=theirs(title="Owner"), written_at=at(9)))
    assert (found.changes, found.unsure) == ((), True)


def test_a_value_of_ours_that_was_replaced_is_an_echo_where_it_was_noticed_by_then() -> None:
    earlier = [Had("stage", "new", until=at(30))]
    known = {"earlier": earlier, "written_at": at(31)}
    assert compare(look(noticed=[Noticed("stage", "new", at(20))], **known)).changes == ()
    later = look(noticed=[Noticed("stage", "new", at(40))], **(known | {"written_at": at(50)}))
    assert [change.word for change in compare(later).changes] == ["new"]


def test_what_was_told_on_already_is_not_told_on_again() -> None:
    noticed = [Noticed("stage", "qualified", at(10))]
    assert (
        compare(
            look(noticed=noticed, written_at=at(12), heard={"stage": Heard(at(10), "lost", at(4))})
        ).changes
        == ()
    )


def test_of_two_places_of_a_field_the_later_change_counts() -> None:
    places = {"contact.owner": "owner", "deal.owner": "owner"}
    both = {"contact.owner": "41", "deal.owner": "41"}
    noticed = [Noticed("contact.owner", "7", at(9)), Noticed("deal.owner", "8", at(5))]
    changed = look(
        places=places, base=both, theirs={"contact.owner": "7", "deal.owner": "8"}, noticed=noticed
    )
    assert [change.word for change in compare(changed).changes] == ["7"]
    one = look(places=places, base=both, theirs={**both, "deal.owner": "8"})
    assert [change.word for change in compare(one).changes] == ["8"]


def test_of_a_crm_that_cannot_be_read_what_it_says_counts() -> None:
    noticed = [Noticed("stage", "qualified", at(10)), Noticed("email", "ADA@x.example", at(10))]
    found = compare(look(theirs=None, noticed=noticed))
    assert found.changes == (Change("stage", "stage", "qualified", at(10), until=at(10)),)


class World:
    """A lead's title in the log and in a CRM: we write it, people edit it, the CRM tells of all
    of that, late and in any order, and the log takes the newest."""

    def __init__(self, named: bool) -> None:
        self.now = 0.0
        self.named = named
        self.log, self.log_at, self.revision = "w0", 0.0, 1
        self.base, self.base_revision = "w0", 1
        self.pending: tuple[str, int] | None = None
        self.carried_out = False
        self.begun_at = self.written_at = 0.0
        self.earlier: list[Had] = []
        self.heard: dict[str, Heard] = {}
        self.crm = "w0"
        self.untold: list[tuple[str, float]] = []
        self.row: list[tuple[str, float]] = []
        self.edits: list[tuple[str, float]] = []
        self.own: list[tuple[str, float]] = [("w0", 0.0)]
        self.taken: list[str] = []
        # An edit was seen before the CRM told of it, while a change of the log's was on its way.
        self.misdated = False

    def unwritten(self) -> bool:
        return self.revision != self.base_revision

    def decide(self) -> None:
        """Something else changes the lead."""
        self.own.append((f"w{len(self.own)}", self.now))
        self.log, self.log_at = self.own[-1]
        self.revision += 1

    def edit(self) -> None:
        self.edits.append((f"p{len(self.edits)}", self.now))
        self._set(self.edits[-1][0])

    def begin(self) -> None:
        """Write ahead; also where nothing but another field is newer."""
        if self.pending is None:
            self.pending, self.carried_out = (self.log, self.revision), False
            if self.log != self.base:
                self.earlier.append(Had("title", self.base, at(self.now)))
            self.begun_at = self.written_at = self.now

    def carry_out(self) -> None:
        if self.pending is not None:
            self._set(self.pending[0])
            self.carried_out = True

    def end(self) -> None:
        if self.pending is not None and self.carried_out:
            (self.base, self.base_revision), self.pending = self.pending, None
            self.written_at = self.now

    def _set(self, word: str) -> None:
        if self.crm != word:
            self.untold.append((word, self.now))
        self.crm = word

    def tell(self, first: bool = True) -> None:
        if self.untold:
            self.row.append(self.untold.pop(0 if first else -1))

    def tell_again(self) -> None:
        self.row += self.row[:1]

    def look(self) -> None:
        if not self.row:
            return
        found = compare(
            Look(
                places={"title": "title"},
                base={"title": self.base},
                pending=None if self.pending is None else {"title": self.pending[0]},
                theirs={"title": self.crm},
                noticed=[Noticed("title", w, at(t)) for w, t in self.row if self.named],
                earlier=self.earlier,
                heard=self.heard,
                begun_at=at(self.begun_at),
                written_at=at(self.written_at),
                noticed_at=at(max(t for _, t in self.row)),
                looked_at=at(self.now),
            )
        )
        if not (found.unsure and self.pending):
            self.row = []
        for change in found.changes:
            self.taken.append(change.word)
            self.heard[change.place] = Heard(change.until, change.word, change.at)
            changed_at = (change.at - START).total_seconds()
            self.misdated |= changed_at < dict(self.edits)[change.word] and self.unwritten()
            if change.word != self.log and changed_at > self.log_at:
                self.log, self.log_at = change.word, changed_at
                self.revision += 1

    def come_to_rest(self) -> None:
        for _ in range(5):
            self.now += 10
            while self.untold:
                self.tell()
            self.look()
            self.now += 10
            if self.pending is not None or self.unwritten():
                self.begin()
                self.carry_out()
                self.end()


STEPS = {
    "decide": World.decide,
    "edit": World.edit,
    "begin": World.begin,
    "carry out": World.carry_out,
    "end": World.end,
    "tell": World.tell,
    "tell the last": lambda world: world.tell(first=False),
    "tell again": World.tell_again,
    "look": World.look,
}
STORIES = st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.floats(3, 20)), max_size=40)
CLOSE = st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.floats(0.01, 3)), max_size=40)


def lived(story: list[tuple[str, float]], named: bool = True) -> World:
    world = World(named)
    for step, pause in story:
        world.now += pause
        STEPS[step](world)
    world.come_to_rest()
    return world


@given(STORIES)
def test_an_edit_is_never_lost_and_the_newest_stands(story: list[tuple[str, float]]) -> None:
    world = lived(story)
    newest = max([*world.own, *world.edits], key=lambda each: each[1])
    assert world.misdated or world.log == newest[0]
    assert world.crm == world.log


@given(STORIES | CLOSE, st.booleans())
def test_our_own_writes_never_come_back_and_the_crm_ends_equal_to_the_log(
    story: list[tuple[str, float]], named: bool
) -> None:
    world = lived(story, named)
    assert all(word.startswith("p") for word in world.taken)
    assert world.crm == world.log
    quiet = len(world.taken)
    world.come_to_rest()
    assert len(world.taken) == quiet
