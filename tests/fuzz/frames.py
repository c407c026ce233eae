"""A websocket as no client library would speak: frames, messages and their order."""

import socket
from random import Random
from typing import Any

import orjson
from hypothesis import strategies as st

from tests.fuzz import operations
from tests.fuzz.cases import Case, Finding, Part, Surface, bytes_of
from tests.fuzz.graphql_answers import check_errors, check_response
from tests.fuzz.hostile import NUMBERS, STRINGS, as_json, deep, mutated, mutated_bytes
from tests.fuzz.subject import HANG_SECONDS, TOKEN, Subject

HANDSHAKE = (
    "GET /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: graphql-transport-ws\r\n"
)
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"
OFFERS = ("", DEFLATE, DEFLATE, f"{DEFLATE}; client_max_window_bits=9; server_max_window_bits=9",
          f"{DEFLATE}; x=y", f"{DEFLATE}; server_max_window_bits=99")  # fmt: skip
INIT: dict[str, Any] = {"type": "connection_init", "payload": {"Authorization": f"Bearer {TOKEN}"}}
QUERY = "query Q { serverInfo { version } }"
LIVE = """subscription { usageUpdated(input: {
  dimension: MODEL, window: { period: TODAY }, timezone: "UTC" }) { __typename } }"""
CHANGED = "subscription { budgetAlert { kind } }"
IDS: tuple[Any, ...] = (
    "1",
    "1",
    "1",
    "2",
    "",
    "a" * 256,
    "a" * 257,
    "\ud800",
    "\0",
    "é",
    1,
    None,
    [],
    {},
)
TYPES = {"next", "error", "complete", "connection_ack", "pong", "ping"}
CODES = frozenset({1000, 1002, 1003, 1007, 1009, 1013, 4400, 4401, 4403, 4406, 4408, 4409, 4429})
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def _message(dice: Random) -> Any:
    subscribed = {"query": dice.choice((QUERY, LIVE, LIVE, CHANGED, "{", "", "mutation { x }"))}
    found: Any = dice.choice((
        INIT, INIT, {"type": "connection_init"}, {"type": "connection_init",
        "payload": {"Authorization": 5}},
        {"type": "ping"}, {"type": "ping", "payload": {"a": dice.choice(NUMBERS)}},
        {"type": "pong"}, {"type": "ping", "payload": {"a": deep(dice)}},
        {"id": dice.choice(IDS), "type": "subscribe", "payload": subscribed},
        {"id": "1", "type": "subscribe", "payload": {"query": LIVE, "variables": {"": deep(dice)}}},
        {"id": dice.choice(IDS), "type": "subscribe", "payload": subscribed},
        {"id": dice.choice(IDS), "type": "subscribe", "payload": {"query": LIVE,
        "variables": {"": []}}},
        {"id": dice.choice(IDS), "type": "complete"}, {"id": "1", "type": "complete"},
        {"id": "1", "type": "next", "payload": {}}, {"type": dice.choice(STRINGS)}, {"type": []},
        [], 5, None,
    ))  # fmt: skip
    return mutated(found, dice) if dice.random() < 0.15 else found


def _frame(opcode: int, payload: list[Part], *, first: int = 0x80, mask: str = "\1\2\3\4",
           said: int | None = None) -> dict[str, Any]:  # fmt: skip
    """`first` are FIN and the reserved bits; `said` is a length that isn't the payload's."""
    return {"first": first | opcode, "payload": payload, "mask": mask, "said": said}


def _frames(dice: Random, oddness: int) -> list[dict[str, Any]]:
    message = as_json(_message(dice))
    text: list[Part] = [message.decode("latin-1")]
    if dice.random() * 12 > oddness:
        return [_frame(TEXT, text)]
    match dice.randrange(14):
        case 0:
            at = dice.randrange(len(message))
            pieces = [message[:at].decode("latin-1"), message[at:].decode("latin-1")]
            between = [_frame(PING, ["x"])] if dice.random() < 0.5 else []
            return [_frame(TEXT, [pieces[0]], first=0), *between, _frame(0, [pieces[1]])]
        case 1:
            return [_frame(TEXT, text, mask="")]
        case 2:
            return [_frame(TEXT, text, first=0x80 | dice.choice((0x40, 0x20, 0x10, 0x70)))]
        case 3:
            return [_frame(dice.choice((3, 7, 11, 15)), text)]
        case 4:
            return [
                _frame(dice.choice((PING, PONG, CLOSE)), [["x", dice.choice((0, 1, 125, 126))]])
            ]
        case 5:
            code = dice.choice((1000, 0, 999, 1005, 1006, 4000, 65_535))
            return [_frame(CLOSE, [code.to_bytes(2, "big").decode("latin-1"), "\xff"])]
        case 6:
            return [_frame(TEXT, text, said=dice.choice((2**16, 2**31, 2**63 - 1, 2**64 - 1)))]
        case 7:
            return [_frame(TEXT, [{"deflate": text}], first=0xC0)]
        case 8:
            bomb: list[Part] = [{"deflate": [["[", dice.choice((300_000, 20_000_000))]]}]
            return [_frame(TEXT, bomb, first=0xC0)]
        case 9:
            return [_frame(TEXT, [["x", dice.choice((65_535, 262_144, 262_145))]])]
        case 10:
            return [_frame(0, text), _frame(TEXT, text, first=0), _frame(TEXT, text)]
        case 11:
            return [_frame(BINARY, text)]
        case 12:
            return [_frame(TEXT, [mutated_bytes(message, dice).decode("latin-1")])]
    return [_frame(PING, [str(number)]) for number in range(200)]


