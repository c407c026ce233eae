"""What one request puts on the wire to each model that is tried, and how the answer is read."""

from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from db.vocabulary import ModelCapability, ProviderKind
from trunkline.gateway import embeddings
from trunkline.gateway.answers import AnswerHead, ChatAnswer, Usage, answer_length
from trunkline.gateway.configuration import GatewayModel
from trunkline.gateway.conversation import Conversation, JsonObject, Text
from trunkline.gateway.dialects.speaking import DIALECTS, dialect_of
from trunkline.gateway.embeddings import EmbeddingsAsked
from trunkline.gateway.estimating import CHARACTERS_PER_TOKEN, characters_in
from trunkline.gateway.protocols import (
    CannotSay,
    Face,
    Headers,
    Passing,
    PassingStream,
    ProviderCall,
)
from trunkline.gateway.translating import TranslatedStream
from trunkline.providers.outgoing import LARGEST_ANSWER

T_co = TypeVar("T_co", covariant=True)

_LARGEST_EMBEDDINGS = 128 * 2**20
"""Bytes: 2,048 vectors of 3,072 numbers, as JSON."""
_IMAGE_PARTS = frozenset({"image", "image_url", "input_image"})


@dataclass(frozen=True, slots=True)
class Speech:
    """What callers of an endpoint speak, and the kinds of provider that speak it too."""

    face: Face
    passing: Passing
    kinds: frozenset[ProviderKind]
    headers: tuple[str, ...] = ()
    """Names, in lower case, of a caller's headers that pass with the body."""


class Wire(Protocol[T_co]):
    """One request, for whichever model is tried."""

    @property
    def characters(self) -> int:
        """Of text in what is asked."""

    @property
    def largest(self) -> int:
        """Bytes of an answer that comes as one, at most."""

    def call(self, model: GatewayModel) -> ProviderCall:
        """What to send. Raises `CannotSay` and `BadRequestBody`."""

    def read(self, model: GatewayModel, body: bytes) -> tuple[T_co, Usage | None, int]:
        """The answer in the body of a 200, what was used, and how many characters were said.
        Raises `UnreadableAnswer` and `StreamFailed`.
        """


class StreamedWire(Wire[bytes], Protocol):
    """One whose answer may be streamed."""

    def stream(self, model: GatewayModel) -> PassingStream:
        """What makes the caller's stream of this model's."""


class ChatWire:
    """A chat. Where the provider speaks what the caller speaks, bodies pass as they are."""

    __slots__ = ("_body", "_conversation", "_created", "_headers", "_id", "_speech")

    def __init__(
        self, speech: Speech, body: JsonObject, answer_id: str, created: int, headers: Headers
    ) -> None:
        """`created` is in Unix seconds; `headers` pass where the body does."""
        self._headers = headers
        self._speech = speech
        self._body = body
        self._id = answer_id
        self._created = created
        self._conversation: Conversation | None = None

    @property
    def characters(self) -> int:
        """Of all text in the body."""
        return characters_in(self._body)

    @property
    def largest(self) -> int:
        """Bytes."""
        return LARGEST_ANSWER

    def call(self, model: GatewayModel) -> ProviderCall:
        """The body as it is, or translated."""
        if (
            model.capabilities is not None
            and ModelCapability.VISION not in model.capabilities
            and _shows_image(self._body)
        ):
            raise CannotSay(f"{model.label} takes no images: leave them out, or ask another model")
        if self._passes(model):
            call = self._speech.passing.ask(
                self._body, model.wire_name, known_provider=model.provider.known_provider
            )
            return replace(call, headers=self._headers) if self._headers else call
        conversation = self._conversation
        if conversation is None:
            conversation = self._conversation = self._speech.face.read(self._body)
        dialect = dialect_of(model.provider.kind, model.provider.known_provider)
        call = dialect.ask(conversation, model.wire_name)
        if not conversation.ignored:
            return call
        return ProviderCall(call.path, call.body, (*conversation.ignored, *call.dropped))

    def read(self, model: GatewayModel, body: bytes) -> tuple[bytes, Usage | None, int]:
        """The body as it is, or translated."""
        if self._passes(model):
            seen = self._speech.passing.look(body)
            return body, seen.usage, seen.said
        answer = DIALECTS[model.provider.kind].read(body)
        written = self._speech.face.write(answer, self._head(model))
        return written, answer.usage, answer_length(answer)

    def stream(self, model: GatewayModel) -> PassingStream:
        """Events as they come, or translated."""
        if self._passes(model):
            return self._speech.passing.stream(self._body)
        return TranslatedStream(
            DIALECTS[model.provider.kind].stream_reader(),
            self._speech.face.stream_writer(self._head(model), self._body),
        )

    def _passes(self, model: GatewayModel) -> bool:
        return model.provider.kind in self._speech.kinds

    def _head(self, model: GatewayModel) -> AnswerHead:
        return AnswerHead(id=self._id, model=model.label, created=self._created)


class EmbeddingsWire:
    """Texts to embed."""

    __slots__ = ("_asked",)

    def __init__(self, asked: EmbeddingsAsked) -> None:
        self._asked = asked

    @property
    def characters(self) -> int:
        """Of the texts, or of what as many tokens are where tokens are given."""
        return self._asked.estimated_tokens * CHARACTERS_PER_TOKEN

    @property
    def largest(self) -> int:
        """Bytes."""
        return _LARGEST_EMBEDDINGS

    def call(self, model: GatewayModel) -> ProviderCall:
        """The request in the provider's protocol."""
        return embeddings.ask(model.provider.kind, self._asked, model.wire_name)

    def read(self, model: GatewayModel, body: bytes) -> tuple[bytes, Usage | None, int]:
        """The vectors in OpenAI's shape."""
        found = embeddings.read(model.provider.kind, body, self._asked)
        # An estimate is no word of the provider's.
        usage = None if found.is_estimated else found.usage
        return embeddings.write(found, model.label), usage, 0


class PromptWire:
    """One prompt, whose answer stays in our own words."""

    __slots__ = ("_conversation",)

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation

    @property
    def characters(self) -> int:
        """Of the prompt and the system's."""
        texts = [*self._conversation.system]
        for turn in self._conversation.turns:
            texts += [part for part in turn.parts if isinstance(part, Text)]
        return sum(len(one.text) for one in texts)

    @property
    def largest(self) -> int:
        """Bytes."""
        return LARGEST_ANSWER

    def call(self, model: GatewayModel) -> ProviderCall:
        """The request in the provider's protocol."""
        return DIALECTS[model.provider.kind].ask(self._conversation, model.wire_name)

    def read(self, model: GatewayModel, body: bytes) -> tuple[ChatAnswer, Usage | None, int]:
        """The answer."""
        answer = DIALECTS[model.provider.kind].read(body)
        return answer, answer.usage, answer_length(answer)


def _shows_image(body: JsonObject) -> bool:
    """Whether a picture stands in a message, as any protocol of callers writes it."""
    waiting: list[object] = [body.get("messages")]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            if one.get("type") in _IMAGE_PARTS:
                return True
            waiting.append(one.get("content"))
    return False
