"""HTTP as no client library would send it: any bytes for methods, paths, headers and bodies."""

import re
import socket
import time
from dataclasses import dataclass
from random import Random

import orjson
from hypothesis import strategies as st

from tests.fuzz import operations
from tests.fuzz.cases import Case, Finding, Part, Surface, bytes_of
from tests.fuzz.graphql_answers import check_errors, check_status
from tests.fuzz.hostile import as_json, mutated, mutated_bytes
from tests.fuzz.subject import HANG_SECONDS, TOKEN, Subject

CHAT = {"model": "chain/main", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 5}
MESSAGES = {"model": "local/x", "max_tokens": 5, "messages": [{"role": "user", "content": [
    {"type": "text", "text": "hello"}]}]}  # fmt: skip
EMBEDDINGS = {"model": "local/x", "input": ["a", "b"], "encoding_format": "float"}
GRAPHQL = {"query": "query Q($a: Int) { models(first: $a) { nodes { id } } }",
"variables": {"a": 2},
           "operationName": "Q", "extensions": {}}  # fmt: skip
EVENT = {"idempotencyKey": "k", "providerSlug": "openai", "modelName": "gpt-4o", "agent": "a",
         "occurredAt": "2026-11-01T00:00:00Z", "inputTokens": 5, "outputTokens": 7}  # fmt: skip
BODIES = {
    "/graphql": GRAPHQL, "/v1/chat/completions": CHAT, "/v1/messages": MESSAGES,
    "/v1/embeddings": EMBEDDINGS, "/import/usage": EVENT, "/session": {"code": "x"},
}  # fmt: skip
TYPES = {"/import/usage": "application/x-ndjson"}
PATHS = (
    *BODIES, *BODIES, "/graphql?query={serverInfo{version}}", "/graphql?query=%00&variables=%7B%7D",
    "/graphql?query=a&query=b", "/export/usage", "/export/usage?from=x&to=%00&format=csv",
    "/export/usage?what=series&dimension=MODEL&period=TODAY&timezone=UTC", "/v1/models",
    "/v1/models?limit=-1&after_id=%ff", "/v1/models/local%2Fx", "/v1/",
    "/graphiql/..%2f..%2fapp.py",
    "/graphiql/%00", "/graphiql/assets/x",
    "/graphiql/" + "a" * 300, "/schema.graphql", "/operations.json", "/healthz",
    "/readyz",
    "/", "/metrics", "//", "/%", "/%ff%fe", "*", "http://127.0.0.1/graphql", "http://[::1/", "?",
    "/" + "a" * 9_000, "/graphql?" + "a=b&" * 3_000,
    "/export/usage?from=2026-01-01T00:00:00Z&to=9999-12-31",
    "/session?x", "/#a", "/graphql#", "graphql", "", "/\u00e9", "/a b",
)  # fmt: skip
METHODS = (
    "POST", "POST", "POST", "POST", "GET", "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH",
    "TRACE",
    "CONNECT", "get", "", "P\0ST", "QUERY", "A" * 5_000, "POST POST", "PRI",
)  # fmt: skip
HEADERS = {
    "Authorization": (f"Bearer {TOKEN}", f"bearer  {TOKEN} ", "Bearer", "Bearer \xff\xfe",
    "Basic Og==",
                      "Bearer tl_" + "a" * 43, "Bearer tl_\0", "Bearer " + "x" * 5_000, ""),
    "x-api-key": (TOKEN, "", "\xe9", "tl_" + "a" * 43),
    "Cookie": ("trunkline_session=x", "trunkline_session=", "trunkline_session=\xff", "=;=;;", "a",
               "trunkline_session=a; trunkline_session=b", "x=" * 2_000, 'trunkline_session="\\""'),
    "Host": ("127.0.0.1", "localhost:8787", "evil.example", "", "[::1", "127.0.0.1:x",
    "127.0.0.1:99999999",
             "\xff", "127.0.0.1, localhost", "localhost\t", "127.0.0.1:" + "9" * 5_000),
    "Origin": ("http://127.0.0.1", "null", "", "http://evil.example", "\xff", "http://[",
    "http://127.0.0.1:"),
    "Accept": ("*/*", "text/event-stream", "application/graphql-response+json", "", "a/b;q=2",
    ";;;", "\xff",
               "application/json;q=0", "*/*;q=nan", "text/event-stream;q=1e400", "," * 3_000,
               "a" * 9_000,
               "application/json;q=" + "9" * 400),
    "Accept-Encoding": ("gzip", "gzip;q=0, *", "br, deflate", "gzip;q=x", ";",
    "gzip;q=" + "1" * 400),
    "Content-Type": ("application/json", "application/json; charset=utf-16",
    "application/json;charset=\xff",
                     "text/plain", "", "multipart/form-data; boundary=", "application/json;;;=",
                     "application/x-www-form-urlencoded",
                     "application/json; charset=" + "u" * 3_000),
    "Content-Encoding": ("identity", "gzip", "deflate", "br", "gzip, gzip", "\xff"),
    "traceparent": ("00-" + "a" * 32 + "-" + "b" * 16 + "-01", "00-0-0-0", "\xff", "",
    "ff-" + "-" * 900),
    "tracestate": ("a=b", "=" * 900, "\xff"),
    "baggage": ("a=b", "\xff", "a=%ff"),
    "x-trunkline-agent": ("a", "", "\xff", "a" * 900, "a\tb", "%00"),
    "x-trunkline-timeout": ("1", "0", "-1", "nan", "inf", "1e400", "1e-400", "\xb2", "1_0", "",
    "x" * 900),
    "anthropic-version": ("2023-06-01", "", "\xff"),
    "anthropic-beta": ("a,b", "\xff", "x" * 9_000),
    "Expect": ("100-continue", "x"),
    "Upgrade": ("websocket", "h2c", "\xff"),
    "Connection": ("Upgrade", "keep-alive", "close, Upgrade", ""),
    "Sec-WebSocket-Key": ("x", "dGhlIHNhbXBsZSBub25jZQ==", ""),
    "Sec-WebSocket-Version": ("13", "0", "x"),
    "Sec-WebSocket-Protocol": ("graphql-transport-ws", "", ",,,", "\xff", "graphql-ws"),
    "Sec-Fetch-Site": ("same-origin", "cross-site"),
    "X-Forwarded-For": ("1.2.3.4", "x", ""),
    "X-Forwarded-Proto": ("https", "x"),
    "Forwarded": ("for=x", ""),
    "Range": ("bytes=0-", "bytes=9-1", "bytes=-99999999999999999999", "x"),
    "If-None-Match": ("*", '"', "x"),
    "If-Modified-Since": ("x", "Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 99 Xxx 99999 99:99:99 GMT"),
    "X-HTTP-Method-Override": ("DELETE",),
    "Access-Control-Request-Method": ("POST", "", "\xff"),
    "Access-Control-Request-Headers": ("x" * 900, "\xff"),
    "last-event-id": ("1", "\xff"),
    "\xff": ("x",), "": ("x",), "a b": ("x",), "x" * 3_000: ("y",),
    "Transfer-Encoding ": ("chunked",),
}  # fmt: skip
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_OF_PROVIDERS = frozenset({502, 503, 504})
"""What the gateway answers, in its callers' protocols, where no provider did well."""
_QUIET_SECONDS = 0.05


