"""What providers answer: turned, cut, endless and compressed, in all four protocols."""

import time
from typing import Any

import orjson
from hypothesis import strategies as st

from tests.fuzz.cases import Case, Finding, Surface, bytes_of
from tests.fuzz.fuzz_provider import FuzzProvider, Script
from tests.fuzz.graphql_answers import check_body, check_status
from tests.fuzz.provider_bodies import ASKS, HELLO, KINDS, made_answer
from tests.fuzz.subject import HANG_SECONDS, Subject

BASE_PATHS = {"OPENAI_COMPATIBLE": "/v1"}
cases = st.builds(
    made_answer,
    st.integers(0, 2**64),
    st.sampled_from(KINDS),
    st.sampled_from(ASKS),
    st.sampled_from([0, 0, 1, 3]),
)

PROVIDER = """mutation ($slug: String!, $kind: ProviderKind!, $url: String!) {
  createProvider(input: { slug: $slug, name: $slug, kind: $kind, baseUrl: $url,
    apiKey: "fuzz-key" }) { provider { id } userErrors { message } } }"""
MODEL = """mutation ($provider: ID!) { createModel(input: { providerId: $provider, wireName: "m" })
  { model { id } userErrors { message } } }"""
CHAIN = """mutation ($slug: String!, $model: ID!, $delivery: Delivery!) {
  createFailoverChain(input: { name: $slug, slug: $slug, delivery: $delivery, steps: [
      { modelId: $model, maxRetries: 0, timeoutSeconds: 20, firstTokenTimeoutSeconds: 20 }] }) {
    failoverChain { id } userErrors { message } } }"""
BUDGET = 1.0
"""Seconds for a provider that holds."""


def prepare(subject: Subject) -> None:
    """A provider of each kind, with one model and two chains."""
    if "provider" in subject.beside:
        return
    provider = FuzzProvider()
    ids: dict[str, str] = {}
    chains: dict[str, str] = {}
    for kind in KINDS:
        slug = _slug(kind)
        url = provider.url + BASE_PATHS.get(kind, "")
        made = subject.execute(PROVIDER, slug=slug, kind=kind, url=url)["createProvider"]
        ids[kind] = made["provider"]["id"]
        model = subject.execute(MODEL, provider=ids[kind])["createModel"]["model"]["id"]
        for delivery in ("STREAMED", "ASSURED"):
            name = f"{slug}-{delivery.lower()}"
            made = subject.execute(CHAIN, slug=name, model=model, delivery=delivery)
            chains[name] = made["createFailoverChain"]["failoverChain"]["id"]
    subject.beside |= {"provider": provider, "ids": ids, "chains": chains, "asked": {}}


def _slug(kind: str) -> str:
    return f"fuzz-{kind.lower().replace('_', '-')}"


def play(subject: Subject, case: Case) -> None:
    """Ask by way of the gateway or the API, and look at what the caller gets."""
    provider: FuzzProvider = subject.beside["provider"]
    provider.script = Script(tuple(map(bytes_of, case["pieces"])), case["end"])
    provider.seen = 0
    ask = case["ask"]
    if ask in {"test", "sync", "prompt"}:
        _over_graphql(subject, case)
        return
    delivery = "assured" if case.get("assured") else "streamed"
    body: dict[str, Any] = {"model": f"chain/{_slug(case['kind'])}-{delivery}"}
    if ask == "embeddings":
        path = "/v1/embeddings"
        body["input"] = ["a", "b"]
    else:
        path = "/v1/messages" if ask.startswith("messages") else "/v1/chat/completions"
        body |= {"messages": HELLO, "max_tokens": 90, "stream": ask.endswith("-stream")}
    seconds = BUDGET if case["end"] == "hold" else HANG_SECONDS
    status, headers, answer = subject.exchange(
        "POST", path, orjson.dumps(body), {"x-trunkline-timeout": f"{seconds:g}"}
    )
    _check_reply(ask, status, headers, answer)
    if "x-broken" in headers:
        raise Finding(f"the connection broke: {answer[-300:]!r}")
    if provider.seen > 1:
        raise Finding(f"{provider.seen} requests were sent for one")
    request_id = (
        headers.get("x-trunkline-request-id")
        or headers.get("x-request-id")
        or headers["request-id"]
    )
    subject.beside["asked"][request_id] = (case, provider.seen)


