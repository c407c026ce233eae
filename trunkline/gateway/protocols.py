"""The two sides of the gateway, and what passes between: faces for callers, dialects for providers.

All of this is plain computing on bytes and values: nothing here waits, opens or closes anything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from trunkline.errors import TrunklineError
from trunkline.gateway.answers import AnswerEvent, AnswerHead, ChatAnswer, Usage
from trunkline.gateway.conversation import Conversation, JsonObject

Headers: TypeAlias = Mapping[str, str]


class BadRequestBody(TrunklineError):
    """A caller's request that can't be read. `param` names the part that is wrong, as in
    `messages[3].content`.
    """

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class CannotSay(TrunklineError):
    """The provider's protocol has no way to say what is asked for, and leaving it out would be
    wrong. The message says what it is and what to do.
    """


class UnreadableAnswer(TrunklineError):
    """A whole answer of a provider that is none in its protocol."""


class StreamFailed(TrunklineError):
    """The provider said within a stream that it failed: with a body as a failed answer would have,
    and the status that would go with it.
    """

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"the provider's stream ended with an error ({status})")
        self.status = status
        self.body = body


class StreamCut(TrunklineError):
    """A stream ended without saying that it was whole."""


@dataclass(frozen=True, slots=True)
class ProviderCall:
    """What to POST: a path below the provider's root (`trunkline.providers.adapter.Adapter.root`),
    with its JSON. `dropped` names the parameters, in the caller's words, that the provider doesn't
    have and that were left out. `headers` go beside the provider's own.
    """

    path: str
    body: bytes = field(repr=False)
    dropped: tuple[str, ...] = ()
    headers: Headers = field(default_factory=dict)


class StreamReader(Protocol):
    """Reads one stream of a provider, from its first byte to its last. Bytes may be cut anywhere.

    An event that is malformed is skipped. Other events than the protocol's known ones, comments
    and pings give nothing. `done` says whether its last word was read: nothing more is due.
    """

    @property
    def done(self) -> bool: ...

    def feed(self, chunk: bytes) -> Sequence[AnswerEvent]:
        """What these bytes bring. Raises `StreamFailed`."""

    def end(self) -> Sequence[AnswerEvent]:
        """The provider has ended the stream: what is left, such as `Finished`. Raises `StreamCut`
        where it was not whole.
        """


class Dialect(Protocol):
    """How one kind of provider is asked, and how its answers are read."""

    def ask(self, conversation: Conversation, wire_name: str) -> ProviderCall:
        """The request for this chat, streamed where the chat is. Raises `CannotSay`."""

    def read(self, body: bytes) -> ChatAnswer:
        """The answer in the body of a 200. Raises `UnreadableAnswer`, or `StreamFailed` where the
        body says that it failed.
        """

    def stream_reader(self) -> StreamReader:
        """A reader for one stream."""


class StreamWriter(Protocol):
    """Writes one stream to a caller."""

    def write(self, events: Sequence[AnswerEvent]) -> bytes:
        """These events in the caller's protocol; nothing where they say nothing there."""

    def end(self) -> bytes:
        """The end of an answer that is whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerError:
    """An error for a caller, before it is put into its protocol's shape."""

    status: int
    message: str
    code: str | None = None
    """A word for programs, such as `model_not_found` or `budget_exhausted`."""
    param: str | None = None


class Face(Protocol):
    """How one protocol's callers ask and are answered.

    `body` is always a JSON object that was parsed; `model` and `stream` are read by the gateway
    before, so that a body that passes through is not looked at any further.
    """

    @property
    def keep_alive(self) -> bytes:
        """Bytes within a stream that show that we are there, and say nothing."""

    @property
    def id_headers(self) -> tuple[bytes, ...]:
        """The headers, in lower case, in which this protocol's SDKs look for a request's id."""

    def answer_id(self, request_id: str) -> str:
        """The id of an answer, as the protocol's ids look, made of the request's."""

    def read(self, body: JsonObject) -> Conversation:
        """The chat that is asked for. Raises `BadRequestBody`."""

    def write(self, answer: ChatAnswer, head: AnswerHead) -> bytes:
        """A whole answer."""

    def stream_writer(self, head: AnswerHead, body: JsonObject) -> StreamWriter:
        """A writer for one stream; the request's body says what it is to hold."""

    def error(self, error: CallerError) -> bytes:
        """The JSON body of an error."""

    def stream_error(self, error: CallerError) -> bytes:
        """The event that tells of an error within a stream, and is its last."""


class PassingStream(Protocol):
    """Looks at one stream that passes through as it is.

    `begun` says whether its first token has come (text, reasoning, tool call; not a role, a ping or
    a comment), `done` whether its last word has come, so that nothing more is due, `usage` what was
    used as far as the provider has said, `said` how many characters the model has said.
    """

    @property
    def begun(self) -> bool: ...
    @property
    def done(self) -> bool: ...
    @property
    def usage(self) -> Usage | None: ...
    @property
    def said(self) -> int: ...

    def feed(self, chunk: bytes) -> bytes:
        """What to pass on of these bytes: whole events, without the malformed. Raises
        `StreamFailed`.
        """

    def end(self) -> bytes:
        """The provider has ended the stream: what is left to pass on. Raises `StreamCut`."""


@dataclass(frozen=True, slots=True)
class SeenAnswer:
    """What is seen in a whole answer that passes through as it is."""

    usage: Usage | None
    said: int = 0


class Passing(Protocol):
    """How a protocol's bodies pass from a caller to a provider that speaks it too."""

    def ask(
        self, body: JsonObject, wire_name: str, *, known_provider: str | None = None
    ) -> ProviderCall:
        """The caller's body with the model's wire name for its name, and without what only another
        provider could have signed, or takes. `known_provider` is who this one is, by the price
        data's ids, where that is known. Raises `BadRequestBody`.
        """

    def look(self, body: bytes) -> SeenAnswer:
        """What stands in the body of a 200. Raises `UnreadableAnswer`, and `StreamFailed` where it
        is an error.
        """

    def stream(self, body: JsonObject) -> PassingStream:
        """Looks at one stream; the request's body says what the caller wants of it."""
