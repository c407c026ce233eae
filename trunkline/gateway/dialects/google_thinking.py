"""How much a Gemini model is asked to think, from an effort or a budget.

Efforts by the table of https://ai.google.dev/gemini-api/docs/openai#thinking.
"""

from trunkline.gateway.conversation import Conversation
from trunkline.gateway.dialects.google_models import GoogleModel, Thinking

_BUDGETS = {"minimal": 1_024, "low": 1_024, "medium": 8_192}
_HIGH_BUDGET = 24_576
"""Also for the efforts beyond "high" that other providers have."""


def thinking_config(
    conversation: Conversation, model: GoogleModel
) -> tuple[dict[str, object] | None, str | None]:
    """`thinkingConfig`, None where nothing is asked or the model takes none; and the parameter that
    was not, or not wholly, followed, in the caller's words.

    A budget outside of the model's bounds becomes the nearest within. Where no thinking is asked
    for and the model can't do without, it gets the least.
    """
    effort, tokens = conversation.reasoning_effort, conversation.reasoning_tokens
    if effort is None and tokens is None:
        return None, None
    asked = "thinking" if tokens else "reasoning_effort"
    off = tokens == 0 or effort == "none"
    if model.thinking is Thinking.NONE:
        return None, None if off else asked
    if off:
        return _least(model), None if model.can_stop_thinking else asked
    config: dict[str, object] = {"includeThoughts": True}
    if tokens is not None:
        config["thinkingBudget"] = _within(tokens, model)
    elif effort is not None and model.thinking is Thinking.BUDGET:
        config["thinkingBudget"] = _within(_BUDGETS.get(effort, _HIGH_BUDGET), model)
    elif effort is not None:
        config["thinkingLevel"] = _level(effort, model)
    return config, None


def _least(model: GoogleModel) -> dict[str, object]:
    if model.can_stop_thinking:
        return {"thinkingBudget": 0}
    if model.thinking is Thinking.BUDGET:
        return {"thinkingBudget": model.least_budget}
    return {"thinkingLevel": model.least_level}


def _within(tokens: int, model: GoogleModel) -> int:
    return min(max(tokens, model.least_budget), model.most_budget)


def _level(effort: str, model: GoogleModel) -> str:
    match effort:
        case "minimal":
            return model.least_level
        case "low":
            return "low"
        case "medium":
            return model.medium_level
        case _:
            return "high"
