"""Opens an exchange for what a caller sent: everything that is checked before anything is spent."""

import math
from collections.abc import Mapping

import orjson

from db.engine import Connection
from db.gateway_requests import NewGatewayRequest
from db.vocabulary import GatewayEndpoint, GatewayOutcome
from trunkline.changes import LONGEST_NAME, Problems, unstorable_character
from trunkline.errors import TrunklineError
from trunkline.failover.running import REQUEST_SECONDS
from trunkline.gateway import embeddings
from trunkline.gateway.budgets import BudgetExhausted, check_request
from trunkline.gateway.configuration import Runnable
from trunkline.gateway.conversation import JsonObject
from trunkline.gateway.exchange import Caller, Exchange
from trunkline.gateway.ledger import EndedRequest
from trunkline.gateway.protocols import BadRequestBody, Headers
from trunkline.gateway.resolving import find_runnable
from trunkline.gateway.streaming import StreamExchange
from trunkline.gateway.wires import ChatWire, EmbeddingsWire, Speech
from trunkline.services import Services
from trunkline.usage.intake import NewUsageEvent

_LONGEST_SHOWN = 100
_LONGEST_HEADER = 1_000
_BUDGET_STATUS = 429


class UnknownModel(TrunklineError):
    """Nothing that may be used has this name."""

    def __init__(self, name: str) -> None:
        shown = name[:_LONGEST_SHOWN].encode(errors="replace").decode()
        super().__init__(
            f"there is no model {shown!r}: ask for `chain/<slug>` or `<provider slug>/<model>`, as "
            "GET /v1/models lists them, and see that they are enabled"
        )


def read_body(raw: bytes) -> JsonObject:
    """The request's JSON object. Raises `BadRequestBody`."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequestBody(f"the body is no JSON: {error}") from None
    if not isinstance(body, dict):
        raise BadRequestBody("the body must be a JSON object")
    return body


def seconds_of(header: str | None) -> float:
    """What `x-trunkline-timeout` says: seconds, above 0; more than 600 is taken as 600. Raises
    `BadRequestBody`.
    """
    if header is None:
        return REQUEST_SECONDS
    try:
        seconds = float(header) if header.isascii() and len(header) <= 20 else math.nan
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise BadRequestBody("x-trunkline-timeout takes seconds, such as 30 or 2.5")
    return min(seconds, REQUEST_SECONDS)


def passing_headers(speech: Speech, sent: Mapping[str, str]) -> Headers:
    """Those of a caller's headers that pass with the body. Raises `BadRequestBody`."""
    found = {name: sent[name] for name in speech.headers if name in sent}
    for name, value in found.items():
        if len(value) > _LONGEST_HEADER or not (value.isascii() and value.isprintable()):
            raise BadRequestBody(f"{name} takes at most {_LONGEST_HEADER} printable characters")
    return found


def agent_of(header: str | None, body: JsonObject, otherwise: str) -> str:
    """Whose request it is: the header `x-trunkline-agent`, else `metadata.agent` of the body, else
    the name of the access token. Raises `BadRequestBody`.
    """
    metadata = body.get("metadata")
    named = metadata.get("agent") if isinstance(metadata, Mapping) else None
    agent = header if header is not None else named if isinstance(named, str) else otherwise
    agent = agent.strip()
    breaks = any(break_ in agent for break_ in "\r\n\t")
    if len(agent) > LONGEST_NAME or breaks or unstorable_character(agent):
        raise BadRequestBody(
            f"an agent's name has at most {LONGEST_NAME} printable characters",
            "metadata.agent" if header is None else "x-trunkline-agent",
        )
    return agent


async def open_chat(
    services: Services,
    speech: Speech,
    endpoint: GatewayEndpoint,
    body: JsonObject,
    caller: Caller,
    *,
    began: float,
) -> Exchange[bytes] | StreamExchange:
    """The exchange for a chat. Raises `BadRequestBody`, `UnknownModel`, `BudgetExhausted`, and
    `Refused` where there is no room for another agent.
    """
    streamed = body.get("stream")
    if streamed is not None and not isinstance(streamed, bool):
        raise BadRequestBody("stream is true or false", "stream")
    runnable = await admit(services, endpoint, body, caller, streamed=bool(streamed))
    created = int(services.clock().timestamp())
    answer_id = speech.face.answer_id(caller.request_id)
    wire = ChatWire(speech, body, answer_id, created, caller.headers)
    if streamed:
        return StreamExchange(services, wire, runnable, caller, endpoint, began=began)
    return Exchange(services, wire, runnable, caller, endpoint, began=began)


async def open_embeddings(
    services: Services, body: JsonObject, caller: Caller, *, began: float
) -> Exchange[bytes]:
    """The exchange for embeddings; raises as `open_chat` does."""
    endpoint = GatewayEndpoint.EMBEDDINGS
    asked = embeddings.read_request(body)
    runnable = await admit(services, endpoint, body, caller, streamed=False)
    wire = EmbeddingsWire(asked)
    return Exchange(services, wire, runnable, caller, endpoint, began=began)


async def admit(
    services: Services,
    endpoint: GatewayEndpoint,
    body: JsonObject,
    caller: Caller,
    *,
    streamed: bool,
) -> Runnable:
    """What the body's `model` stands for, once it is found that it may be run now."""
    name = body.get("model")
    if not isinstance(name, str) or not name:
        raise BadRequestBody("model is missing: GET /v1/models lists what there is", "model")
    await services.gateway.ledger.room()
    runnable = await find_runnable(services, name)
    if runnable is None or not caller.access.may_ask(runnable.chain_id):
        # What a token isn't for is unknown to it.
        raise UnknownModel(name)
    await admit_agent(services, caller.agent)
    try:
        check_request(services, runnable, caller.agent)
    except BudgetExhausted:
        note_refusal(services, endpoint, runnable, caller, streamed=streamed)
        raise
    return runnable


async def admit_agent(services: Services, agent: str) -> None:
    """See that usage may be recorded for this agent. Raises `Refused`."""
    if not agent or services.agents.knows(agent):
        return
    event = NewUsageEvent(idempotency_key="", provider_slug="", model_name="", agent=agent)

    async def add(connection: Connection) -> list[str]:
        problems = Problems()
        names = await services.agents.admit(connection, [event], problems)
        problems.refuse_if_any()
        return list(names)

    services.agents.remember(await services.database.transact(add))


def note_refusal(
    services: Services,
    endpoint: GatewayEndpoint,
    runnable: Runnable,
    caller: Caller,
    *,
    streamed: bool,
) -> None:
    """A request that a budget refuses is shown like any other."""
    row = NewGatewayRequest(
        request_id=caller.request_id,
        endpoint=endpoint,
        asked_for=runnable.name,
        chain_id=runnable.chain_id,
        model_id=0,
        agent=caller.agent,
        streamed=streamed,
        outcome=GatewayOutcome.REFUSED,
        status=_BUDGET_STATUS,
        started_at=services.clock(),
        milliseconds=0,
        first_token_ms=None,
        overhead_ms=0.0,
        attempts=(),
    )
    services.gateway.ledger.add(EndedRequest(row, {}))
