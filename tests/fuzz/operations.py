"""Operations over the schema that is served, valid and broken, by each of its transports."""

import re
from random import Random
from typing import Any
from urllib.parse import quote

import orjson
from graphql import parse, validate
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from schema.root import schema
from tests.fuzz.cases import Case, Finding, Surface
from tests.fuzz.graphql_answers import check_body, check_errors, check_response, check_status
from tests.fuzz.hostile import DATES, DECIMALS, NUMBERS, RAW, STRINGS, as_json, deep
from tests.fuzz.subject import HANG_SECONDS, Subject
from tests.schema.compiled.operations import Generator, Operation, Scalars
from trunkline.global_ids import global_id

SCHEMA = schema._schema
TYPES = sorted(
    name for name, one in SCHEMA.type_map.items()
    if "Node" in {face.name for face in getattr(one, "interfaces", ())}
)  # fmt: skip
IDS = [
    *(global_id(name, number) for name in TYPES for number in (1, 1, 2, 3, 0, -1, 2**31, 2**63)),
    *(global_id(name, 2**63 - 1) for name in TYPES),
    *STRINGS[:12], "1", "Tm9kZTox", "UHJvdmlkZXI6", "UHJvdmlkZXI6MQ==", "UHJvdmlkZXI6 MQ", 7,
]  # fmt: skip
SCALARS: Scalars = {
    "String": lambda dice: dice.choice(STRINGS),
    "ID": lambda dice: dice.choice(IDS),
    "Int": lambda dice: dice.choice(NUMBERS) if dice.random() < 0.5 else dice.randrange(-2, 100),
    "Float": lambda dice: dice.choice(NUMBERS),
    "Boolean": lambda dice: dice.random() < 0.5,
    "DateTime": lambda dice: dice.choice(DATES),
    "Decimal": lambda dice: dice.choice(DECIMALS),
    "SafeInt": lambda dice: dice.choice(NUMBERS),
}
TOKENS = re.compile(r'"(?:\\.|[^"\\])*"|\.\.\.|\w+|\s+|.', re.DOTALL)
TRANSPORTS = ("post", "post", "get", "socket", "sse", "left")
"""Of these "left" is a socket whose client ends the operation as soon as it is asked for."""
_STREAMED = 3
"""Results that are waited for at most."""


def _case(seed: int, kind: str, transport: str, breaks: int) -> Case:
    dice = Random(seed)
    generator = Generator(SCHEMA, dice, SCALARS, most_fields=12)
    operation = generator.operation(kind)
    for _ in range(20):
        if kind != "subscription" or _is_valid(operation):
            break
        operation = generator.operation(kind)
    variables: Any = generator.values(operation, wrong=dice.choice((0.0, 0.0, 0.2, 0.5)))
    query = RAW.sub(r"\1", operation.text)
    for _ in range(breaks):
        query = _broken(query, dice)
    if dice.random() < 0.03:
        variables = dice.choice([[], "x", {"": {}}, [variables], {"v0": deep(dice)}])
    return {
        "query": query,
        # As text: JSON is not always what Python makes of it.
        "variables": as_json(variables).decode(),
        "transport": "socket" if kind == "subscription" and transport == "get" else transport,
    }


def _is_valid(operation: Operation) -> bool:
    try:
        return not validate(SCHEMA, parse(RAW.sub(r"\1", operation.text)))
    except Exception:  # noqa: BLE001  # a literal that is no GraphQL
        return False


def _broken(query: str, dice: Random) -> str:
    tokens = TOKENS.findall(query) or [""]
    at = dice.randrange(len(tokens))
    match dice.randrange(7):
        case 0:
            del tokens[at]
        case 1:
            tokens.insert(at, tokens[at])
        case 2:
            other = dice.randrange(len(tokens))
            tokens[at], tokens[other] = tokens[other], tokens[at]
        case 3:
            del tokens[at:]
        case 4:
            tokens[at] = dice.choice(tokens)
        case 5:
            tokens.insert(at, dice.choice(_ODD_TOKENS))
        case _:
            text = dice.choice(STRINGS)
            tokens[at] = (
                text
                if dice.random() < 0.5
                else orjson.dumps(text, default=str).decode()
                if text.isprintable()
                else '"\\u0000"'
            )
    return "".join(tokens)


_ODD_TOKENS = (
    "\0", "\ufeff", "{", "}", "(", ")", "[", "]", "!", "$", "@", "@skip(if: 1)", "@deprecated",
    "...",
    "... on Nothing { x }", "fragment on", "1e999999", '"""', '"\\ud800"', '"\\u{110000}"', "#",
    "&",
    "__typename", "__schema { types { name } }", "@include(if: $missing)", "query", "mutation", "|",
    "{" * 300, "[" * 300, '"\\uD83D"', "999999999999999999999999",
)  # fmt: skip

