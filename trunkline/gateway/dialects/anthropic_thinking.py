"""How much a Claude model is to think, and how many tokens it may say with that.

| effort | tokens | | effort | tokens |
|---|---|---|---|---|
| minimal | 1,024 | | high | 16,384 |
| low | 2,048 | | xhigh | 24,576 |
| medium | 8,192 | | max | 32,768 |

Models before Claude 4.6 are given the tokens, later ones the effort; a budget asked for in tokens
is, for those, the least effort of the table that reaches it. Claude 4.6 is asked for high at most.
Budgets count in `max_tokens`, must be below it, and are at least 1,024.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from trunkline.gateway.conversation import Conversation
from trunkline.gateway.dialects.anthropic_models import ModelTraits

DEFAULT_MAX_TOKENS = 4_096
"""What an answer may say where the caller sets no bound, which this protocol demands: as much as
the smallest Claude models may.
"""
LEAST_BUDGET = 1_024

_BUDGETS: Mapping[str, int] = {
    "minimal": LEAST_BUDGET,
    "low": 2_048,
    "medium": 8_192,
    "high": 16_384,
    "xhigh": 24_576,
    "max": 32_768,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinking:
    """What a request says of it: `config` and `effort` are None where they are left out, and
    `dropped` is set where what was asked for can't be had.
    """

    max_tokens: int
    config: dict[str, object] | None = None
    effort: str | None = None
    dropped: bool = False

    @property
    def is_on(self) -> bool:
        """Whether it is to think, which forbids some other parameters."""
        return self.config is not None and self.config["type"] != "disabled"


def thinking_for(conversation: Conversation, traits: ModelTraits, *, possible: bool) -> Thinking:
    """What to say of thinking. It is dropped where it isn't `possible` beside the rest of the
    request, where the caller's bound leaves no room for a budget, and where the effort is unknown.
    """
    asked = conversation.max_output_tokens
    most = DEFAULT_MAX_TOKENS if asked is None else asked
    effort, budget = conversation.reasoning_effort, conversation.reasoning_tokens
    if effort is None and budget is None:
        return Thinking(max_tokens=most)
    if effort == "none" or budget == 0:
        if traits.can_be_silent:
            return Thinking(max_tokens=most, config={"type": "disabled"})
        return Thinking(max_tokens=most, dropped=True)
    if budget is None:
        budget = _BUDGETS.get(effort or "", 0)
    if not possible or budget <= 0:
        return Thinking(max_tokens=most, dropped=True)
    budget = max(budget, LEAST_BUDGET)
    if asked is None:
        # Thoughts count too, and are not to take the answer's room.
        most += min(budget, _BUDGETS["max"])
    if traits.adaptive:
        # Its thoughts are kept back unless they are asked for.
        config: dict[str, object] = {"type": "adaptive", "display": "summarized"}
        return Thinking(max_tokens=most, config=config, effort=_effort(effort, budget, traits))
    if most <= LEAST_BUDGET:
        return Thinking(max_tokens=most, dropped=True)
    config = {"type": "enabled", "budget_tokens": min(budget, most - 1)}
    return Thinking(max_tokens=most, config=config)


def _effort(effort: str | None, budget: int, traits: ModelTraits) -> str:
    if effort is None:
        reaching = [name for name, tokens in _BUDGETS.items() if tokens >= budget]
        # Not the largest: it thinks without a bound, and a bound was asked for.
        effort = reaching[0] if reaching and reaching[0] != "max" else "xhigh"
    if effort == "minimal":
        return "low"
    if effort in ("xhigh", "max") and not traits.beyond_high:
        return "high"
    return effort
