"""The names of models that say what a request meets: `fail-429-retry-after-2`, `sim-fast`.

A name is words and numbers between dashes, and counts when every one of them is understood; any
other name is that of a healthy model. Behind `sim-` there is no such doubt: what isn't understood
there is refused, so that a slip of the pen doesn't pass for a healthy model.
`docs/simulated-provider.md` holds the table for users; a test compares them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from server.simulated.faults import Fault
from server.simulated.reaction import Content, Ending, Pace, Reaction, RetryAfter, WaitForm

PREFIX = "sim"
_LONGEST_NAME = 200
_SEPARATED = re.compile(r"[^-]+")
_N = r"(\d{1,6})"
_PERCENT = r"(100|\d{1,2})"
_TIME = r"(\d{1,5}(?:\.\d{1,3})?)(ms|s)?"


class NotUnderstood(ValueError):
    """A word that isn't in the table."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"'{text}' is not understood: docs/simulated-provider.md lists the words of names"
        )


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that belong together, as the table writes them, and what they do."""

    words: str
    apply: Callable[[Reaction, tuple[str | None, ...]], Reaction]

    def pattern(self) -> re.Pattern[str]:
        """Matches them in a name. N is a whole number, P percent, T a time such as 3s."""
        text = self.words
        for letter, part in (("N", _N), ("M", _N), ("P", _PERCENT), ("T", _TIME)):
            text = text.replace(letter, part)
        return re.compile(rf"{text}(?=-|$)")


def _seconds(number: str | None, unit: str | None) -> float:
    return float(number or 0) / (1_000 if unit == "ms" else 1)


def _does(fault: Fault, **also: object) -> Callable[[Reaction, tuple[str | None, ...]], Reaction]:
    def apply(reaction: Reaction, numbers: tuple[str | None, ...]) -> Reaction:
        if reaction.fault not in {Fault.NONE, Fault.STATUS, fault}:
            raise NotUnderstood(f"two faults at once ({reaction.fault}, {fault})")
        after = int(numbers[0] or 0) if numbers else reaction.after_tokens
        return replace(reaction, fault=fault, after_tokens=after, **also)  # type: ignore[arg-type]  # fields of the reaction

    return apply


def _status(reaction: Reaction, numbers: tuple[str | None, ...]) -> Reaction:
    status = int(numbers[0] or 0)
    if not 300 <= status <= 599:
        raise NotUnderstood(f"status {status}")
    fault = Fault.STATUS if reaction.fault is Fault.NONE else reaction.fault
    return replace(reaction, fault=fault, status=status)


def _retry(form: WaitForm) -> Callable[[Reaction, tuple[str | None, ...]], Reaction]:
    def apply(reaction: Reaction, numbers: tuple[str | None, ...]) -> Reaction:
        if form is WaitForm.MILLISECONDS:
            return replace(reaction, retry_after=RetryAfter(_seconds(numbers[0], "ms"), form))
        return replace(reaction, retry_after=RetryAfter(_seconds(*numbers), form))

    return apply


def _pace(
    change: Callable[[Pace, tuple[str | None, ...]], Pace],
) -> Callable[[Reaction, tuple[str | None, ...]], Reaction]:
    return lambda reaction, numbers: replace(reaction, pace=change(reaction.pace, numbers))


def _content(
    change: Callable[[Content, tuple[str | None, ...]], Content],
) -> Callable[[Reaction, tuple[str | None, ...]], Reaction]:
    return lambda reaction, numbers: replace(reaction, content=change(reaction.content, numbers))


def _slow_bytes(reaction: Reaction, numbers: tuple[str | None, ...]) -> Reaction:
    seconds = _seconds(*numbers) if numbers else reaction.pace.byte_seconds
    slowed = replace(reaction, pace=replace(reaction.pace, byte_seconds=seconds))
    return _does(Fault.SLOW_BYTES)(slowed, ())


def _flap(reaction: Reaction, numbers: tuple[str | None, ...]) -> Reaction:
    fails, passes = (int(number or 0) for number in numbers)
    if not fails or not passes:
        raise NotUnderstood(f"flap-{fails}-{passes}")
    return replace(reaction, flap=(fails, passes))


def _whole(number: str | None) -> int:
    return min(int(number or 0), 100_000)


def _share(number: str | None) -> float:
    return int(number or 0) / 100


PHRASES = (
    Phrase("ok", lambda reaction, _: reaction),
    Phrase("healthy", lambda reaction, _: reaction),
    # An error in the protocol's own words.
    Phrase("status-N", _status),
    Phrase("fail-N", _status),
    Phrase("rate-limited", _does(Fault.RATE_LIMITED)),
    Phrase("overloaded", _does(Fault.OVERLOADED)),
    Phrase("server-error", _does(Fault.SERVER_ERROR)),
    Phrase("bad-key", _does(Fault.BAD_KEY)),
    Phrase("no-credit", _does(Fault.NO_CREDIT)),
    Phrase("forbidden", _does(Fault.FORBIDDEN)),
    Phrase("model-not-found", _does(Fault.MODEL_NOT_FOUND)),
    Phrase("too-long", _does(Fault.TOO_LONG)),
    Phrase("content-filter", _does(Fault.CONTENT_FILTER)),
    Phrase("invalid", _does(Fault.INVALID)),
    Phrase("retry-after-ms-N", _retry(WaitForm.MILLISECONDS)),
    Phrase("retry-after-date-T", _retry(WaitForm.DATE)),
    Phrase("retry-after-T", _retry(WaitForm.SECONDS)),
    Phrase("should-retry", lambda reaction, _: replace(reaction, should_retry=True)),
    Phrase("should-not-retry", lambda reaction, _: replace(reaction, should_retry=False)),
    # Not an answer of this API.
    Phrase("web-page", _does(Fault.WEB_PAGE)),
    Phrase("redirect", _does(Fault.REDIRECT)),
    Phrase("not-found", _does(Fault.NOT_FOUND)),
    Phrase("not-json", _does(Fault.NOT_JSON)),
    Phrase("other-json", _does(Fault.OTHER_JSON)),
    Phrase("huge", _does(Fault.HUGE)),
    Phrase("empty", _does(Fault.EMPTY)),
    # No answer, or one that breaks on its way.
    Phrase("silent", _does(Fault.HANG)),
    Phrase("reset-after-N", _does(Fault.RESET_WITHIN)),
    Phrase("reset", _does(Fault.RESET)),
    Phrase("cut-after-N", _does(Fault.CUT)),
    Phrase("stall-after-N", _does(Fault.STALL)),
    Phrase("malformed-after-N", _does(Fault.MALFORMED)),
    Phrase("error-after-N", _does(Fault.ERROR_WITHIN)),
    Phrase("end-after-N", _does(Fault.END_EARLY)),
    Phrase("no-finish", _does(Fault.NO_FINISH)),
    Phrase("no-done", _does(Fault.NO_DONE)),
    Phrase("wrong-content-type", _does(Fault.WRONG_CONTENT_TYPE)),
    Phrase("slow-bytes-T", _slow_bytes),
    Phrase("slow-bytes", _slow_bytes),
    # How often.
    Phrase("flap-N-M", _flap),
    Phrase("error-rate-P", lambda reaction, given: replace(reaction, fault_share=_share(given[0]))),
    # The pace.
    Phrase("fast", _pace(lambda pace, _: Pace(byte_seconds=pace.byte_seconds, pings=pace.pings))),
    Phrase("latency-T", _pace(lambda pace, given: replace(pace, latency_seconds=_seconds(*given)))),
    Phrase(
        "slow-first-token-T",
        _pace(lambda pace, given: replace(pace, first_token_seconds=_seconds(*given))),
    ),
    Phrase("tps-N", _pace(lambda pace, given: replace(pace, tokens_per_second=_whole(given[0])))),
    Phrase("pings", _pace(lambda pace, _: replace(pace, pings=True))),
    # What the answer holds.
    Phrase(
        "tokens-N",
        _content(lambda content, given: replace(content, output_tokens=_whole(given[0]))),
    ),
    Phrase(
        "tools-N",
        _content(lambda content, given: replace(content, tool_calls=min(_whole(given[0]), 64))),
    ),
    Phrase("tools", _content(lambda content, _: replace(content, tool_calls=1))),
    Phrase(
        "thinking-N",
        _content(lambda content, given: replace(content, reasoning_tokens=_whole(given[0]))),
    ),
    Phrase("thinking", _content(lambda content, _: replace(content, reasoning_tokens=12))),
    Phrase("length", _content(lambda content, _: replace(content, ending=Ending.LENGTH))),
    Phrase("refusal", _content(lambda content, _: replace(content, ending=Ending.REFUSAL))),
    Phrase("filtered", _content(lambda content, _: replace(content, ending=Ending.FILTERED))),
    Phrase(
        "cached-P", _content(lambda content, given: replace(content, cached_share=_share(given[0])))
    ),
    Phrase(
        "cache-write-P",
        _content(lambda content, given: replace(content, cache_written_share=_share(given[0]))),
    ),
    Phrase(
        "context-N",
        _content(lambda content, given: replace(content, context_tokens=int(given[0] or 0))),
    ),
    Phrase("no-usage", _content(lambda content, _: replace(content, usage_told=False))),
)
_PATTERNS = tuple((phrase.pattern(), phrase.apply) for phrase in PHRASES)


def read_behaviour(text: str, base: Reaction) -> Reaction:
    """What these words say, on top of `base`. Raises `NotUnderstood`."""
    if len(text) > _LONGEST_NAME:
        raise NotUnderstood(text[:_LONGEST_NAME])
    text = text.strip().lower()
    reaction = base
    at = 0
    while at < len(text):
        # The longest that fits: `tools-2` before `tools`.
        found = max(
            ((match, apply) for pattern, apply in _PATTERNS if (match := pattern.match(text, at))),
            key=lambda one: one[0].end(),
            default=None,
        )
        if found is None:
            unknown = _SEPARATED.match(text, at)
            raise NotUnderstood(unknown.group() if unknown else text)
        match, apply = found
        reaction = apply(reaction, match.groups())
        at = match.end() + 1
    if reaction.fault is Fault.NONE:
        if reaction.flap is not None:
            return replace(reaction, fault=Fault.OVERLOADED)
        if reaction.fault_share is not None:
            return replace(reaction, fault=Fault.SERVER_ERROR)
    return reaction


def reaction_of(name: str, base: Reaction) -> Reaction:
    """What a request for the model of this name meets.

    A vendor before a slash and a tag behind a colon don't count: `acme/cut-after-5:latest`.
    """
    words = name.strip().rpartition("/")[2].partition(":")[0].lower()
    prefix, _, rest = words.partition("-")
    try:
        if prefix == PREFIX:
            return read_behaviour(rest, base)
        return read_behaviour(words, base)
    except NotUnderstood as error:
        if prefix == PREFIX:
            return base.failing(Fault.MODEL_NOT_FOUND, f"no model {name[:_LONGEST_NAME]}: {error}")
        return base
