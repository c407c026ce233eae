"""What some who are compatible with OpenAI refuse, as the ids of price data name them: a request
that has it gets 400 or 422, and with it a chain its end.

Thoughts in a caller's history, `reasoning_content`, which callers keep as we give them:
https://github.com/QwenLM/qwen-code/issues/11045 (Cerebras),
https://github.com/tashfeenahmed/freellmapi/issues/1070 (Groq),
https://github.com/BerriAI/litellm/issues/30835 (Mistral). To be asked for usage, which Mistral
tells at the end of each stream: https://github.com/BerriAI/litellm/issues/8978.
"""

from collections.abc import Mapping

from trunkline.gateway.conversation import JsonObject

REFUSE_THOUGHTS = frozenset({"cerebras", "groq", "mistral"})
REFUSE_TO_BE_ASKED_FOR_USAGE = frozenset({"mistral"})

_THOUGHTS = "reasoning_content"
_USAGE = "include_usage"


def without_thoughts(messages: list[object]) -> list[object]:
    """The messages without what a model thought; the same list where it thought nothing."""
    if not any(_has_thoughts(message) for message in messages):
        return messages
    return [_thoughtless(message) for message in messages]


def asking_for_usage(options: JsonObject | None, known_provider: str | None) -> JsonObject | None:
    """`stream_options` by which this provider tells the usage of a stream; None for none."""
    if known_provider in REFUSE_TO_BE_ASKED_FOR_USAGE:
        return {name: one for name, one in (options or {}).items() if name != _USAGE} or None
    return {**(options or {}), _USAGE: True}


def _has_thoughts(message: object) -> bool:
    return isinstance(message, Mapping) and _THOUGHTS in message


def _thoughtless(message: object) -> object:
    if not isinstance(message, Mapping):
        return message
    return {name: one for name, one in message.items() if name != _THOUGHTS}
