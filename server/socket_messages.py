"""What clients say over `graphql-transport-ws`, checked whole before anything acts on it.

Wire format: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

from dataclasses import dataclass, field
from typing import Any

import orjson

from server.operation_request import Malformed, OperationRequest, operation_request

LONGEST_ID = 256


@dataclass(frozen=True, slots=True)
class ConnectionInit:
    """The first message; the payload may hold a token."""

    payload: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ping:
    """Wants a pong with the same payload."""

    payload: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Pong:
    """Wants nothing."""


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Begin an operation."""

    id: str
    operation: OperationRequest


@dataclass(frozen=True, slots=True)
class Complete:
    """End an operation."""

    id: str


ClientMessage = ConnectionInit | Ping | Pong | Subscribe | Complete


def client_message(text: str | None) -> ClientMessage:
    """The message in a frame; None stands for a binary frame. Raises `Malformed`."""
    if text is None:
        raise Malformed("messages are text frames")
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Malformed("the message is not valid JSON") from error
    if not isinstance(message, dict):
        raise Malformed("a message is a JSON object")
    kind = message.get("type")
    match kind:
        case "connection_init":
            return ConnectionInit(_payload(message) or {})
        case "ping":
            return Ping(_payload(message))
        case "pong":
            _payload(message)
            return Pong()
        case "subscribe":
            return Subscribe(_id(message), _operation(message))
        case "complete":
            return Complete(_id(message))
        case str():
            raise Malformed("there is no message of that type")
        case _:
            raise Malformed("a message has a `type`, a string")


def _payload(message: dict[str, Any]) -> dict[str, Any] | None:
    payload = message.get("payload")
    if payload is None or isinstance(payload, dict):
        return payload
    raise Malformed("`payload` must be an object")


def _id(message: dict[str, Any]) -> str:
    operation_id = message.get("id")
    if not isinstance(operation_id, str) or not operation_id:
        raise Malformed("`id` must be a string that is not empty")
    if len(operation_id) > LONGEST_ID:
        raise Malformed(f"`id` may have at most {LONGEST_ID} characters")
    return operation_id


def _operation(message: dict[str, Any]) -> OperationRequest:
    payload = message.get("payload")
    if not isinstance(payload, dict):
        raise Malformed("`payload` must be an object with a `query`")
    return operation_request(payload)
