"""Thousands of reports, forged, replayed, late, reordered and duplicated, against a model.

The real decision code over a log in memory. The model knows what truly happened to each message
and nothing of the rules: where a message ends must be what happened to it, in whatever order and
however often that is reported, and whatever else is reported of it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dispatcher.callbacks import Callback, Reported, event_of, facts_of_callback
from dispatcher.engagement import (
    HOLD,
    SEEN_KINDS,
    Refuse,
    Standing,
    Tell,
    Wait,
    judge_in_turn,
)
from dispatcher.facts import Stop, Suppression
from dispatcher.model import State
from leadflow.records import MessageBounced, MessageClicked, MessageOpened
from leadflow.records.base import LeadRecord

SENT_AT = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
TENANTS = ("acme", "north")
PROVIDERS = {"resend": "resend", "twilio": "twilio-sms", "standard": "smtp"}
SOURCES = tuple(PROVIDERS)
NEVER_SENT = (State.HELD, State.SUPPRESSED, State.RECORDED, State.FAILED)
PERSON = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
MACHINES = ("Mozilla/5.0", "Barracuda Sentinel", "(via ggpht.com GoogleImageProxy)", "curl/8")
SPAN_SECONDS = 3 * 3600


@dataclass
class Truth:
    """What happened to one message."""

    delivered: bool = False
    delayed: bool = False
    bounced: bool = False
    complained: bool = False
    opened: bool = False  # by a person
    clicked: set[str] = field(default_factory=set)  # links, by a person

    def end(self) -> dict[str, Any]:
        """Where the message ends. What came back for good was not delivered, however it was
        reported; a delay that a delivery or a bounce ended is none."""
        return {
            "delivered": self.delivered and not self.bounced,
            "delayed": self.delayed and not (self.delivered or self.bounced),
            "bounced": self.bounced,
            "complained": self.complained,
            "opened": self.opened,
            "clicked": frozenset(self.clicked),
            "suppressed": frozenset(
                reason
                for reason, happened in (
                    ("hard_bounce", self.bounced),
                    ("complaint", self.complained),
                )
                if happened
            ),
        }


@dataclass
class Post:
    """A message and its states in the ledger, each from a moment on. `accepted` is when the
    provider took it, which may be written down late; `known` is when the ledger has the row."""

    message: Reported
    source: str
    states: list[tuple[datetime, State]]
    accepted: datetime
    known: datetime
    truth: Truth = field(default_factory=Truth)

    @property
    def was_sent(self) -> bool:
        return self.states[-1][1] is State.SENT

    def standing(self, now: datetime) -> Standing | None:
        past = [(at, state) for at, state in self.states if at <= now]
        if not past or now < self.known:
            return None
        at, state = past[-1]
        return Standing(
            state=state,
            in_doubt=state is State.CLAIMED,
            created_at=self.states[0][0],
            accepted_at=at if state is State.SENT else None,
        )


class World:
    """The ledger, what is reported, and what is told: as in PostgreSQL, without it."""

    def __init__(self, posts: Sequence[Post]) -> None:
        self.posts = posts
        self.kept: dict[str, Callback] = {}
        self.waiting: dict[str, datetime] = {}
        self.told: dict[str, dict[str, datetime]] = {p.message.message_id: {} for p in posts}
        self.events: list[LeadRecord] = []
        self.facts: dict[str, list[Any]] = {p.message.message_id: [] for p in posts}
        self.outcomes: Counter[str] = Counter()

    def receive(self, callback: Callback) -> None:
        if callback.event_id in self.kept:
            return
        self.kept[callback.event_id] = callback
        hold = HOLD if callback.kind in SEEN_KINDS else timedelta(0)
        self.waiting[callback.event_id] = callback.received_at + hold

    def look(self, now: datetime) -> None:
        ready = [event_id for event_id, at in self.waiting.items() if at <= now]
        due = [(self.kept[event_id], self._about(self.kept[event_id], now)) for event_id in ready]
        around = {
            message.message_id: [c for c in self.kept.values() if self._names(c, message)]
            for callback, messages in due
            if callback.kind in SEEN_KINDS
            for message, _ in messages
        }
        for each in judge_in_turn(due, self.told, around, now):
            callback = each.callback
            match each.verdict, each.message:
                case Wait(), _:
                    self.waiting[callback.event_id] = now + timedelta(minutes=5)
                    continue
                case Refuse(rule), _:
                    self.outcomes[rule] += 1
                case Tell(what, at, automated), Reported() as message:
                    self.outcomes["applied"] += 1
                    assert what not in self.told[message.message_id], "told twice"
                    self.told[message.message_id][what] = at
                    self.events.append(event_of(callback, message, at, automated, now))
                    self.facts[message.message_id] += facts_of_callback(callback, message, at, now)
            del self.waiting[callback.event_id]

    def _about(self, callback: Callback, now: datetime) -> list[tuple[Reported, Standing]]:
        return [
            (post.message, standing)
            for post in self.posts
            if self._names(callback, post.message) and (standing := post.standing(now)) is not None
        ]

    def _names(self, callback: Callback, message: Reported) -> bool:
        if callback.tenant_id != message.tenant_id:
            return False
        if callback.message_id is not None:
            return callback.message_id == message.message_id
        return callback.provider_id == message.provider_id

    def end(self, post: Post) -> dict[str, Any]:
        """Where a message ended, read from what was told of it, in the order of telling."""
        seen = Truth()
        for event in self.events:
            if event.to_avro()["message_id"] != post.message.message_id:
                continue
            match event:
                case MessageBounced():
                    seen.bounced |= event.bounce_type == "hard"
                    seen.delayed |= event.bounce_type == "soft"
                case MessageOpened():
                    seen.opened |= not event.automated
                case MessageClicked():
                    if not event.automated and event.url:
                        seen.clicked.add(event.url)
                case _:
                    name = event.TYPE.removeprefix("Message").lower()
                    setattr(seen, name, True)
        facts = self.facts[post.message.message_id]
        suppressions = {fact.reason for fact in facts if isinstance(fact, Suppression)}
        assert all(fact.lead_id == post.message.lead_id for fact in facts if isinstance(fact, Stop))
        return {**seen.end(), "suppressed": frozenset(suppressions)}


def posts_of(chance: random.Random, number: int) -> list[Post]:
    """Messages of two tenants over three providers. Some have the provider's id of another one,
    which another provider gave; some were never sent."""
    posts: list[Post] = []
    for index in range(number):
        source = chance.choice(SOURCES)
        tenant = chance.choice(TENANTS)
        provider_id = f"p-{index // 2 if chance.random() < 0.2 else index}"
        if any((each.message.provider_id, each.source) == (provider_id, source) for each in posts):
            provider_id = f"p-own-{index}"
        created = SENT_AT + timedelta(seconds=chance.uniform(0, 600))
        accepted = created + timedelta(seconds=chance.uniform(0.1, 2))
        states = [(created, State.QUEUED)]
        if chance.random() < 0.25:
            states.append((accepted, chance.choice(NEVER_SENT)))
        else:
            # Whose answer was lost is written down as sent when the key is presented again.
            lost = chance.uniform(0, 55) if chance.random() < 0.3 else 0.0
            states += [
                (created + timedelta(seconds=0.05), State.CLAIMED),
                (accepted + timedelta(seconds=lost), State.SENT),
            ]
        late = chance.uniform(0, 100) if chance.random() < 0.2 else 0.0
        message = Reported(
            message_id=f"m-{index}",
            tenant_id=tenant,
            lead_id=f"lead-{index}",
            owner=None,
            enrollment_id=None,
            sequence_id=None,
            step_id=None,
            channel="email",
            recipient=f"{index}@{tenant}.example",
            provider=PROVIDERS[source],
            provider_id=provider_id,
        )
        posts.append(Post(message, source, states, accepted, created + timedelta(seconds=late)))
    return posts


def history(chance: random.Random, post: Post) -> Iterator[Callback]:
    """What truly happens to a sent message, as its provider reports it; fills in its truth."""
    truth, message = post.truth, post.message
    numbers = iter(range(1_000))

    def report(kind: str, at: datetime, late: float | None = None, **details: str) -> Callback:
        by_our_id = chance.random() < 0.5
        wait = chance.expovariate(1 / 30) if late is None else late
        if chance.random() < 0.05 and late is None:
            wait = chance.uniform(0, SPAN_SECONDS)
        heard = at + timedelta(seconds=wait)
        if kind not in SEEN_KINDS and chance.random() < 0.1:
            at += timedelta(hours=23)  # by a clock that is far ahead
        return Callback(
            event_id=f"{message.message_id}/{next(numbers)}",
            tenant_id=message.tenant_id,
            source=post.source,
            kind=kind,
            message_id=message.message_id if by_our_id else None,
            provider_id=None if by_our_id else message.provider_id,
            occurred_at=at,
            received_at=heard,
            details=details,
        )

    accepted = post.accepted
    at = accepted + timedelta(seconds=chance.uniform(3, 60))
    course = chance.random()
    if chance.random() < 0.2:
        truth.delayed = True
        for _ in range(chance.randint(1, 3)):
            yield report("bounced", accepted + timedelta(seconds=2), bounce_type="soft")
    if course < 0.15:
        truth.bounced = True
        yield report("bounced", at, bounce_type="hard")
        return
    if course < 0.9:
        truth.delivered = True
        yield report("delivered", at)
    if course < 0.2:  # a server took it, and another one sent it back
        truth.bounced = True
        yield report("bounced", at + timedelta(seconds=30), bounce_type="hard")
        return
    if chance.random() < 0.3:  # the gate of the recipient's server
        yield report("opened", accepted + timedelta(seconds=chance.uniform(0, 1.9)))
    if chance.random() < 0.3:
        agent = chance.choice(MACHINES)
        yield report("opened", at + timedelta(seconds=chance.uniform(0, 900)), user_agent=agent)
    if chance.random() < 0.2:
        scan = at + timedelta(seconds=chance.uniform(10, 600))
        for number in range(chance.randint(2, 6)):
            moment = scan + timedelta(seconds=chance.uniform(0, 0.9))
            yield report(
                "clicked", moment, late=chance.uniform(0, 3), url=f"https://{number}.example"
            )
    # A person, who never follows two links at once, long after the machines.
    reads = at + timedelta(seconds=1_000)
    for _ in range(chance.choice((0, 0, 1, 2))):
        truth.opened = True
        reads += timedelta(seconds=chance.uniform(10, 300))
        yield report("opened", reads, user_agent=PERSON, ip="203.0.113.9")
    for _ in range(chance.choice((0, 0, 1, 2))):
        # The pictures are loaded with the click, at last.
        truth.opened = True
        reads += timedelta(seconds=chance.uniform(10, 300))
        yield report("opened", reads + timedelta(seconds=1), user_agent=PERSON, ip="203.0.113.9")
        link = f"https://{chance.randint(0, 5)}.example"
        truth.clicked.add(link)
        yield report("clicked", reads, user_agent=PERSON, url=link)
    if chance.random() < 0.1:
        truth.complained = True
        yield report("complained", reads + timedelta(seconds=60))


KINDS = ("delivered", "opened", "clicked", "bounced", "complained")


def forgeries(chance: random.Random, posts: Sequence[Post], number: int) -> Iterator[Callback]:
    """Reports that are about no message that their source may speak for, or of no time in which
    the message was. Each is such that it would change something if it counted."""
    sent = [post for post in posts if post.was_sent]
    never = [post for post in posts if not post.was_sent]
    for index in range(number):
        kind = chance.choice(KINDS)
        way = index % 6
        post = chance.choice(never if way == 4 else sent)
        message = post.message
        at = post.accepted + timedelta(seconds=chance.uniform(5, SPAN_SECONDS))
        by_our_id = chance.random() < 0.5
        forged = Callback(
            event_id=f"forged/{index}",
            tenant_id=message.tenant_id,
            source=post.source,
            kind=kind,
            message_id=message.message_id if by_our_id else None,
            provider_id=None if by_our_id else message.provider_id,
            occurred_at=at,
            received_at=at + timedelta(seconds=chance.uniform(0, 60)),
            details={
                "bounce_type": chance.choice(("hard", "soft")),
                "url": "https://forged.example",
                "user_agent": PERSON,
            },
        )
        match way:
            case 0:  # another tenant's webhook
                other = next(each for each in TENANTS if each != message.tenant_id)
                if not by_our_id and any(
                    (each.message.tenant_id, each.message.provider_id, each.source)
                    == (other, message.provider_id, post.source)
                    for each in posts
                ):
                    continue
                yield replace(forged, tenant_id=other)
            case 1:  # another provider's
                if others := strangers(post, posts):
                    yield replace(forged, source=chance.choice(others))
            case 2:  # guessed
                yield replace(forged, message_id=f"guess-{index}", provider_id=None)
            case 3:
                yield replace(forged, message_id=None, provider_id=f"guess-{index}")
            case 4:  # a message that nobody was given
                yield forged
            case _:  # from before the message
                before = post.states[0][0] - timedelta(seconds=chance.uniform(601, 10_000_000))
                yield replace(forged, occurred_at=before)


def strangers(post: Post, posts: Sequence[Post]) -> list[str]:
    """Sources that may not speak for a message, nor for one of theirs with the same id."""
    theirs = {
        each.source
        for each in posts
        if each.message.tenant_id == post.message.tenant_id
        and each.message.provider_id == post.message.provider_id
    }
    return [source for source in SOURCES if source not in theirs]


def slanders(
    chance: random.Random, posts: Sequence[Post], genuine: Sequence[Callback]
) -> Iterator[Callback]:
    """Forged beside what a person did, so that it would look like a machine's."""
    by_id = {post.message.message_id: post for post in posts}
    for callback in genuine:
        if callback.details.get("user_agent") != PERSON:
            continue
        post = by_id[callback.event_id.partition("/")[0]]
        if others := strangers(post, posts):
            beside = replace(
                callback,
                event_id=f"{callback.event_id}/slander",
                source=chance.choice(others),
                kind=chance.choice(("clicked", "delivered")),
                occurred_at=callback.occurred_at + timedelta(seconds=1),
                details={"url": "https://slander.example"},
            )
            yield beside


