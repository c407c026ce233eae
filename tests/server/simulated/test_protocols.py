"""Plain and streamed answers in each protocol's own form."""

from typing import Any

import pytest

from server.simulated.behaviour import Behaviour
from tests.server.simulated.asking import HEADERS, PROTOCOLS, Client, text_of, whole_text_of

OPENING = "A simulated answer."


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_stream_says_what_the_plain_answer_says(client: Client, protocol: str) -> None:
    plain = await client.ask(protocol, "simulated-large")
    streamed = await client.ask(protocol, "simulated-large", stream=True)
    assert plain.status == streamed.status == 200
    text = whole_text_of(protocol, plain.json)
    assert text.startswith(OPENING)
    assert text_of(protocol, streamed.events) == text
    again = await client.ask(protocol, "simulated-large")
    assert again.body == plain.body
    other = await client.ask(protocol, "simulated-large", text="something else")
    assert whole_text_of(protocol, other.json) != text


async def test_usage_is_counted_in_each_protocols_own_way(client: Client) -> None:
    """The same ask costs the same tokens; the protocols tell it differently."""
    model = "cached-50-cache-write-10-thinking-20-tokens-30"
    text = "four" * 1_000
    openai, anthropic, google, ollama = [
        (await client.ask(protocol, model, text=text)).json for protocol in PROTOCOLS
    ]
    usage = openai["usage"]
    asked = usage["prompt_tokens"]
    assert asked == 1_004
    assert usage["completion_tokens"] == 50
    assert usage["total_tokens"] == asked + 50
    assert usage["prompt_tokens_details"]["cached_tokens"] == 502
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 20
    # Anthropic's input excludes what came from the cache or went there.
    told = anthropic["usage"]
    assert told["input_tokens"] == asked - 502 - 100
    assert told["cache_read_input_tokens"] == 502
    assert told["cache_creation_input_tokens"] == 100
    assert told["output_tokens"] == 50
    # Gemini's candidates exclude the thoughts.
    told = google["usageMetadata"]
    assert told["promptTokenCount"] == asked
    assert told["cachedContentTokenCount"] == 502
    assert (told["candidatesTokenCount"], told["thoughtsTokenCount"]) == (30, 20)
    assert told["totalTokenCount"] == asked + 50
    assert (ollama["prompt_eval_count"], ollama["eval_count"]) == (asked, 50)


async def test_a_plain_answer_leaves_out_what_is_not_there(client: Client) -> None:
    google = (await client.ask("google", "simulated-large")).json
    assert not {"thoughtsTokenCount", "cachedContentTokenCount"} & set(google["usageMetadata"])
    openai = (await client.ask("openai", "simulated-large")).json["choices"][0]
    assert openai["message"].keys() == {"role", "content", "refusal", "annotations"}
    ollama = (await client.ask("ollama", "simulated-large")).json
    assert ollama["message"].keys() == {"role", "content"}


async def test_another_seed_gives_another_answer(client: Client, behaviour: Behaviour) -> None:
    first = await client.ask("openai", "simulated-large")
    behaviour.seed = 8
    assert (await client.ask("openai", "simulated-large")).json != first.json


