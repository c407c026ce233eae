"""Marks of Gemini's on tool calls, as they stand in OpenAI's protocol.

Google's own OpenAI-compatible endpoint gives a call `extra_content.google.thought_signature` and
wants it back: https://ai.google.dev/gemini-api/docs/thought-signatures ("OpenAI compatibility").
Nobody else knows the field, and some refuse a request that has it.
"""

from trunkline.gateway.conversation import JsonObject

GOOGLE = "google"
"""The id of the provider who takes them, and their owner's name in the field."""
_FIELD = "extra_content"
_MARK = "thought_signature"


def signed(call: JsonObject, signature: str | None) -> JsonObject:
    """The call of a message or of a stream's delta, with its signature where it has one."""
    if signature is None:
        return call
    return {**call, _FIELD: {GOOGLE: {_MARK: signature}}}


def signature_of(call: JsonObject) -> str | None:
    """The signature of a call in a caller's history; None where it has none that is a string."""
    extra = call.get(_FIELD)
    marks = extra.get(GOOGLE) if isinstance(extra, dict) else None
    mark = marks.get(_MARK) if isinstance(marks, dict) else None
    return mark if isinstance(mark, str) and mark else None


def without_signatures(messages: list[object]) -> list[object]:
    """The messages with no call signed; the same list where none is."""
    if not any(_is_signed(message) for message in messages):
        return messages
    return [_unsigned(message) if _is_signed(message) else message for message in messages]


def _is_signed(message: object) -> bool:
    return _has_mark(message) or any(_has_mark(call) for call in _calls(message))


def _unsigned(message: object) -> object:
    bare = _without_mark(message)
    if isinstance(bare, dict) and _calls(bare):
        return {**bare, "tool_calls": [_without_mark(call) for call in _calls(bare)]}
    return bare


def _calls(message: object) -> list[object]:
    calls = message.get("tool_calls") if isinstance(message, dict) else None
    return calls if isinstance(calls, list) else []


def _has_mark(one: object) -> bool:
    extra = one.get(_FIELD) if isinstance(one, dict) else None
    return isinstance(extra, dict) and GOOGLE in extra


def _without_mark(one: object) -> object:
    if not isinstance(one, dict) or not _has_mark(one):
        return one
    others = {name: value for name, value in one[_FIELD].items() if name != GOOGLE}
    bare = {name: value for name, value in one.items() if name != _FIELD}
    return {**bare, _FIELD: others} if others else bare
