"""OpenAI's chat completions, asked of OpenAI and of whoever is compatible.

https://platform.openai.com/docs/api-reference/chat
"""

import orjson

from trunkline.gateway.answers import AnswerPart, ChatAnswer
from trunkline.gateway.conversation import Conversation, Reasoning, Refusal, Text, ToolCall
from trunkline.gateway.dialects.openai_answers import (
    arguments_of,
    is_object,
    read_answer,
    texts_of,
    thoughts_of,
    word_of,
)
from trunkline.gateway.dialects.openai_asking import body_of
from trunkline.gateway.dialects.openai_streams import (
    OpenAiStreamReader,
    closing_reason,
    new_call_id,
)
from trunkline.gateway.protocols import CannotSay, ProviderCall, UnreadableAnswer

PATH = "/chat/completions"


class OpenAiDialect:
    """`POST /chat/completions`. `official` is OpenAI itself, which differs from those who are
    compatible in a few names of parameters; `known_provider` is who that is, where they refuse what
    others take.
    """

    def __init__(self, *, official: bool, known_provider: str | None = None) -> None:
        self._official = official
        self._known_provider = known_provider

    def ask(self, conversation: Conversation, wire_name: str) -> ProviderCall:
        """The request for this chat. Raises `CannotSay`."""
        body, dropped = body_of(
            conversation,
            wire_name,
            official=self._official,
            known_provider=self._known_provider,
        )
        try:
            return ProviderCall(PATH, orjson.dumps(body), dropped)
        except orjson.JSONEncodeError as error:
            raise CannotSay(
                f"the request can't be written as JSON ({error}): mend its text, or nest its "
                "schemas less deeply"
            ) from None

    def read(self, body: bytes) -> ChatAnswer:
        """A `chat.completion`. Raises `UnreadableAnswer`, or `StreamFailed` where it is an error,
        or its finish reason says that it failed.
        """
        message, finish, usage = read_answer(body)
        parts: list[AnswerPart] = []
        said, thought = texts_of(message.get("content"))
        thought = thoughts_of(message) or thought
        if thought:
            parts.append(Reasoning(thought))
        if said:
            parts.append(Text(said))
        refusal = word_of(message.get("refusal"))
        if refusal is not None:
            parts.append(Refusal(refusal))
        calls = _calls(message.get("tool_calls"))
        parts += calls
        return ChatAnswer(
            parts=tuple(parts),
            finish=closing_reason(finish, refused=refusal is not None, has_calls=bool(calls)),
            usage=usage,
        )

    def stream_reader(self) -> OpenAiStreamReader:
        """A reader for one stream."""
        return OpenAiStreamReader()


def _calls(said: object) -> list[ToolCall]:
    calls = []
    for one in said if isinstance(said, list) else []:
        function = one.get("function") if is_object(one) else None
        if not is_object(function):
            continue
        name = word_of(function.get("name"))
        if name is None:
            raise UnreadableAnswer("a tool call in the answer has no name")
        try:
            arguments = arguments_of(function.get("arguments"))
        except TypeError:
            raise UnreadableAnswer("a tool call's arguments are nested too deep") from None
        calls.append(ToolCall(word_of(one.get("id")) or new_call_id(), name, arguments or "{}"))
    return calls