def noise(
    chance: random.Random, genuine: Sequence[Callback], *, burst_seconds: float
) -> Iterator[Callback]:
    """The same again: the webhook repeated, or reported anew under another id."""
    for callback in genuine:
        for number in range(chance.choice((0, 0, 0, 1, 1, 2, 4))):
            # What belongs together is reported again together as well.
            together = callback.kind == "clicked" and not callback.details.get("user_agent")
            after = chance.uniform(0, burst_seconds if together else SPAN_SECONDS)
            again = replace(callback, received_at=callback.received_at + timedelta(seconds=after))
            if chance.random() < 0.5:
                again = replace(again, event_id=f"{callback.event_id}/again-{number}")
            yield again


def run(posts: Sequence[Post], reports: Sequence[Callback]) -> World:
    """Every report when it arrives, a look after each and then until nothing waits."""
    world = World(posts)
    arrivals = sorted(reports, key=lambda each: each.received_at)
    index, now = 0, arrivals[0].received_at
    while index < len(arrivals):
        now = max(now + timedelta(seconds=1), arrivals[index].received_at)
        while index < len(arrivals) and arrivals[index].received_at <= now:
            world.receive(arrivals[index])
            index += 1
        world.look(now)
    for days in (0, 0, 1, 4, 3):
        now += timedelta(days=days, minutes=10)
        world.look(now)
    assert not world.waiting
    return world