def _over_graphql(subject: Subject, case: Case) -> None:
    if case["ask"] == "prompt":
        query = """mutation ($id: ID!) { runFailoverChain(input: {
          failoverChainId: $id, prompt: "hello" }) { __typename userErrors { message } } }"""
        given = subject.beside["chains"][f"{_slug(case['kind'])}-streamed"]
    else:
        name = "testConnection" if case["ask"] == "test" else "syncModels"
        query = f"""mutation ($id: ID!) {{ {name}(input: {{ providerId: $id }}) {{
          connectionTest {{ status message latencyMs httpStatus modelCount }}
          userErrors {{ message }} }} }}"""
        given = subject.beside["ids"][case["kind"]]
    if case["ask"] == "prompt" and case["end"] == "hold":
        return  # It would wait for its step's twenty seconds.
    body = orjson.dumps({"query": query, "variables": {"id": given}})
    answer = subject.exchange("POST", "/graphql", body, {"Content-Type": "application/json"})
    check_status(*answer)
    found = check_body(answer[2])
    if "errors" in found:
        raise Finding(f"errors: {found['errors']}")


_REFUSED = 400
_OF_PROVIDERS = frozenset({502, 503, 504})


def _check_reply(ask: str, status: int, headers: dict[str, str], answer: bytes) -> None:
    if status >= _REFUSED:
        if status >= 500 and status not in _OF_PROVIDERS:
            raise Finding(f"status {status}: {answer[:500]!r}")
        _check_error(ask, _json(answer))
    elif headers["content-type"].startswith("text/event-stream"):
        _check_stream(ask, answer)
    elif ask.endswith("-stream"):
        raise Finding(f"no stream: {answer[:300]!r}")
    else:
        found = _json(answer)
        name = {"chat": "choices", "messages": "content", "embeddings": "data"}[ask]
        if not isinstance(found, dict) or not isinstance(found.get(name), list):
            raise Finding(f"no answer: {answer[:500]!r}")


def _json(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Finding(f"no JSON: {text[:500]!r}") from error


def _check_error(ask: str, found: Any) -> None:
    error = found.get("error") if isinstance(found, dict) else None
    if (
        not isinstance(error, dict)
        or not isinstance(error.get("message"), str)
        or not error["message"]
    ):
        raise Finding(f"no error: {found!r:.500}")
    if ask.startswith("messages") and (found.get("type") != "error" or not error.get("type")):
        raise Finding(f"no error of Anthropic's: {found!r:.500}")


def _check_stream(ask: str, answer: bytes) -> None:
    last: Any = None
    for event in answer.replace(b"\r\n", b"\n").split(b"\n\n"):
        lines = [
            line.partition(b":")[2].removeprefix(b" ")
            for line in event.split(b"\n")
            if line.startswith(b"data")
        ]
        data = b"\n".join(lines)
        if not data:
            continue
        if last == "[DONE]":
            raise Finding(f"more after [DONE]: {data[:300]!r}")
        last = "[DONE]" if data == b"[DONE]" else _json(data)
        if last != "[DONE]" and not isinstance(last, dict):
            raise Finding(f"an event that is no object: {data[:300]!r}")
    if isinstance(last, dict) and "error" in last:
        _check_error(ask, last)
    elif last != "[DONE]" and not (isinstance(last, dict) and last.get("type") == "message_stop"):
        raise Finding(f"the stream has no end: {answer[-300:]!r}")


REQUESTS = """query ($after: String) { gatewayRequests(first: 100, after: $after) {
  nodes { requestId outcome attempts { sent label reason } }
  pageInfo { endCursor hasNextPage } } }"""
_STORED_SECONDS = 30.0


def conclude(subject: Subject) -> None:
    """Each request has one attempt in the ledger where one was sent, or none where none was."""
    asked: dict[str, tuple[Case, int]] = subject.beside.get("asked", {})
    until = time.monotonic() + _STORED_SECONDS
    while missing := asked.keys() - (found := _stored(subject, len(asked))).keys():
        if time.monotonic() > until:
            one = missing.pop()
            raise Finding(
                f"{len(missing) + 1} requests are not stored, such as {one}: {asked[one]}"
            )
        time.sleep(0.2)
    for request_id, (case, seen) in asked.items():
        sent = sum(attempt["sent"] for attempt in found[request_id]["attempts"])
        # A connection that the provider closes may be taken for the next request and break: that
        # one was sent, as far as we can tell, and not seen.
        if not seen <= sent <= 1:
            raise Finding(
                f"{seen} were seen, {sent} are stored: {found[request_id]} of {case!r:.3000}"
            )
    asked.clear()


def _stored(subject: Subject, most: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    after = None
    while len(found) <= most + 100:
        page = subject.execute(REQUESTS, after=after)["gatewayRequests"]
        found |= {node["requestId"]: node for node in page["nodes"]}
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    return found


PROVIDER_ANSWERS = Surface("provider_answers", cases, play, prepare, conclude, examples=100)
