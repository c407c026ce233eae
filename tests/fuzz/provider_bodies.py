"""Answers of providers in all four protocols, as they should be and as they should not."""

from random import Random
from typing import Any

import orjson

from server.simulated.asked import Asked
from server.simulated.composing import compose
from server.simulated.protocols.anthropic import Anthropic
from server.simulated.protocols.google import Google
from server.simulated.protocols.ollama import Ollama
from server.simulated.protocols.openai import OpenAI
from server.simulated.protocols.protocol import Page, Prompt, Protocol
from server.simulated.reaction import Reaction
from tests.fuzz.cases import Case, Part, bytes_of
from tests.fuzz.hostile import as_json, mutated, mutated_bytes

KINDS = ("OPENAI_COMPATIBLE", "ANTHROPIC", "GOOGLE", "OLLAMA")
PROTOCOLS: dict[str, Protocol] = dict(
    zip(KINDS, (OpenAI(), Anthropic(), Google(), Ollama()), strict=True)
)
ASKS = ("chat", "chat", "chat-stream", "chat-stream", "messages", "messages-stream",
"messages-stream",
        "embeddings", "test", "sync", "prompt")  # fmt: skip
HELLO = [{"role": "user", "content": "hello"}]
TOOL: dict[str, Any] = {
    "name": "look_up",
    "parameters": {"type": "object", "properties": {"a": {"type": "string"}}},
}
BODIES: dict[str, dict[str, Any]] = {
    "OPENAI_COMPATIBLE": {"model": "m", "messages": HELLO, "tools": [{"type": "function",
    "function": TOOL}]},
    "ANTHROPIC": {"model": "m", "max_tokens": 90, "messages": HELLO,
                  "tools": [{"name": "look_up", "input_schema": TOOL["parameters"]}]},
    "GOOGLE": {"contents": [{"role": "user", "parts": [{"text": "hello"}]}], "tools": [
        {"functionDeclarations": [TOOL]}]},
    "OLLAMA": {"model": "m", "messages": HELLO, "tools": [{"type": "function", "function": TOOL}]},
}  # fmt: skip
VECTORS: dict[str, Any] = {
    "OPENAI_COMPATIBLE": {"object": "list", "data": [
        {"object": "embedding", "index": 0, "embedding": [0.5, -1]},
        {"object": "embedding", "index": 1, "embedding": [0.25, 2.0]}],
        "usage": {"prompt_tokens": 4, "total_tokens": 4}},
    "ANTHROPIC": {},
    "GOOGLE": {"embeddings": [{"values": [0.5, -1]}, {"values": [0.25, 2.0]}],
               "usageMetadata": {"promptTokenCount": 4}},
    "OLLAMA": {"embeddings": [[0.5, -1], [0.25, 2.0]], "prompt_eval_count": 4},
}  # fmt: skip
STATUSES = (*(["200 OK"] * 12), "400 Bad", "401 No", "403 No", "404 No", "408 T", "413 L",
"429 Slow", "500 E",
            "503 U", "529 O", "204 N", "206 P", "301 M", "302 F", "304 N", "100 Continue",
            "101 Switch",
            "999 X", "000 Z", "20 OK", "2x0 OK", "200")  # fmt: skip
