"""One prompt through a chain, as the "try it" button of a chain editor sends it."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from db.gateway_requests import GatewayAttemptRow
from db.vocabulary import GatewayEndpoint, GatewayOutcome
from trunkline.changes import not_found
from trunkline.failover.outcomes import RunFailed
from trunkline.gateway.answers import ChatAnswer
from trunkline.gateway.budgets import BudgetExhausted, check_request
from trunkline.gateway.conversation import Conversation, Refusal, Role, Text, Turn
from trunkline.gateway.exchange import Caller, Exchange
from trunkline.gateway.opening import admit_agent, note_refusal
from trunkline.gateway.resolving import find_chain
from trunkline.gateway.wires import PromptWire
from trunkline.services import Services

LONGEST_PROMPT = 100_000
"""Characters."""
MOST_OUTPUT_TOKENS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What to send through which chain; None where nothing is said of it."""

    chain_id: int
    text: str
    system: str | None = None
    max_output_tokens: int | None = None
    agent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptRun:
    """What came of it. `text` is None where no step answered, and `message` says why then."""

    request_id: str
    outcome: GatewayOutcome
    text: str | None
    finish_reason: str | None
    model_id: int | None
    milliseconds: int
    message: str | None
    attempts: Sequence[GatewayAttemptRow]


async def run_prompt(services: Services, prompt: Prompt) -> PromptRun:
    """Run a prompt through a chain, also through one that is switched off: it is being tried out.

    It is spent, counted and listed like any other request. Raises `Refused` where there is no such
    chain, or no room for another agent.
    """
    runnable = await find_chain(services, prompt.chain_id)
    if runnable is None:
        raise not_found(("failoverChainId",), "failover chain")
    agent = prompt.agent or ""
    await admit_agent(services, agent)
    await services.gateway.ledger.room()
    began = services.gateway.means.now()
    endpoint = GatewayEndpoint.RUN_FAILOVER_CHAIN
    caller = Caller(request_id=secrets.token_hex(16), agent=agent)
    exchange = Exchange(
        services,
        PromptWire(_conversation(prompt)),
        runnable,
        caller,
        endpoint,
        began=began,
    )
    answer: ChatAnswer | None = None
    message = None
    try:
        check_request(services, runnable, agent)
        answer = await exchange.answer()
    except BudgetExhausted as error:
        note_refusal(services, endpoint, runnable, caller, streamed=False)
        message = str(error)
    except RunFailed as error:
        message = str(error)
    row = exchange.row
    return PromptRun(
        request_id=caller.request_id,
        outcome=GatewayOutcome.REFUSED if row is None else row.outcome,
        text=None if answer is None else _text(answer),
        finish_reason=None if answer is None else answer.finish.value,
        model_id=row.model_id if row is not None and answer is not None else None,
        milliseconds=0 if row is None else row.milliseconds,
        message=message,
        attempts=() if row is None else row.attempts,
    )


def _conversation(prompt: Prompt) -> Conversation:
    return Conversation(
        system=(Text(prompt.system),) if prompt.system else (),
        turns=(Turn(Role.USER, (Text(prompt.text),)),),
        max_output_tokens=prompt.max_output_tokens,
    )


def _text(answer: ChatAnswer) -> str:
    return "".join(part.text for part in answer.parts if isinstance(part, Text | Refusal))