async def test_openai_streams_a_role_then_words_then_usage_then_done(client: Client) -> None:
    streamed = await client.ask("openai", "tokens-6", stream=True)
    assert streamed.headers["content-type"].startswith("text/event-stream")
    role, *words, finish, usage, done = streamed.events
    assert role["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert len(words) == 6
    assert all(chunk["usage"] is None for chunk in (role, *words, finish))
    assert finish["choices"][0] == {
        "index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop",
    }  # fmt: skip
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == 6
    assert done == "[DONE]"


@pytest.mark.parametrize("more", [{"stream_options": None}, {"stream_options": {}}])
async def test_openai_tells_usage_in_a_stream_only_where_asked(
    client: Client, more: dict[str, Any]
) -> None:
    streamed = await client.ask("openai", "tokens-6", stream=True, **more)
    assert all("usage" not in chunk for chunk in streamed.events[:-1])
    assert streamed.events[-2]["choices"][0]["finish_reason"] == "stop"


async def test_anthropic_streams_blocks_between_start_and_stop(client: Client) -> None:
    streamed = await client.ask("anthropic", "tokens-5-thinking-2", stream=True)
    kinds = [one["type"] for one in streamed.events]
    assert kinds == [
        "message_start", "content_block_start", "ping", "content_block_delta",
        "content_block_delta", "content_block_delta", "content_block_stop",
        "content_block_start", *["content_block_delta"] * 5, "content_block_stop",
        "message_delta", "message_stop",
    ]  # fmt: skip
    names = [line[7:] for line in streamed.body.decode().splitlines() if line.startswith("event: ")]
    assert names == kinds
    start, delta = streamed.events[0]["message"], streamed.events[-2]
    assert (start["content"], start["stop_reason"]) == ([], None)
    assert start["usage"]["input_tokens"] > 0
    assert delta["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert delta["usage"]["output_tokens"] == 7
    deltas = [one["delta"].get("type") for one in streamed.events if "delta" in one]
    assert deltas[:4] == ["thinking_delta", "thinking_delta", "signature_delta", "text_delta"]
    plain = (await client.ask("anthropic", "tokens-5-thinking-2")).json
    assert [block["type"] for block in plain["content"]] == ["thinking", "text"]


async def test_gemini_streams_responses_and_ends_without_done(client: Client) -> None:
    streamed = await client.ask("google", "tokens-4-thinking-2", stream=True)
    assert b"[DONE]" not in streamed.body
    assert b"\r\n\r\n" in streamed.body
    parts = [one["candidates"][0]["content"]["parts"][0] for one in streamed.events]
    assert [bool(one.get("thought")) for one in parts] == [True, True, *[False] * 5]
    assert streamed.events[-1]["candidates"][0]["finishReason"] == "STOP"
    assert all("finishReason" not in one["candidates"][0] for one in streamed.events[:-1])
    counted = [one["usageMetadata"]["candidatesTokenCount"] for one in streamed.events]
    assert counted == [0, 0, 1, 2, 3, 4, 4]


async def test_gemini_streams_an_array_where_events_are_not_asked_for(client: Client) -> None:
    path = "/v1beta/models/tokens-4:streamGenerateContent"
    answered = await client.post(path, {"contents": [{"parts": [{"text": "hello"}]}]})
    assert answered.headers["content-type"].startswith("application/json")
    responses: Any = answered.json
    assert len(responses) == 5
    assert responses[-1]["candidates"][0]["finishReason"] == "STOP"


async def test_ollama_streams_lines_unless_told_not_to(client: Client) -> None:
    body = {"model": "tokens-4-thinking-2", "messages": [{"role": "user", "content": "hello"}]}
    answered = await client.post("/api/chat", body)
    assert answered.headers["content-type"] == "application/x-ndjson"
    *words, last = answered.events
    assert [("thinking" in one["message"]) for one in words] == [True, True, *[False] * 4]
    assert not any(one["done"] for one in words)
    assert (last["done"], last["done_reason"], last["eval_count"]) == (True, "stop", 6)
    assert "eval_count" not in words[0]


async def test_images_count_as_tokens_and_their_bytes_do_not(client: Client) -> None:
    data = "A" * 100_000
    image_url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    said = {"role": "user", "content": [{"type": "text", "text": "look"}, image_url]}
    openai = (await client.ask("openai", "m", messages=[said])).json
    assert openai["usage"]["prompt_tokens"] == 5 + 765
    source = {"type": "base64", "media_type": "image/png", "data": data}
    block = {"type": "image", "source": source}
    messages = [{"role": "user", "content": [block, block]}]
    anthropic = (await client.ask("anthropic", "m", messages=messages)).json
    assert anthropic["usage"]["input_tokens"] + anthropic["usage"][
        "cache_read_input_tokens"
    ] == pytest.approx(3_204)
    contents = [{"parts": [{"inlineData": {"mimeType": "image/png", "data": data}}]}]
    google = (await client.ask("google", "m", contents=contents)).json
    assert google["usageMetadata"]["promptTokenCount"] == 4 + 258
    pictured = [{"role": "user", "content": "look", "images": [data]}]
    ollama = (await client.ask("ollama", "m", messages=pictured)).json
    assert ollama["prompt_eval_count"] == 5 + 576


async def test_an_answer_ends_at_its_limit_and_at_a_stop_word(client: Client) -> None:
    limits: dict[str, dict[str, Any]] = {
        "openai": {"max_completion_tokens": 3},
        "anthropic": {"max_tokens": 3},
        "google": {"generationConfig": {"maxOutputTokens": 3}},
        "ollama": {"options": {"num_predict": 3}},
    }
    stops: dict[str, dict[str, Any]] = {
        "openai": {"stop": " answer"},
        "anthropic": {"stop_sequences": [" answer"]},
        "google": {"generationConfig": {"stopSequences": [" answer"]}},
        "ollama": {"options": {"stop": [" answer"]}},
    }
    for protocol in PROTOCOLS:
        limited = (await client.ask(protocol, "simulated", **limits[protocol])).json
        assert whole_text_of(protocol, limited) == "A simulated answer"
        assert finish_of(protocol, limited) in {"length", "max_tokens", "MAX_TOKENS"}
        stopped = (await client.ask(protocol, "simulated", **stops[protocol])).json
        assert whole_text_of(protocol, stopped) == "A simulated"
        assert finish_of(protocol, stopped) in {"stop", "stop_sequence", "STOP"}
    assert stopped["done_reason"] == "stop"
    named = (await client.ask("anthropic", "simulated", **stops["anthropic"])).json
    assert named["stop_sequence"] == " answer"


@pytest.mark.parametrize(
    ("model", "endings"),
    [
        ("length", ("length", "max_tokens", "MAX_TOKENS", "length")),
        ("filtered", ("content_filter", "refusal", "SAFETY", "stop")),
        ("refusal", ("stop", "refusal", "SAFETY", "stop")),
    ],
)
async def test_a_name_says_how_an_answer_ends(
    client: Client, model: str, endings: tuple[str, ...]
) -> None:
    for protocol, ending in zip(PROTOCOLS, endings, strict=True):
        plain = await client.ask(protocol, model)
        assert (plain.status, finish_of(protocol, plain.json)) == (200, ending)


async def test_openai_tells_a_refusal_in_its_own_field(client: Client) -> None:
    message = (await client.ask("openai", "refusal")).json["choices"][0]["message"]
    assert message["content"] is None
    assert message["refusal"].startswith("I'm sorry")
    streamed = await client.ask("openai", "refusal", stream=True)
    deltas = [one["choices"][0]["delta"] for one in streamed.events[1:-3]]
    assert "".join(delta["refusal"] for delta in deltas) == message["refusal"]


async def test_reasoning_is_told_as_each_protocol_does(client: Client) -> None:
    shown = (await client.ask("openai", "thinking")).json["choices"][0]["message"]
    assert shown["reasoning_content"]
    # OpenAI itself counts what its models think, and keeps it.
    hidden = (await client.ask("openai", "o9", reasoning_effort="high")).json
    assert "reasoning_content" not in hidden["choices"][0]["message"]
    assert hidden["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0
    thinking = {"type": "enabled", "budget_tokens": 1_024}
    anthropic = (await client.ask("anthropic", "m", thinking=thinking)).json
    assert anthropic["content"][0]["signature"]
    config = {"thinkingConfig": {"includeThoughts": True}}
    google = (await client.ask("google", "m", generationConfig=config)).json
    assert google["candidates"][0]["content"]["parts"][0]["thought"] is True
    assert (await client.ask("ollama", "m", think=True)).json["message"]["thinking"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_usage_may_be_left_out(client: Client, protocol: str) -> None:
    for stream in (False, True):
        answered = await client.ask(protocol, "no-usage", stream=stream)
        assert answered.status == 200
        for told in (b"_tokens", b"TokenCount", b"eval_count"):
            assert told not in answered.body


BROKEN: list[Any] = [None, [], "text", 7, {}, {"model": {"a": 1}}, {"model": "m"}]


@pytest.mark.parametrize("body", BROKEN)
@pytest.mark.parametrize(
    ("protocol", "path"),
    [
        ("openai", "/v1/chat/completions"),
        ("anthropic", "/v1/messages"),
        ("google", "/v1beta/models/m:generateContent"),
        ("openai", "/v1/embeddings"),
        ("google", "/v1beta/models/m:batchEmbedContents"),
    ],
)
async def test_a_body_that_asks_for_nothing_is_refused(
    client: Client, protocol: str, path: str, body: object
) -> None:
    answered = await client.post(path, body, **HEADERS[protocol])
    assert answered.status == 400
    assert answered.json["error"]["message"]


def finish_of(protocol: str, answer: dict[str, Any]) -> str:
    match protocol:
        case "openai":
            return str(answer["choices"][0]["finish_reason"])
        case "anthropic":
            return str(answer["stop_reason"])
        case "google":
            return str(answer["candidates"][0]["finishReason"])
        case _:
            return str(answer["done_reason"])