HEADERS = (
    "Content-Encoding: gzip", "Content-Encoding: deflate", "Content-Encoding: br",
    "Content-Encoding: zstd",
    "Content-Encoding: x", "Retry-After: 1", "Retry-After: -1", "Retry-After: 1e400",
    "Retry-After: \xb2",
    "Retry-After: Thu, 99 Xxx 99999 99:99:99 GMT", "Retry-After: " + "9" * 400,
    "retry-after-ms: nan",
    "x-ratelimit-reset-requests: 9y", "Set-Cookie: a=" + "b" * 5_000,
    "Location: http://127.0.0.1:1/",
    "Location: \xff", "x: " + "y" * 9_000, ": x", "x", "\xff: \xff", "Content-Type: \xff", "x: \0",
    "Content-Type: text/event-stream; charset=utf-99",
    "Content-Type: application/json; charset=utf-16",
    "Content-Length: 5", "Content-Length: -1", "Transfer-Encoding: gzip, chunked",
    "Connection: upgrade",
    "Content-Type: text/html", "request-id: \xe9" * 2, "Trailer: x", "Upgrade: h2c",
)  # fmt: skip
EVENT_PIECES = (
    b"\n", b"\r\n", b": comment\n\n", b"data: [DONE]\n\n", b"data: null\n\n", b"data: []\n\n",
    b"data: {}\n\n",
    b"data: 1e400\n\n", b"data: NaN\n\n", b"data: \xff\n\n", b"event: error\ndata: {}\n\n",
    b"data\n\n",
    b'data: {"error": {"message": 5}}\n\n',
    b'event: error\ndata: {"type": "error", "error": []}\n\n',
    b'data: {"choices": null}\n\n', b'data: {"choices": [{"delta": "x", "index": "y"}]}\n\n',
    b'data: {"a": 1, "a": {"a": 2}}\n\n', b"data: " + b"[" * 5_000 + b"\n\n",
    b"id: 1\nretry: x\n\n",
    b'{"error": 5}\n', b'{"message": null, "done": "x"}\n', b"\xef\xbb\xbf", b"\0\0\n\n",
    b"event: \xff\n\n",
    b'data: {"usage": {"prompt_tokens": -5, "completion_tokens": 1e300}}\n\n', b"null\n", b"[]\n",
    b'data: {"choices":[{"index":99999999999,"delta":{"tool_calls":[{"index":-1}]}}]}\n\n',
    b'data: {"choices":[{"delta":{"content":"\\ud800"}}]}\n\n', b"data: \n\n",
    b"data: data: {}\n\n",
)  # fmt: skip


def _whole(kind: str, dice: Random) -> Any:
    return PROTOCOLS[kind].whole(_composed(kind, dice))


def _composed(kind: str, dice: Random) -> Any:
    asked = PROTOCOLS[kind].read(
        Prompt(BODIES[kind], {"anthropic-version": "2023-06-01"}, {}, "/", "m")
    )
    assert isinstance(asked, Asked)
    return compose(asked, Reaction(), seed=dice.randrange(9), lengths=(3, 6))


def _frames(kind: str, dice: Random) -> list[bytes]:
    frames = [frame.data for frame in PROTOCOLS[kind].stream(_composed(kind, dice))]
    for _ in range(dice.choice((0, 1, 1, 2))):
        at = dice.randrange(len(frames))
        match dice.randrange(6):
            case 0:
                del frames[at:]
            case 1:
                frames.insert(at, frames[at])
            case 2:
                frames[at] = mutated_bytes(frames[at], dice)
            case 3:
                frames.insert(at, dice.choice(EVENT_PIECES))
            case 4:
                other = dice.randrange(len(frames))
                frames[at], frames[other] = frames[other], frames[at]
            case _:
                frames[at] = _turned(frames[at], dice)
        if not frames:
            return [b""]
    return frames


def _turned(frame: bytes, dice: Random) -> bytes:
    """The event with its JSON turned."""
    start = frame.find(b"{")
    if start < 0:
        return frame
    try:
        value = orjson.loads(frame[start:])
    except orjson.JSONDecodeError:
        return frame
    return frame[:start] + as_json(mutated(value, dice)) + (b"\n" if frame[:1] == b"{" else b"\n\n")


def _list(kind: str, dice: Random) -> Any:
    names = ["m", "gpt-4o", "é", "a/b"][: dice.randrange(5)]
    return PROTOCOLS[kind].models(Page(names, 100, {}))