def _case(seed: int, oddness: int) -> Case:
    dice = Random(seed)
    frames = [_frame(TEXT, [as_json(INIT).decode()])] if dice.random() < 0.8 else []
    for _ in range(dice.randrange(1, 8)):
        frames += _frames(dice, oddness)
    return {"offer": dice.choice(OFFERS), "frames": frames}


cases = st.builds(_case, st.integers(0, 2**64), st.sampled_from([0, 2, 6, 12]))


def play(subject: Subject, case: Case) -> None:
    """Shake hands, send all at once, then read what is said until the server lets go."""
    offer = f"{case['offer']}\r\n" if case["offer"] else ""
    with socket.create_connection(("127.0.0.1", subject.port), timeout=HANG_SECONDS) as connection:
        try:
            connection.sendall((HANDSHAKE + offer + "\r\n").encode())
            head, heard = _head(connection)
            if b" 101 " not in head.partition(b"\r\n")[0]:
                return
            for frame in case["frames"]:
                connection.sendall(_encoded(frame))
            connection.sendall(_encoded(_frame(CLOSE, ["\x03\xe8"])))
            connection.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError, OSError):
            return  # It was told enough.
        heard += _rest(connection)
    deflates = b"permessage-deflate" in head.lower()
    _check_heard(heard, deflates=deflates)


def _head(connection: socket.socket) -> tuple[bytes, bytes]:
    heard = b""
    while b"\r\n\r\n" not in heard and (piece := connection.recv(65_536)):
        heard += piece
    head, _, rest = heard.partition(b"\r\n\r\n")
    return head, rest


def _rest(connection: socket.socket) -> bytes:
    heard = b""
    try:
        while piece := connection.recv(65_536):
            heard += piece
    except TimeoutError as error:
        raise Finding("hang: the socket stays open") from error
    except OSError:
        return heard
    return heard


def _encoded(frame: dict[str, Any]) -> bytes:
    payload = bytes_of(frame["payload"])
    mask = frame["mask"].encode("latin-1")
    said = len(payload) if frame["said"] is None else frame["said"]
    masked = 0x80 if mask else 0
    head = bytes([frame["first"]])
    if said < 126:
        head += bytes([masked | said])
    elif said < 2**16:
        head += bytes([masked | 126]) + said.to_bytes(2, "big")
    else:
        head += bytes([masked | 127]) + said.to_bytes(8, "big")
    if mask:
        whole = mask * (len(payload) // 4 + 1)
        size = len(payload)
        number = int.from_bytes(payload, "big") ^ int.from_bytes(whole[:size], "big")
        payload = number.to_bytes(size, "big")
    return bytes(head + mask + payload)


def _check_heard(heard: bytes, *, deflates: bool) -> None:
    import zlib

    while len(heard) >= 2:
        first, size = heard[0], heard[1]
        at = 2
        if size >= 126:
            at = 4 if size == 126 else 10
            size = int.from_bytes(heard[2:at], "big")
        payload, heard = heard[at : at + size], heard[at + size :]
        if len(payload) < size:
            return  # It was cut, as we left.
        if first & 0x40:
            if not deflates:
                raise Finding("a compressed message that nobody asked for")
            payload = zlib.decompressobj(wbits=-15).decompress(payload + b"\0\0\xff\xff")
        match first & 0xF:
            case 8:
                code = int.from_bytes(payload[:2], "big") or 1005
                if code not in CODES and payload:
                    raise Finding(f"closed with {code}: {payload[2:]!r}")
            case 1:
                _check_message(payload)


def _check_message(payload: bytes) -> None:
    try:
        message = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise Finding(f"no JSON: {payload[:300]!r}") from error
    if message.get("type") not in TYPES:
        raise Finding(f"an unknown message: {payload[:300]!r}")
    if message["type"] == "next":
        check_response(message["payload"])
    elif message["type"] == "error":
        check_errors(message["payload"])


FRAMES = Surface("frames", cases, play, operations.prepare, examples=100)
