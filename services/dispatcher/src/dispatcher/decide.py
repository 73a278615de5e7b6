"""What to do with a message before the provider is called, and with the provider's answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from dispatcher import keywords
from dispatcher.caps import Full
from dispatcher.hours import Closed
from dispatcher.model import (
    NOT_LOOKED_UP,
    OPT_IN_CHANNELS,
    RECORDED_CHANNELS,
    Accepted,
    Answer,
    Entry,
    Paused,
    Refused,
    State,
)

# These stop a sequence whether or not it names them.
ALWAYS_STOP = frozenset({"opt_out", "bounce", "complaint"})
# The classes of the errors by which a provider refuses us, not the message (providers/base.py).
UNAUTHORIZED = "Unauthorized"
SENDER_REFUSED = "SenderRefused"
QUOTA_EXCEEDED = "QuotaExceeded"
QUOTA_RULE = "quota_exceeded"
CREDENTIAL_REFUSED = "credential_refused"
ENROLLMENT_PAUSED = "enrollment_paused"
CAP = "cap"
CAP_IN_DOUBT = "cap_in_doubt"
# Refused with us so often, while its provider takes others, a message waits for a person.
MOST_REFUSALS = 5
PROVIDER_REFUSES = "provider_refuses"
FIRST_REFUSAL_SECONDS, LONGEST_REFUSAL_SECONDS = 30.0, 900.0
# A provider that names a longer wait is asked again all the same.
LONGEST_ASKED_WAIT_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The state that a claimed message goes to, and why.

    CLAIMED means: give it to the provider. `delay_seconds` is for QUEUED, when to try again.
    `presented`: the provider has looked at it, so that the attempt counts. `refused`: it refused
    us. `trying`: True, it could not be taken for now; False, it was; None says neither. `in_doubt`
    stays with the message.
    """

    state: State
    rule: str = ""
    reason: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    presented: bool = False
    refused: bool = False
    trying: bool | None = None
    in_doubt: bool = False
    provider_id: str | None = None
    response: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """When to try again: `first_seconds`, then `factor` times longer, up to `longest_seconds`.

    What a provider has judged is tried `attempts` times; what it could not take, for
    `patience_seconds`, however often that is.
    """

    first_seconds: float = 5.0
    factor: float = 3.0
    longest_seconds: float = 3600.0
    attempts: int = 8
    patience_seconds: float = 86_400.0

    def delay(self, attempts: int) -> float:
        """Seconds to wait after that many attempts, 1 or more."""
        grown: float = self.first_seconds * self.factor ** min(attempts - 1, 64)
        return min(grown, self.longest_seconds)

    def delay_within(self, seconds: float) -> float:
        """Seconds to wait after trying for so long: the same steps, told by the time alone."""
        return min(self.first_seconds + (self.factor - 1) * seconds, self.longest_seconds)