def _body(kind: str, ask: str, dice: Random) -> list[bytes]:
    """In pieces."""
    if ask.endswith("-stream") and dice.random() < 0.9:
        return _frames(kind, dice)
    pattern = (
        _list(kind, dice) if ask in {"test", "sync"}
        else VECTORS[kind] if ask == "embeddings" else _whole(kind, dice)
    )  # fmt: skip
    value = pattern if dice.random() < 0.15 else mutated(pattern, dice)
    data = as_json(value)
    return [mutated_bytes(data, dice) if dice.random() < 0.25 else data]


def made_answer(seed: int, kind: str, ask: str, oddness: int) -> Case:
    """A case of this kind of provider and what it is asked; `oddness` is how far its framing goes
    beside what is right: none, one thing here or there, or several.
    """
    dice = Random(seed)
    pieces = _body(kind, ask, dice)
    streams = PROTOCOLS[kind].stream_type if ask.endswith("-stream") else "application/json"
    headers = [f"Content-Type: {streams}"]
    status = dice.choice(STATUSES) if dice.random() * 8 < oddness else "200 OK"
    if dice.random() * 8 < oddness:
        headers.insert(dice.randrange(2), dice.choice(HEADERS))
    parts: list[list[Part]] = [[piece.decode("latin-1")] for piece in pieces]
    end = "keep"
    if dice.random() * 12 < oddness:
        parts, headers, end = _extreme(parts, headers, dice)
    size = sum(len(bytes_of(part)) for part in parts)
    match dice.randrange(4):
        case 0 | 1:
            headers.append("Transfer-Encoding: chunked")
            parts = [
                [f"{len(bytes_of(part)):x}\r\n", *part, "\r\n"] for part in parts if bytes_of(part)
            ]
            parts.append(["0\r\n\r\n"])
        case 2:
            headers.append(f"Content-Length: {size}")
        case _:
            headers.append("Connection: close")
            end = "close" if end == "keep" else end
    head = f"HTTP/1.1 {status}\r\n" + "".join(f"{one}\r\n" for one in headers) + "\r\n"
    parts.insert(0, [head])
    if oddness and dice.random() < 0.15:
        parts, end = _cut(parts, dice)
    delivered = {"assured": True} if ask.endswith("-stream") and dice.random() < 0.2 else {}
    return {"kind": kind, "ask": ask, "pieces": parts, "end": end} | delivered


def _extreme(
    parts: list[list[Part]], headers: list[str], dice: Random
) -> tuple[list[list[Part]], list[str], str]:
    whole = [part for one in parts for part in one]
    match dice.randrange(7):
        case 0:
            return [[{"gzip": whole}]], [*headers, "Content-Encoding: gzip"], "keep"
        case 1:
            bomb: list[Part] = [{"gzip": [*whole[:1], [" ", 30_000_000], *whole[1:]]}]
            return [bomb], [*headers, "Content-Encoding: gzip"], "keep"
        case 2:
            line: list[Part] = [*whole[:1], "data: ", [dice.choice(("x", "[", '{"a":')), 3_000_000]]
            return [line], headers, "close"
        case 3:
            piece = whole[len(whole) // 2]
            return [[[piece if isinstance(piece, str) else "x", 200_000]]], headers, "close"
        case 4:
            return parts, headers, "hold"
        case 5:
            # One byte at a time, so that each lies alone at an end.
            data = bytes_of(whole)[:400]
            return [[chr(byte)] for byte in data], headers, "keep"
    return parts, headers, "reset"


def _cut(parts: list[list[Part]], dice: Random) -> tuple[list[list[Part]], str]:
    data = b"".join(map(bytes_of, parts))
    if len(data) > 100_000:  # kept small in its file
        return parts, "close"
    turned = (
        mutated_bytes(data, dice) if dice.random() < 0.5 else data[: dice.randrange(len(data) + 1)]
    )
    at = dice.randrange(len(turned) + 1)
    return [[turned[:at].decode("latin-1")], [turned[at:].decode("latin-1")]], dice.choice(
        ("close", "reset")
    )
