"""JSON to and from providers. What comes from them is hostile: any value may stand anywhere."""

import os
from typing import cast

import orjson

from trunkline.gateway.conversation import ToolCall
from trunkline.gateway.cut_characters import without_halves
from trunkline.gateway.protocols import CannotSay, UnreadableAnswer

LARGEST_COUNT = 10**9
"""Tokens of one request; a provider that counts more counts wrongly."""


def write_body(body: dict[str, object]) -> bytes:
    """The JSON of a request. Raises `CannotSay` for what JSON can't carry: halves of surrogate
    pairs, integers beyond 64 bits, more than 254 levels.
    """
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:
        raise CannotSay(
            "the request holds something that can't be sent on as JSON: a text with half of a "
            "surrogate pair, an integer beyond 64 bits, or more than 250 levels of nesting"
        ) from None


def read_object(body: bytes) -> dict[str, object]:
    """The JSON object in an answer's body. Raises `UnreadableAnswer`."""
    try:
        parsed: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = without_halves(body)
        if parsed is None:
            # Without its cause, which holds the body.
            raise UnreadableAnswer("the answer is no JSON") from None
    if not isinstance(parsed, dict):
        raise UnreadableAnswer("the answer is no JSON object")
    return parsed


def read_arguments(call: ToolCall) -> dict[str, object]:
    """A call's arguments, for providers that take an object. Raises `CannotSay`."""
    try:
        arguments = orjson.loads(call.arguments) if call.arguments.strip() else {}
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        arguments = None
    if not isinstance(arguments, dict):
        raise CannotSay(
            f"the arguments of the call of '{call.name}' are no JSON object, and this provider "
            "takes nothing else: send them as the model wrote them"
        )
    return cast("dict[str, object]", arguments)


def write_arguments(value: object) -> str | None:
    """The JSON text of a call's arguments, which some providers leave out where a tool has none;
    None where they are no object.
    """
    if value is None:
        return "{}"
    if not isinstance(value, dict):
        return None
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # Reads 1,024 levels, writes 254.
        return None


def token_count(value: object) -> int | None:
    """A count as a provider tells it; None for what is none: negative, absurd, no integer."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_COUNT:
        return None
    return value


def new_call_id() -> str:
    """An id for a tool call whose provider gave it none."""
    return f"call_{os.urandom(12).hex()}"