cases = st.builds(
    _case,
    st.integers(0, 2**64),
    st.sampled_from(["query"] * 5 + ["mutation"] * 3 + ["subscription"]),
    st.sampled_from(TRANSPORTS),
    st.sampled_from([0, 0, 0, 1, 1, 3]),
)


def play(subject: Subject, case: Case) -> None:
    """Ask, and look at the answer."""
    head = b'{"query":%b,"variables":%b' % (as_json(case["query"]), case["variables"].encode())
    body = head + b',"operationName":%b}' % as_json(case.get("operationName"))
    match case["transport"]:
        case "socket" | "left":
            _over_socket(subject, body, leaves=case["transport"] == "left")
            return
        case "get":
            query = quote(case["query"].encode(errors="replace"))
            path = f"/graphql?query={query}&variables={quote(case['variables'])}"
            if len(path) > 60_000:  # longer lines are refused before GraphQL
                return
            answer = subject.exchange("GET", path)
        case "sse":
            _over_events(subject, body)
            return
        case _:
            answer = subject.exchange(
                "POST", "/graphql", body, {"Content-Type": "application/json"}
            )
    check_status(*answer)
    check_body(answer[2])


def _over_events(subject: Subject, body: bytes) -> None:
    # A subscription would stream on: it goes by a socket, which can be told to end it.
    if b"subscription" in body:
        _over_socket(subject, body)
        return
    accept = {"Content-Type": "application/json", "Accept": "text/event-stream"}
    status, headers, answer = subject.exchange("POST", "/graphql", body, accept)
    check_status(status, headers, answer)
    if not headers.get("content-type", "").startswith("text/event-stream"):
        check_body(answer)
        return
    for line in answer.splitlines():
        if line.startswith(b"data: ") and line != b"data: ":
            check_body(line[6:])


def _over_socket(subject: Subject, body: bytes, *, leaves: bool = False) -> None:
    try:
        with connect(
            f"ws://127.0.0.1:{subject.port}/graphql",
            subprotocols=[Subprotocol("graphql-transport-ws")],
            additional_headers=subject.bearer,
            open_timeout=HANG_SECONDS,
            close_timeout=HANG_SECONDS,
            compression=None,
        ) as socket:
            socket.send('{"type":"connection_init"}')
            socket.recv(HANG_SECONDS)
            socket.send(b'{"id":"1","type":"subscribe","payload":%b}' % body, text=True)
            left = 0 if leaves else _STREAMED
            patience = 0.1 if b"subscription" in body else HANG_SECONDS
            try:
                while left and _goes_on(orjson.loads(socket.recv(patience))):
                    left -= 1
            except TimeoutError:
                if patience == HANG_SECONDS:
                    raise
            socket.send('{"id":"1","type":"complete"}')
            socket.send('{"type":"ping"}')
            while (message := orjson.loads(socket.recv(HANG_SECONDS)))["type"] != "pong":
                _goes_on(message)
    except TimeoutError as error:
        raise Finding("hang: nothing comes over the socket") from error
    except ConnectionClosed as closed:
        code = closed.rcvd.code if closed.rcvd else 1006
        if code not in {4400, 1009, 1013}:
            raise Finding(f"the socket was closed with {code}") from closed


def _goes_on(message: dict[str, Any]) -> bool:
    if message["type"] == "next":
        check_response(message["payload"])
        return True
    if message["type"] == "error":
        check_errors(message["payload"])
    return False


CHAIN = """mutation ($steps: [FailoverStepInput!]!) { createFailoverChain(input: {
  name: "Main", slug: "main", steps: $steps }) { userErrors { message } } }"""
FILL = """mutation {
  createBudget(input: { name: "All", amountUsd: "0.01", period: DAY, timezone: "UTC",
    scope: { agent: "one" } }) { userErrors { message } }
  createProvider(input: { slug: "local", name: "Local", kind: OLLAMA,
    baseUrl: "http://127.0.0.1:1" }) { userErrors { message } }
  recordUsage(input: { events: [
    { idempotencyKey: "a", providerSlug: "anthropic", modelName: "claude-sonnet-4-5", agent: "one",
      inputTokens: 1200, cacheReadTokens: 1000, outputTokens: 300 },
    { idempotencyKey: "b", providerSlug: "openai", modelName: "gpt-4o", inputTokens: 5,
      outputTokens: 3 },
    { idempotencyKey: "c", providerSlug: "local", modelName: "unheard-of", inputTokens: 9,
      outputTokens: 3, occurredAt: "2026-01-01T00:00:00Z" } ] }) { userErrors { message } } }"""


def prepare(subject: Subject) -> None:
    """Rows of each kind, for operations to find and to change."""
    subject.execute(FILL)
    found = subject.execute("{ models(first: 3) { nodes { id } } }")
    subject.execute(CHAIN, steps=[{"modelId": node["id"]} for node in found["models"]["nodes"]])


OPERATIONS = Surface("operations", cases, play, prepare, examples=120)
