"""What stands in the answers of whoever speaks OpenAI's protocol, whole or in a stream's chunks.

https://platform.openai.com/docs/api-reference/chat/object. What is no OpenAI's but common among
those who are compatible says so where it is read. Nothing that is read here is trusted.
"""

from typing import NamedTuple, TypeGuard

import orjson

from trunkline.gateway.answers import FinishReason, Usage
from trunkline.gateway.cut_characters import without_halves
from trunkline.gateway.protocols import StreamFailed, UnreadableAnswer

_LARGEST_COUNT = 10**9

_FINISH = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    # Mistral's and Together's words.
    "model_length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
}
# Reasons that are no end: OpenRouter's and Mistral's, and DeepSeek's when it is overloaded.
_FAILED_FINISH = {"error": 500, "insufficient_system_resource": 503}

_STATUS_OF_WORD = {
    "invalid_api_key": 401,
    "authentication_error": 401,
    "insufficient_quota": 429,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "requests": 429,
    "tokens": 429,
    "permission_error": 403,
    "model_not_found": 404,
    "not_found_error": 404,
    "context_length_exceeded": 400,
    "content_filter": 400,
    "content_policy_violation": 400,
    "invalid_request_error": 400,
    "timeout": 504,
    "timeout_error": 504,
    "overloaded_error": 503,
    "service_unavailable": 503,
    "server_error": 500,
}


def is_object(value: object) -> TypeGuard[dict[str, object]]:
    """Whether a JSON value is an object."""
    return isinstance(value, dict)


class WholeAnswer(NamedTuple):
    """A `chat.completion`: its first choice's message and finish reason, and its usage."""

    message: dict[str, object]
    finish: FinishReason
    usage: Usage | None


def word_of(value: object) -> str | None:
    """A string that isn't empty, or None."""
    return value if isinstance(value, str) and value else None


def read_answer(body: bytes) -> WholeAnswer:
    """The answer in the body of a 200. Raises `UnreadableAnswer`, and `StreamFailed` where it is an
    error, or its finish reason says that it failed.
    """
    try:
        answer: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = without_halves(body)
        if answer is None:
            # Without its cause, which holds the answer's body.
            raise UnreadableAnswer("the answer is no JSON") from None
    if not is_object(answer):
        raise UnreadableAnswer("the answer is no JSON object")
    raise_error_of(answer, body)
    choices = answer.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if is_object(choice) else None
    if not is_object(choice) or not is_object(message):
        raise UnreadableAnswer("the answer has no choice with a message")
    # The JSON is whole, so the answer is, also where the reason is missing.
    finish = finish_of(choice.get("finish_reason"), body) or FinishReason.STOP
    return WholeAnswer(message, finish, usage_of(answer.get("usage")))


def raise_error_of(answer: dict[str, object], body: bytes) -> None:
    """Raises `StreamFailed` with these bytes where the object, whole or a chunk, is an error."""
    error = answer.get("error")
    if error:
        raise StreamFailed(_status_of(error), body)
    # vLLM's, of old, has no object of its own for it.
    if answer.get("object") == "error":
        raise StreamFailed(_status_of(answer), body)


def finish_of(reason: object, body: bytes) -> FinishReason | None:
    """Why it ended, None where it doesn't say. A word that nobody knows is an end like any other.

    Raises `StreamFailed` with these bytes where the word says that it failed.
    """
    if not isinstance(reason, str) or not reason:
        return None
    if reason in _FAILED_FINISH:
        raise StreamFailed(_FAILED_FINISH[reason], body)
    return _FINISH.get(reason, FinishReason.STOP)


def usage_of(value: object) -> Usage | None:
    """A `usage` object. None where it doesn't say, or says that nothing at all was used."""
    if not is_object(value):
        return None
    prompt, completion = _count(value.get("prompt_tokens")), _count(value.get("completion_tokens"))
    if not prompt and not completion:
        return None
    of_prompt = value.get("prompt_tokens_details")
    of_completion = value.get("completion_tokens_details")
    cache_read = cache_write = reasoning = 0
    if is_object(of_prompt):
        cache_read = _count(of_prompt.get("cached_tokens"))
        cache_write = _count(of_prompt.get("cache_write_tokens"))
    if is_object(of_completion):
        reasoning = _count(of_completion.get("reasoning_tokens"))
    if not cache_read:
        # DeepSeek's and Moonshot's.
        cache_read = _count(value.get("prompt_cache_hit_tokens")) or _count(
            value.get("cached_tokens")
        )
    # xAI and Gemini count their thoughts in the total alone, and Gemini doesn't even name them.
    hidden = _count(value.get("total_tokens")) - prompt - completion
    if hidden > 0 and reasoning in (0, hidden):
        completion += hidden
        reasoning = hidden
    cache_read = min(cache_read, prompt)
    return Usage(
        input=prompt,
        cache_read=cache_read,
        cache_write=min(cache_write, prompt - cache_read),
        output=completion,
        reasoning=min(reasoning, completion),
    )


def texts_of(content: object) -> tuple[str, str]:
    """The words of a message's or delta's content, and the thoughts within it.

    OpenAI's content is a string; Mistral's may be a list of parts, some of them `thinking`.
    """
    if isinstance(content, str):
        return content, ""
    if not isinstance(content, list):
        return "", ""
    said, thought = [], []
    for part in content:
        if not is_object(part):
            continue
        if part.get("type") == "thinking":
            # Its thoughts are parts again, of text alone.
            inner = part.get("thinking")
            inner = inner if isinstance(inner, list) else [{"text": inner}]
            thought += [word_of(one.get("text")) or "" for one in inner if is_object(one)]
        else:
            said.append(word_of(part.get("text")) or "")
    return "".join(said), "".join(thought)


def thoughts_of(message: dict[str, object]) -> str:
    """What it thought, as DeepSeek, vLLM and others (`reasoning_content`) or OpenRouter and Groq
    (`reasoning`) tell it; some tell it twice.
    """
    return word_of(message.get("reasoning_content")) or word_of(message.get("reasoning")) or ""


def arguments_of(value: object) -> str:
    """The JSON text of a call's arguments, or a piece of it; some give an object. Raises TypeError
    where that is nested too deep to be written.
    """
    if isinstance(value, dict):
        return orjson.dumps(value).decode()
    return word_of(value) or ""


def _count(value: object) -> int:
    """Tokens; 0 where it is no count that can be true."""
    if type(value) is not int or not 0 <= value <= _LARGEST_COUNT:
        return 0
    return value


def _status_of(error: object) -> int:
    """The status that would go with an error: its code where that is one, else by its words."""
    if not is_object(error):
        return 500
    for name in ("code", "status", "type"):
        word = error.get(name)
        if isinstance(word, str):
            if word in _STATUS_OF_WORD:
                return _STATUS_OF_WORD[word]
            word = int(word) if len(word) == 3 and word.isascii() and word.isdecimal() else None
        if type(word) is int and 400 <= word <= 599:
            return word
    return 500
