"""What a simulated provider does. Settable while it runs: the next request meets it."""

from collections import deque
from dataclasses import dataclass, field

from server.simulated.faults import Fault
from server.simulated.reaction import Reaction, RetryAfter
from server.simulated.request_log import MOST_REQUESTS, RequestLog
from server.simulated.script import Script
from server.simulated.timing import RealTiming, Timing
from server.simulated.turns import Turns

__all__ = ["Behaviour", "Fault"]

_RATE_LIMIT_SECONDS = 7


@dataclass(slots=True)
class Behaviour:
    """Whose key it takes, what it lists, how it answers, and what it saw.

    What a request meets: `fault`, where it isn't NONE, for every request; else what `script` says
    of its model; else what the name of its model says; else `usual`.
    """

    models: tuple[str, ...] = ("simulated-large", "simulated-small")
    # The only one it takes; None takes any, and none at all.
    api_key: str | None = "simulated-key"
    fault: Fault = Fault.NONE
    script: Script | None = None
    # The pace above all; names and scripts add to it.
    usual: Reaction = field(default_factory=Reaction)
    # Of the requests that meet no other fault, how many meet a server error.
    error_share: float = 0
    # Models on a page, for the protocols that have pages.
    page_size: int = 1_000
    # Tokens of an answer whose length nobody sets.
    answer_lengths: tuple[int, int] = (20, 150)
    seed: int = 1
    timing: Timing = field(default_factory=RealTiming)
    requests: RequestLog = field(default_factory=RequestLog)
    _turns: Turns | None = None

    @property
    def seen(self) -> deque[tuple[str, str, dict[str, str]]]:
        """The last requests, oldest first: method, path with its query, headers."""
        return deque(
            ((one.method, one.path, dict(one.headers)) for one in self.requests),
            maxlen=MOST_REQUESTS,
        )

    def set_script(self, script: Script | None) -> None:
        """Another script, from its beginning."""
        self.script = script
        self._turns = None

    def next_reaction(self, model: str | None) -> Reaction:
        """For the request that came just now; `model` is None where it names none."""
        if self.fault is Fault.RATE_LIMITED:
            return Reaction(fault=self.fault, retry_after=RetryAfter(_RATE_LIMIT_SECONDS))
        if self.fault is not Fault.NONE:
            return Reaction(fault=self.fault)
        if self._turns is None:
            self._turns = Turns(self.seed)
        return self._turns.next(
            model,
            self.timing,
            base=self.usual,
            script=self.script,
            error_share=self.error_share,
        )
