"""For callers who speak OpenAI's chat completions, such as its SDKs.

https://platform.openai.com/docs/api-reference/chat and …/docs/guides/error-codes
"""

import orjson

from trunkline.gateway.answers import AnswerHead, ChatAnswer
from trunkline.gateway.conversation import Conversation, JsonObject
from trunkline.gateway.faces.openai_reading import asks_for_usage, read_request
from trunkline.gateway.faces.openai_writing import OpenAiStreamWriter, write_answer
from trunkline.gateway.protocols import CallerError

_NO_CREDIT_CODES = frozenset({"insufficient_quota", "budget_exhausted"})


class OpenAiFace:
    """`POST /v1/chat/completions`."""

    @property
    def keep_alive(self) -> bytes:
        """A comment."""
        return b": keep-alive\n\n"

    @property
    def id_headers(self) -> tuple[bytes, ...]:
        """`x-request-id`, which every answer of ours has."""
        return ()

    def answer_id(self, request_id: str) -> str:
        """`chatcmpl-…`."""
        return f"chatcmpl-{request_id}"

    def read(self, body: JsonObject) -> Conversation:
        """The chat that is asked for. Raises `BadRequestBody`."""
        return read_request(body)

    def write(self, answer: ChatAnswer, head: AnswerHead) -> bytes:
        """A `chat.completion`."""
        return write_answer(answer, head)

    def stream_writer(self, head: AnswerHead, body: JsonObject) -> OpenAiStreamWriter:
        """Writes `chat.completion.chunk`s, the last of them with the usage where
        `stream_options.include_usage` asks for it.
        """
        return OpenAiStreamWriter(head, usage_wanted=asks_for_usage(body))

    def error(self, error: CallerError) -> bytes:
        """`{"error": {"message", "type", "param", "code"}}`."""
        said = {
            "message": error.message,
            "type": _type(error),
            "param": error.param,
            "code": error.code,
        }
        return orjson.dumps({"error": said})

    def stream_error(self, error: CallerError) -> bytes:
        """An error where a chunk would be; OpenAI's SDKs raise it. No `[DONE]` follows."""
        return b"data: " + self.error(error) + b"\n\n"


def _type(error: CallerError) -> str:
    match error.status:
        case 401:
            return "authentication_error"
        case 429:
            return "insufficient_quota" if error.code in _NO_CREDIT_CODES else "rate_limit_error"
        case status if 400 <= status < 500:
            return "invalid_request_error"
        case _:
            return "server_error"
