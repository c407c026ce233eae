"""What some who are compatible with OpenAI refuse, as the ids of price data name them: a request
that has it gets 400 or 422, and with it a chain its end.

- Thoughts in a caller's history, `reasoning_content`, which callers keep as we give them:
  https://github.com/QwenLM/qwen-code/issues/11045 (Cerebras),
  https://github.com/tashfeenahmed/freellmapi/issues/1070 (Groq),
  https://github.com/BerriAI/litellm/issues/30835 (Mistral).
- To be asked for usage, which Mistral tells at the end of each stream:
  https://github.com/BerriAI/litellm/issues/8978.
- Ids of calls other than Mistral's own, which are nine letters and digits:
  https://github.com/nearai/ironclaw/issues/1241.
- `seed`, which Mistral has as `random_seed`:
  https://github.com/langchain-ai/langchain-azure/issues/82,
  https://github.com/simonw/llm-mistral/issues/2.
"""

import re
from collections.abc import Mapping
from hashlib import blake2b

from trunkline.gateway.conversation import JsonObject

MISTRAL = "mistral"

_REFUSE_THOUGHTS = frozenset({"cerebras", "groq", MISTRAL})
_THOUGHTS = "reasoning_content"
_USAGE = "include_usage"
_SEED = "seed"
_MISTRALS_SEED = "random_seed"
_TAKEN_ID = re.compile(r"[A-Za-z0-9]{9}")


def messages_for(known_provider: str | None, messages: list[object]) -> list[object]:
    """The messages as this provider takes them; the same list where it takes them so."""
    if known_provider in _REFUSE_THOUGHTS and any(_has_thoughts(one) for one in messages):
        messages = [_thoughtless(one) for one in messages]
    if known_provider == MISTRAL:
        messages = [_with_taken_ids(one) for one in messages]
    return messages


def stream_options_for(
    known_provider: str | None, options: JsonObject | None = None
) -> JsonObject | None:
    """`stream_options` by which this provider tells a stream's usage; None for none."""
    if known_provider == MISTRAL:
        return {name: one for name, one in (options or {}).items() if name != _USAGE} or None
    return {**(options or {}), _USAGE: True}


def with_own_seed(known_provider: str | None, body: dict[str, object]) -> dict[str, object]:
    """The body with the seed as this provider names it; the same where it has none."""
    if known_provider != MISTRAL or _SEED not in body:
        return body
    others = {name: one for name, one in body.items() if name != _SEED}
    return {_MISTRALS_SEED: body[_SEED], **others}


def _has_thoughts(message: object) -> bool:
    return isinstance(message, Mapping) and _THOUGHTS in message


def _thoughtless(message: object) -> object:
    if not isinstance(message, Mapping):
        return message
    return {name: one for name, one in message.items() if name != _THOUGHTS}


def _with_taken_ids(message: object) -> object:
    if not isinstance(message, Mapping):
        return message
    if "tool_call_id" in message:
        return {**message, "tool_call_id": _taken_id(message["tool_call_id"])}
    calls = message.get("tool_calls")
    if isinstance(calls, list):
        return {**message, "tool_calls": [_with_taken_id(call) for call in calls]}
    return message


def _with_taken_id(call: object) -> object:
    if not isinstance(call, Mapping) or "id" not in call:
        return call
    return {**call, "id": _taken_id(call["id"])}


def _taken_id(given: object) -> object:
    """The same id where it is taken, else one made from it: the same each time, so that a call and
    its result still meet.
    """
    if not isinstance(given, str) or _TAKEN_ID.fullmatch(given):
        return given
    return blake2b(given.encode("utf-8", "replace"), digest_size=5).hexdigest()[:9]
