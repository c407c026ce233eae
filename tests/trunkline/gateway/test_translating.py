"""A stream of one protocol as a stream of another, to its very end."""

from trunkline.gateway.answers import AnswerHead
from trunkline.gateway.dialects.ollama_answers import OllamaStreamReader
from trunkline.gateway.dialects.openai_streams import OpenAiStreamReader
from trunkline.gateway.faces.openai_writing import OpenAiStreamWriter
from trunkline.gateway.protocols import StreamReader
from trunkline.gateway.translating import TranslatedStream

HEAD = AnswerHead(id="chatcmpl-1", model="m", created=1)
LAST_LINES: list[tuple[StreamReader, bytes]] = [
    (OllamaStreamReader(), b'{"message": {"content": "hello"}, "done": true}'),
    (
        OpenAiStreamReader(),
        b'data: {"choices": [{"delta": {"content": "hello"}, "finish_reason": "stop"}]}',
    ),
]


def test_a_last_line_without_its_end_counts_as_said() -> None:
    """What a provider doesn't count is estimated from it."""
    for reader, last in LAST_LINES:
        stream = TranslatedStream(reader, OpenAiStreamWriter(HEAD, usage_wanted=False))
        assert stream.feed(last) == b""
        assert (stream.begun, stream.said) == (False, 0)
        assert b'"hello"' in stream.end()
        assert (stream.begun, stream.said) == (True, 5)