def _case(seed: int, oddness: int) -> Case:
    """`oddness` of 0 is a request as it should be but for its body."""
    dice = Random(seed)
    path = dice.choice(list(BODIES)) if dice.random() < 0.6 else dice.choice(PATHS)
    method = "POST" if path in BODIES and dice.random() < 0.9 else "GET"
    if dice.random() < oddness / 10:
        method = dice.choice(METHODS)
    route = path.partition("?")[0]
    headers = [
        ("Host", "127.0.0.1"),
        ("Authorization", f"Bearer {TOKEN}"),
        ("Content-Type", TYPES.get(route, "application/json")),
        ("Connection", "close"),
    ]
    for _ in range(dice.choice((0, 0, 1, 2, 4)) if oddness else dice.choice((0, 1))):
        name = dice.choice(list(HEADERS))
        if name in {"Host", "Authorization", "Content-Type"} and dice.random() < 0.8:
            headers = [one for one in headers if one[0] != name]
        headers.insert(dice.randrange(len(headers) + 1), (name, dice.choice(HEADERS[name])))
    body = _body(dice, BODIES.get(route, GRAPHQL))
    lines, framed, is_whole = _framed(dice, body, method, odd=dice.random() < oddness / 8)
    head = f"{method} {path} HTTP/1.1\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers)
    return {"request": [head + lines + "\r\n", *framed], "whole": is_whole and oddness == 0}


def _body(dice: Random, pattern: object) -> list[Part]:
    data = as_json(mutated(pattern, dice))
    match dice.randrange(8):
        case 0:
            return [mutated_bytes(data, dice).decode("latin-1")]
        case 1:
            return [
                data.decode("latin-1"),
                "\n",
                mutated_bytes(data, dice).decode("latin-1"),
                "\r\n",
            ]
        case 2:
            encoding = dice.choice(("utf-16", "utf-32", "utf-8-sig", "utf-7"))
            return [data.decode().encode(encoding).decode("latin-1")]
        case 3 if dice.random() < 0.3:
            return [{"gzip": [[" ", 2_000_000], data.decode("latin-1")]}]
        case 4:
            depth = dice.choice((100, 900, 1_100, 20_000))
            piece = dice.choice(("[", '{"a":', '[{"":'))
            return [data[:-1].decode("latin-1"), ',"x":', [piece, depth]]
        case 5 if dice.random() < 0.2:
            return ['{"query":"', [dice.choice(("a ", "{a", "\\u0000", "\xc3\xa9")), 400_000], '"}']
    return [data.decode("latin-1")]