def before_sending(
    entry: Entry,
    paused: Paused,
    *,
    provider: str,
    keyed: bool,
    key_seconds: float = inf,
    closed: Closed | None = None,
    full: Full | None = None,
) -> Decision:
    """What to do with a message that has just been claimed for `provider`.

    `keyed`: the provider accepts a key once, however often it is presented within `key_seconds`.
    `closed`: it is a quiet hour where the recipient is. `full`: the lead has had its messages.
    """
    if entry.known is NOT_LOOKED_UP:
        raise ValueError("what is known of the lead has to be looked up first")
    forbidden = _forbidden(entry)
    if entry.in_doubt:
        # It may be out already. Only the same key at the same provider cannot send it twice.
        if not keyed or entry.provider != provider:
            return Decision(
                state=State.UNKNOWN,
                reason=f"{entry.provider} may have accepted it before its answer was lost",
                in_doubt=True,
            )
        if entry.doubt_seconds > key_seconds:
            return Decision(
                state=State.UNKNOWN,
                reason=f"{entry.provider} may have forgotten the key of the answer that was lost",
                in_doubt=True,
            )
        if forbidden is not None:
            return Decision(
                state=State.UNKNOWN,
                reason=f"{forbidden.rule} while the answer of {entry.provider} was outstanding",
                in_doubt=True,
            )
    if forbidden is not None:
        return forbidden
    if keywords.waits(entry):
        return Decision(
            state=State.QUEUED,
            rule="consent_awaited",
            delay_seconds=keywords.CONSENT_SECONDS,
            in_doubt=entry.in_doubt,
        )
    scope = paused.covering(entry.tenant_id, entry.channel, entry.sequence_id, provider)
    if scope is not None:
        return Decision(
            state=State.HELD, rule="paused", inputs={"scope": scope}, in_doubt=entry.in_doubt
        )
    if entry.known.halt.paused_by is not None:
        return Decision(
            state=State.HELD,
            rule=ENROLLMENT_PAUSED,
            inputs={
                "scope": f"enrollment:{entry.enrollment_id}",
                "by": entry.known.halt.paused_by,
            },
            in_doubt=entry.in_doubt,
        )
    if (
        entry.channel in OPT_IN_CHANNELS
        and entry.known.consent is None
        and entry.answers is None  # the person has just written
    ):
        return Decision(
            state=State.HELD,
            rule="no_consent",
            inputs={"channel": entry.channel},
            in_doubt=entry.in_doubt,
        )
    if entry.channel in RECORDED_CHANNELS:
        return Decision(state=State.RECORDED)  # a line on somebody's list wakes nobody
    if closed is not None and entry.answers is None:
        # It stays the first of its lead and channel: what comes after it waits behind it.
        return Decision(
            state=State.QUEUED,
            rule="quiet_hours",
            inputs={
                "zone": closed.zone,
                "hours": closed.hours,
                "until": closed.until.isoformat(),
            },
            delay_seconds=closed.seconds,
            in_doubt=entry.in_doubt,
        )
    if full is not None:
        return Decision(
            state=State.QUEUED,
            rule=CAP_IN_DOUBT if full.until is None else CAP,
            inputs=full.inputs,
            delay_seconds=full.seconds,
            in_doubt=entry.in_doubt,
        )
    return Decision(state=State.CLAIMED)


def _forbidden(entry: Entry) -> Decision | None:
    """The rule by which the message must never go out, if there is one."""
    rule = _stop(entry)
    if rule is not None:
        return rule
    if entry.channel in RECORDED_CHANNELS:
        return None  # for people of the tenant, who have not to agree
    if entry.answers is not None:
        broken = keywords.broken(entry)
        if broken is None:
            return None
        return Decision(
            state=State.SUPPRESSED,
            rule=broken.rule,
            inputs={"keyword": entry.answers, **broken.inputs},
        )
    if entry.known.suppressed_by is not None:
        return Decision(
            state=State.SUPPRESSED,
            rule="suppression_list",
            inputs={"reason": entry.known.suppressed_by, "channel": entry.channel},
        )
    if entry.known.consent is False:
        return Decision(
            state=State.SUPPRESSED, rule="consent_refused", inputs={"channel": entry.channel}
        )
    return None


def _stop(entry: Entry) -> Decision | None:
    return _stop_of_lead(entry) or _stop_of_enrollment(entry)


def _stop_of_enrollment(entry: Entry) -> Decision | None:
    """Who asks for a message again, after its enrollment was over, knows of that stop."""
    halt = entry.known.halt
    if halt.stopped_by is None or halt.stopped_at is None:
        return None
    if entry.resent and entry.enrolled_at is not None and halt.stopped_at < entry.enrolled_at:
        return None
    return Decision(
        state=State.SUPPRESSED,
        rule=f"stopped_by_{halt.stopped_by}",
        inputs={**halt.inputs, "stopped_at": halt.stopped_at.isoformat()},
    )


def _stop_of_lead(entry: Entry) -> Decision | None:
    if entry.enrolled_at is None:
        return None  # it belongs to no enrollment that could have been stopped
    for stop, at in sorted(entry.known.stops.items()):
        if at >= entry.enrolled_at and (stop in ALWAYS_STOP or stop in entry.stop_on):
            return Decision(
                state=State.SUPPRESSED,
                rule=f"stopped_by_{stop}",
                inputs={
                    "stopped_at": at.isoformat(),
                    "enrolled_at": entry.enrolled_at.isoformat(),
                },
            )
    return None


