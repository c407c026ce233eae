"""What the exchange asks of a protocol, and the frames that its streams are made of."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol as Port

import orjson

from server.simulated.answer import Answer
from server.simulated.asked import Asked
from server.simulated.json_values import Json
from server.simulated.reaction import Reaction


class Part(StrEnum):
    """What a frame is, for who delays, counts or leaves it out."""

    OPENING = "opening"
    TOKEN = "token"  # noqa: S105  # of a language model
    BETWEEN = "between"
    FINISH = "finish"
    USAGE = "usage"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Frame:
    """One event or line of a stream."""

    part: Part
    data: bytes


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as the protocol tells it."""

    status: int
    body: Json
    # Whether the wait belongs into a header. Gemini has it in the body.
    wait_in_header: bool = True


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request as it came."""

    body: Json
    headers: Mapping[str, str]
    query: Mapping[str, str]
    path: str
    # Where the path names one.
    path_model: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """Which models to list."""

    models: Sequence[str]
    page_size: int
    query: Mapping[str, str]


class Protocol(Port):
    """One protocol. Whatever reads a request raises `InvalidAsk`."""

    name: str
    # The header that tells each request's id.
    id_header: str | None
    # The content type of a stream.
    stream_type: str

    def key_of(self, headers: Mapping[str, str]) -> str | None:
        """The key, from its own header alone."""

    def read(self, prompt: Prompt) -> Asked:
        """What is asked."""

    def whole(self, answer: Answer) -> Json:
        """The whole answer."""

    def stream(self, answer: Answer) -> Iterator[Frame]:
        """The answer in frames."""

    def ping(self) -> bytes:
        """Shows within a stream that it lives; empty where the protocol has nothing for it."""

    def malformed(self) -> bytes:
        """An event that can't be read."""

    def error_frame(self, message: str) -> bytes:
        """An error within a stream."""

    def failure(self, reaction: Reaction, model: str) -> Failure:
        """The error that this reaction is."""

    def models(self, page: Page) -> Json:
        """A page of the list."""


def server_sent(data: Json, event: str | None = None) -> bytes:
    """A server-sent event."""
    named = b"" if event is None else b"event: " + event.encode() + b"\n"
    return named + b"data: " + orjson.dumps(data) + b"\n\n"
