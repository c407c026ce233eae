"""Every dialect reads words that its provider cut within a character."""

import orjson
import pytest

from db.vocabulary import ProviderKind
from tests.trunkline.gateway.dialects.reading import read_all, text_of
from trunkline.gateway.answers import FinishReason
from trunkline.gateway.conversation import Text
from trunkline.gateway.dialects.speaking import DIALECTS
from trunkline.gateway.speeches import ANTHROPIC, OPENAI
from trunkline.gateway.wires import Speech

KINDS = tuple(DIALECTS)
STOPPED = {
    ProviderKind.ANTHROPIC: {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
    ProviderKind.GOOGLE: {"candidates": [{"finishReason": "STOP"}]},
    ProviderKind.OLLAMA: {"message": {}, "done": True},
}


def piece(kind: ProviderKind, words: str) -> object:
    match kind:
        case ProviderKind.ANTHROPIC:
            delta = {"type": "text_delta", "text": words}
            return {"type": "content_block_delta", "index": 0, "delta": delta}
        case ProviderKind.GOOGLE:
            return {"candidates": [{"content": {"parts": [{"text": words}]}}]}
        case ProviderKind.OLLAMA:
            return {"message": {"content": words}}
        case _:
            return {"choices": [{"delta": {"content": words}}]}


def whole(kind: ProviderKind, words: str) -> object:
    match kind:
        case ProviderKind.ANTHROPIC:
            content = [{"type": "text", "text": words}]
            return {"type": "message", "content": content, "stop_reason": "end_turn"}
        case ProviderKind.GOOGLE:
            said = {"parts": [{"text": words}]}
            return {"candidates": [{"content": said, "finishReason": "STOP"}]}
        case ProviderKind.OLLAMA:
            return {"message": {"content": words}, "done": True}
        case _:
            return {"choices": [{"message": {"content": words}, "finish_reason": "stop"}]}


def escaped(value: object) -> bytes:
    """JSON as a provider writes it who sends halves: "HIGH" and "LOW" stand for them."""
    return orjson.dumps(value).replace(b"HIGH", b"\\ud83d").replace(b"LOW", b"\\ude00")


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_that_cuts_a_character_keeps_it(kind: ProviderKind) -> None:
    stopped = STOPPED.get(kind, {"choices": [{"delta": {}, "finish_reason": "stop"}]})
    events = [*(piece(kind, words) for words in ("aHIGH", "LOWb", "HIGHc")), stopped]
    frame = b"%b\n" if kind is ProviderKind.OLLAMA else b"data: %b\n\n"
    stream = b"".join(frame % escaped(event) for event in events)
    assert text_of(read_all(DIALECTS[kind].stream_reader(), stream)) == "a😀b�c"


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_with_half_a_character_is_one(kind: ProviderKind) -> None:
    answer = DIALECTS[kind].read(escaped(whole(kind, "aHIGH")))
    assert (answer.parts, answer.finish) == ((Text("a�"),), FinishReason.STOP)


@pytest.mark.parametrize(
    ("speech", "kind"), [(OPENAI, ProviderKind.OPENAI), (ANTHROPIC, ProviderKind.ANTHROPIC)]
)
def test_an_answer_with_half_a_character_passes(speech: Speech, kind: ProviderKind) -> None:
    assert speech.passing.look(escaped(whole(kind, "aHIGH"))).said == 2
