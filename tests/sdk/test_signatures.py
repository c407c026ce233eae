"""What Gemini signs, on its way through a caller's history and back."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from db.vocabulary import ProviderKind
from tests.sdk.asking import HELLO, AnthropicSdk, OpenAiSdk, Tool, Way
from tests.sdk.conftest import NewName
from tests.server.gateway.world import World
from trunkline.failover.steps import StepInput

pytestmark = pytest.mark.asyncio(loop_scope="module")

WEATHER = Tool("weather", ("city",))
CALLED = {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}, "thoughtSignature": "c2ln"}
SAID = [{"text": "hm", "thought": True}, {"text": "hi", "thoughtSignature": "dGV4dA"}]


class SigningGemini:
    """Calls a tool and signs the call; speaks signed words where there is no tool, or its result
    has come.
    """

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.is_down = False
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        """Both methods of v1beta, in as few pieces as may be."""
        if self.is_down:
            return web.json_response({"error": {"code": 503, "status": "UNAVAILABLE"}}, status=503)
        body = await request.json()
        self.asked.append(body)
        is_first = len(body["contents"]) == 1 and "tools" in body
        content = {"role": "model", "parts": [CALLED] if is_first else SAID}
        said = {
            "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
            "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 3},
        }
        if "streamGenerateContent" in request.path:
            event = f"data: {json.dumps(said)}\r\n\r\n"
            return web.Response(text=event, content_type="text/event-stream")
        return web.json_response(said)


@asynccontextmanager
async def signing_gemini() -> AsyncIterator[SigningGemini]:
    """Served on a free port of this machine."""
    gemini = SigningGemini()
    app = web.Application()
    app.router.add_post("/v1beta/models/{method}", gemini.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        gemini.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield gemini
    finally:
        await runner.cleanup()


async def chain(
    world: World, slug: str, gemini: SigningGemini, second: ProviderKind, second_slug: str
) -> str:
    """Gemini, and another where it is down."""
    await world.provider(ProviderKind.GOOGLE, f"{slug}-gemini", base_url=gemini.url)
    first = await world.model("gemini-3-pro", ProviderKind.GOOGLE, slug=f"{slug}-gemini")
    other = await world.model("sim-ok", second, slug=second_slug)
    steps = [StepInput(model_id=one, max_retries=0) for one in (first, other)]
    await world.chain(*steps, slug=slug)
    return f"chain/{slug}"


@pytest.mark.parametrize("way", [Way.PLAIN, Way.HELPER])
async def test_a_call_comes_back_to_gemini_as_it_signed_it(
    world: World, new_name: NewName, openai_client: AsyncOpenAI, way: Way
) -> None:
    sdk = OpenAiSdk(openai_client)
    slug = new_name()
    async with signing_gemini() as gemini:
        model = await chain(world, slug, gemini, ProviderKind.OPENAI, f"{slug}-second")
        heard = await sdk.ask(way, model, HELLO, [WEATHER])
        [call] = heard.message.tool_calls
        assert call.extra_content == {"google": {"thought_signature": "c2ln"}}
        later = [*HELLO, *sdk.results(heard, {call.id: "sunny"})]
        last = await sdk.ask(way, model, later, [WEATHER])
        assert (last.text, last.reasoning) == ("hi", "hm")
        [back] = gemini.asked[1]["contents"][1]["parts"]
        assert back["thoughtSignature"] == "c2ln"
        assert back["functionCall"]["args"] == {"city": "Oslo"}
        # The next model of the chain doesn't see it, whichever protocol it speaks.
        gemini.is_down = True
        assert (await sdk.ask(way, model, later, [WEATHER])).text.startswith("A simulated")
        told = world.seen[-1].json()
        assert "extra_content" not in json.dumps(told)
        assert "extra_content" in heard.message.to_json()


async def test_googles_own_endpoint_of_openais_protocol_gets_it_back(
    world: World, new_name: NewName, openai_client: AsyncOpenAI
) -> None:
    sdk = OpenAiSdk(openai_client)
    slug = new_name()
    async with signing_gemini() as gemini:
        # A provider of this name is Google, wherever it stands.
        model = await chain(world, slug, gemini, ProviderKind.OPENAI_COMPATIBLE, "google")
        heard = await sdk.ask(Way.PLAIN, model, HELLO, [WEATHER])
        later = [*HELLO, *sdk.results(heard, {heard.calls[0].id: "sunny"})]
        gemini.is_down = True
        assert (await sdk.ask(Way.PLAIN, model, later, [WEATHER])).text
    [call] = world.seen[-1].json()["messages"][1]["tool_calls"]  # type: ignore[index]
    assert call["extra_content"] == {"google": {"thought_signature": "c2ln"}}


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("second", [ProviderKind.ANTHROPIC, ProviderKind.OPENAI])
async def test_signed_words_go_back_to_gemini_and_not_to_claude(
    world: World,
    new_name: NewName,
    anthropic_client: AsyncAnthropic,
    way: Way,
    second: ProviderKind,
) -> None:
    sdk = AnthropicSdk(anthropic_client)
    slug = new_name()
    async with signing_gemini() as gemini:
        model = await chain(world, slug, gemini, second, f"{slug}-second")
        heard = await sdk.ask(way, model)
        assert (heard.text, heard.reasoning) == ("hi", "hm")
        later = [*HELLO, heard.message, {"role": "user", "content": "and then?"}]
        await sdk.ask(way, model, later)
        parts = gemini.asked[1]["contents"][1]["parts"]
        assert "dGV4dA" in [part.get("thoughtSignature") for part in parts]
        gemini.is_down = True
        assert (await sdk.ask(way, model, later)).text.startswith("A simulated")
    assert "gemini." not in world.seen[-1].body.decode()
    assert "thinking" not in world.seen[-1].body.decode()