def _framed(
    dice: Random, body: list[Part], method: str, *, odd: bool
) -> tuple[str, list[Part], bool]:
    """Its headers, its bytes, and whether it is a message with an end."""
    size = len(bytes_of(body))
    if not odd:
        if dice.random() < 0.2:
            return "Transfer-Encoding: chunked\r\n", [f"{size:x}\r\n", *body, "\r\n0\r\n\r\n"], True
        return f"Content-Length: {size}\r\n", body, True
    length = dice.choice((
        size - 1, size + 5, 0, -1, 2**31, 2**63, 10**30, f"+{size}", f" {size}", f"{size}, {size}",
        "",
        "x", f"{size}\r\nContent-Length: {size + 1}", f"{size}\r\nTransfer-Encoding: chunked",
    ))  # fmt: skip
    if dice.random() < 0.5:
        return f"Content-Length: {length}\r\n", body, False
    chunk = dice.choice((
        f"{size:x};a=b\r\n", f"{size + 9:x}\r\n", "-1\r\n", "ffffffffffffffffff\r\n", "x\r\n",
        "\r\n",
        f"0{size:x}\r\n", "0\r\nTrailer: x\r\n\r\n", f"{size:x}\n",
        f"{size:x};" + "a" * 5_000 + "\r\n",
    ))  # fmt: skip
    return (
        "Transfer-Encoding: chunked\r\n",
        [chunk, *body, dice.choice(("\r\n0\r\n\r\n", "", "\r\n"))],
        False,
    )


cases = st.one_of(
    st.builds(_case, st.integers(0, 2**64), st.sampled_from([0, 0, 1, 4])),
    st.builds(
        lambda data: {"request": [data.decode("latin-1")], "whole": False}, st.binary(max_size=100)
    ),
)


def play(subject: Subject, case: Case) -> None:
    """Send it, and look at what comes back."""
    request = bytes_of(case["request"])
    with socket.create_connection(("127.0.0.1", subject.port), timeout=HANG_SECONDS) as connection:
        heard = _exchanged(connection, request, is_whole=case["whole"])
    if not heard:
        if case["whole"]:
            raise Finding("the connection was closed without an answer")
        return
    _check_answer(heard)


def _exchanged(connection: socket.socket, request: bytes, *, is_whole: bool) -> bytes:
    heard = bytearray()
    until = time.monotonic() + HANG_SECONDS
    try:
        connection.sendall(request)
        if not is_whole:
            connection.settimeout(_QUIET_SECONDS)
        while piece := connection.recv(65_536):
            heard += piece
            if b"text/event-stream" in heard[:2_000]:
                # It may go on for ever; what has come is enough.
                connection.settimeout(_QUIET_SECONDS)
                is_whole = False
    except TimeoutError as error:
        if is_whole or time.monotonic() > until:
            raise Finding("hang: no answer comes to its end") from error
        _ended(connection, heard)
    except (BrokenPipeError, ConnectionResetError):
        # It was told enough before it had read all: what it answered may be lost with it.
        return bytes(heard)
    return bytes(heard)


def _ended(connection: socket.socket, heard: bytearray) -> None:
    """Nothing more is sent: the server must let go."""
    connection.settimeout(HANG_SECONDS)
    try:
        connection.shutdown(socket.SHUT_WR)
        while piece := connection.recv(65_536):
            heard += piece
    except TimeoutError as error:
        raise Finding("hang: the connection stays open after its client's end") from error
    except OSError:
        return


@dataclass
class _Head:
    status: int
    headers: dict[str, str]
    rest: bytes


def _check_answer(heard: bytes) -> None:
    head = _head(heard)
    while 100 <= head.status < 200:  # informational
        if head.status == 101 or not head.rest:  # it is a websocket from here on
            return
        head = _head(head.rest)
    if head.status not in _OF_PROVIDERS or b'"error":{"' not in head.rest.replace(
        b'"type":"error",', b""
    ):
        check_status(head.status, head.headers, head.rest)
    kind = head.headers.get("content-type", "")
    if "json" not in kind or "ndjson" in kind or "content-length" not in head.headers:
        return
    length = int(head.headers["content-length"])
    body = head.rest[:length]
    if len(body) < length or "content-encoding" in head.headers:
        return  # It was cut, as the request was; or the answer to a HEAD.
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Finding(f"no JSON: {body[:300]!r}") from error
    if isinstance(answer, dict) and "errors" in answer:
        check_errors(answer["errors"])
    if head.status >= 400 and not ("errors" in answer or answer["error"]["message"]):
        raise Finding(f"an error that says nothing: {body[:300]!r}")


def _head(heard: bytes) -> _Head:
    text, end, rest = heard.partition(b"\r\n\r\n")
    status = STATUS.match(text)
    if status is None or not end:
        raise Finding(f"no HTTP: {heard[:300]!r}")
    lines = [line.partition(b":") for line in text.split(b"\r\n")[1:]]
    headers = {
        name.lower().decode("latin-1"): value.strip().decode("latin-1") for name, _, value in lines
    }
    return _Head(int(status[1]), headers, rest)


RAW_HTTP = Surface("raw_http", cases, play, operations.prepare, examples=150)