@pytest.mark.parametrize("seed", range(12))
def test_every_message_ends_where_it_truly_did(seed: int) -> None:
    chance = random.Random(seed)
    posts = posts_of(chance, 60)
    genuine = [report for post in posts if post.was_sent for report in history(chance, post)]
    reports = [
        *genuine,
        *noise(chance, genuine, burst_seconds=1),
        *forgeries(chance, posts, 600),
        *slanders(chance, posts, genuine),
    ]
    world = run(posts, reports)
    for post in posts:
        assert world.end(post) == post.truth.end(), post.message.message_id
    assert len(reports) > 800
    assert {"applied", "repeat", "never_sent", "other_provider", "unknown_message"} <= set(
        world.outcomes
    )
    assert "before_the_message" in world.outcomes
    # No clock of a provider's sets a time that has not come.
    assert all(event.occurred_at <= event.recorded_at for event in world.events)
    ids = [event.event_id for event in world.events]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("seed", range(8))
def test_the_order_of_reports_does_not_matter(seed: int) -> None:
    chance = random.Random(1_000 + seed)
    posts = posts_of(chance, 12)
    genuine = [report for post in posts if post.was_sent for report in history(chance, post)]
    reports = [*genuine, *noise(chance, genuine, burst_seconds=1)]
    # All of it has happened: it arrives within seconds, in every order.
    begin = max(report.received_at for report in genuine)
    ends = set()
    for _ in range(20):
        chance.shuffle(reports)
        arriving = [
            replace(report, received_at=begin + timedelta(milliseconds=index))
            for index, report in enumerate(reports)
        ]
        world = run(posts, arriving)
        ends.add(tuple(tuple(sorted(world.end(post).items())) for post in posts))
        for post in posts:
            assert world.end(post) == post.truth.end(), post.message.message_id
    assert len(ends) == 1