def after_answer(
    entry: Entry,
    answer: Answer,
    retries: Retries,
    *,
    provider: str,
    keyed: bool,
    took_others: bool = False,
) -> Decision:
    """What the provider's answer, or its silence, makes of a message that it was given.

    `took_others`: it has accepted others within the last `refusal_seconds` of the message.
    """
    if isinstance(answer, Accepted):
        return Decision(
            state=State.SENT,
            presented=True,
            provider_id=answer.provider_id,
            response=answer.response,
        )
    if answer.error_class in (UNAUTHORIZED, SENDER_REFUSED):
        return _refused_with_us(entry, answer, provider, took_others)
    doubt = entry.in_doubt or answer.maybe_accepted
    if not answer.retryable:
        return Decision(
            # Refused for good, this key was never accepted: an earlier doubt is settled too.
            state=State.UNKNOWN if answer.maybe_accepted else State.FAILED,
            rule=answer.error_class,
            reason=answer.reason,
            presented=True,
            in_doubt=answer.maybe_accepted,
        )
    if doubt and not keyed:
        return Decision(
            state=State.UNKNOWN,
            rule=answer.error_class,
            reason=answer.reason,
            presented=True,
            in_doubt=True,
        )
    if not (answer.judged or answer.maybe_accepted):
        return _not_taken(entry, answer, retries)
    attempts = entry.attempts + 1
    if attempts >= retries.attempts:
        return Decision(
            state=State.UNKNOWN if doubt else State.FAILED,
            rule="retries_exhausted",
            reason=answer.reason,
            presented=True,
            in_doubt=doubt,
        )
    return Decision(
        state=State.QUEUED,
        rule=answer.error_class,
        reason=answer.reason,
        delay_seconds=max(
            retries.delay(attempts), min(LONGEST_ASKED_WAIT_SECONDS, answer.wait_seconds or 0.0)
        ),
        presented=True,
        in_doubt=doubt,
    )


def refusal_seconds(refusals: int) -> float:
    """How long a message is not given again to a provider that refused us with it so often."""
    grown: float = FIRST_REFUSAL_SECONDS * 2.0 ** min(max(refusals - 1, 0), 64)
    return min(grown, LONGEST_REFUSAL_SECONDS)


def _refused_with_us(entry: Entry, answer: Refused, provider: str, took_others: bool) -> Decision:
    """No attempt counts: it waits until somebody mends the settings, and is given again then. If
    others pass meanwhile, time after time, it is the message: a person has to look at it."""
    refusals = entry.refusals + 1
    if took_others and refusals >= MOST_REFUSALS:
        return Decision(
            state=State.HELD,
            rule=PROVIDER_REFUSES,
            reason=answer.reason,
            inputs={"provider": provider, "answer": answer.reason},
            refused=True,
            trying=False,
            in_doubt=entry.in_doubt,
        )
    return Decision(
        state=State.HELD,
        rule=CREDENTIAL_REFUSED,
        reason=answer.reason,
        inputs={"scope": f"credential:{provider}", "answer": answer.reason},
        # As long as nothing passes it is the route that is held, and the message may try it.
        delay_seconds=refusal_seconds(refusals) if took_others or entry.refusals else 0.0,
        refused=True,
        trying=False,
        in_doubt=entry.in_doubt,
    )


def _not_taken(entry: Entry, answer: Refused, retries: Retries) -> Decision:
    """The provider has not looked at it: time alone ends that, and no time does where it says
    until when."""
    if not answer.patient and entry.trying_seconds >= retries.patience_seconds:
        return Decision(
            state=State.UNKNOWN if entry.in_doubt else State.FAILED,
            rule="retries_exhausted",
            reason=answer.reason,
            in_doubt=entry.in_doubt,
        )
    quota = answer.error_class == QUOTA_EXCEEDED
    delay = retries.delay_within(0.0 if answer.patient else entry.trying_seconds)
    asked = min(LONGEST_ASKED_WAIT_SECONDS, answer.wait_seconds or 0.0)
    return Decision(
        state=State.QUEUED,
        rule=QUOTA_RULE if quota else answer.error_class,
        reason=answer.reason,
        inputs={"answer": answer.reason},
        delay_seconds=max(delay, asked),
        # What a quota kept back begins anew; a call that was not made says nothing.
        trying=False if quota else None if answer.patient else True,
        in_doubt=entry.in_doubt,
    )
