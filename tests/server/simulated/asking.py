"""Asks a running simulator in each protocol, as a client would and as a raw socket sees it."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from server.simulated.behaviour import Behaviour

PROTOCOLS = ("openai", "anthropic", "google", "ollama")
HEADERS: dict[str, dict[str, str]] = {
    "openai": {},
    "anthropic": {"anthropic-version": "2023-06-01"},
    "google": {},
    "ollama": {},
}
TOOL: dict[str, object] = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer", "minimum": 1, "maximum": 5},
        "unit": {"enum": ["celsius", "fahrenheit"]},
    },
    "required": ["city"],
}


def path_of(protocol: str, model: str, *, stream: bool = False) -> str:
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return {
        "openai": "/v1/chat/completions",
        "anthropic": "/v1/messages",
        "google": f"/v1beta/models/{model}:{method}",
        "ollama": "/api/chat",
    }[protocol]


def body_of(
    protocol: str, model: str, *, text: str = "hello", stream: bool = False, tools: bool = False
) -> dict[str, Any]:
    said = [{"role": "user", "content": text}]
    function = {"name": "get_weather", "parameters": TOOL}
    clock = {"name": "get_time", "parameters": {"type": "object", "properties": {}}}
    functions = [{"type": "function", "function": one} for one in (function, clock)]
    match protocol:
        case "anthropic":
            body: dict[str, Any] = {"model": model, "max_tokens": 10_000, "messages": said}
            declared = [
                {"name": one["name"], "input_schema": one["parameters"]}
                for one in (function, clock)
            ]
            return body | {"stream": stream} | ({"tools": declared} if tools else {})
        case "google":
            contents: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
            declarations = {"functionDeclarations": [function, clock]}
            return contents | ({"tools": [declarations]} if tools else {})
        case _:
            more = {"tools": functions} if tools else {}
            body = {"model": model, "messages": said, "stream": stream} | more
            if protocol == "openai" and stream:
                body["stream_options"] = {"include_usage": True}
            return body


@dataclass
class Answered:
    """An answer that was read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed

    @property
    def events(self) -> list[Any]:
        """The JSON of every event or line; `[DONE]` as it stands."""
        if "ndjson" in self.headers["content-type"]:
            return [json.loads(line) for line in self.body.splitlines()]
        lines = [line for line in self.body.decode().splitlines() if line.startswith("data: ")]
        return [line[6:] if line == "data: [DONE]" else json.loads(line[6:]) for line in lines]


class Client:
    """A client of a running simulator."""

    def __init__(self, url: str, session: aiohttp.ClientSession, behaviour: Behaviour) -> None:
        self.url = url
        self.session = session
        self.behaviour = behaviour

    async def post(self, path: str, body: object, **headers: str) -> Answered:
        async with self.session.post(path, json=body, headers=headers) as response:
            named = {name.lower(): value for name, value in response.headers.items()}
            return Answered(response.status, named, await response.read())

    async def ask(
        self,
        protocol: str,
        model: str,
        *,
        stream: bool = False,
        text: str = "hello",
        tools: bool = False,
        **more: Any,
    ) -> Answered:
        body = body_of(protocol, model, text=text, stream=stream, tools=tools) | more
        return await self.post(path_of(protocol, model, stream=stream), body, **HEADERS[protocol])

    async def raw(self, protocol: str, model: str, *, stream: bool = True) -> tuple[bytes, bool]:
        """What a socket sees until the connection ends, and whether it was reset."""
        reader, writer = await self.open(protocol, model, stream=stream)
        got = b""
        try:
            while part := await reader.read(65_536):
                got += part
        except ConnectionResetError:
            return got, True
        finally:
            writer.close()
        return got, False

    async def open(
        self, protocol: str, model: str, *, stream: bool = True
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection on which a request was sent."""
        at = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(at.hostname, at.port)
        body = json.dumps(body_of(protocol, model, stream=stream)).encode()
        head = [
            f"POST {path_of(protocol, model, stream=stream)} HTTP/1.1",
            f"host: {at.netloc}",
            f"content-length: {len(body)}",
            "connection: close",
            *(f"{name}: {value}" for name, value in HEADERS[protocol].items()),
        ]
        writer.write("\r\n".join([*head, "", ""]).encode() + body)
        return reader, writer


def text_of(protocol: str, events: list[Any]) -> str:
    """The words in a stream's events."""
    match protocol:
        case "openai":
            chunks = [one for one in events if one != "[DONE]" and one["choices"]]
            return "".join(one["choices"][0]["delta"].get("content") or "" for one in chunks)
        case "anthropic":
            deltas = [one["delta"] for one in events if one["type"] == "content_block_delta"]
            return "".join(one.get("text", "") for one in deltas)
        case "google":
            parts = [one["candidates"][0]["content"]["parts"][0] for one in events]
            return "".join(one["text"] for one in parts if not one.get("thought"))
        case _:
            return "".join(one["message"]["content"] for one in events)


def whole_text_of(protocol: str, answer: dict[str, Any]) -> str:
    """The words of a plain answer."""
    match protocol:
        case "openai":
            return str(answer["choices"][0]["message"]["content"])
        case "anthropic":
            return "".join(block.get("text", "") for block in answer["content"])
        case "google":
            parts = answer["candidates"][0]["content"]["parts"]
            return "".join(part["text"] for part in parts if not part.get("thought"))
        case _:
            return str(answer["message"]["content"])
