"""Which reaction the next request meets: the script's, the name's, or the provider's own."""

import random
from dataclasses import dataclass

from server.simulated.faults import Fault
from server.simulated.model_names import reaction_of, read_behaviour
from server.simulated.reaction import Reaction
from server.simulated.script import Script
from server.simulated.timing import Timing

_MOST_MODELS = 10_000


@dataclass(slots=True)
class _Count:
    requests: int
    first_at: float


class Turns:
    """Counts each model's requests. Errors at a rate come from a seeded dice: a run repeats."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)  # noqa: S311  # made up, and the same each time
        self._counts: dict[str | None, _Count] = {}

    def next(
        self,
        model: str | None,
        timing: Timing,
        *,
        base: Reaction,
        script: Script | None,
        error_share: float,
    ) -> Reaction:
        """For the request that came just now; `model` is None for lists."""
        count = self._counts.get(model)
        now = timing.monotonic()
        if count is None:
            if len(self._counts) >= _MOST_MODELS:
                # Names are made up by whoever asks: the oldest goes.
                del self._counts[next(iter(self._counts))]
            count = self._counts[model] = _Count(0, now)
        turn, seconds = count.requests, now - count.first_at
        count.requests += 1
        sequel = script.sequel_of(model) if script is not None else None
        if sequel is not None:
            step = sequel.step(turn, seconds)
            chosen = read_behaviour(step, base) if isinstance(step, str) else step
        else:
            chosen = base if model is None else reaction_of(model, base)
        settled = chosen.settled(turn, self._dice)
        if chosen.fault is Fault.NONE and error_share and self._dice.random() < error_share:
            return settled.failing(Fault.SERVER_ERROR)
        return settled
