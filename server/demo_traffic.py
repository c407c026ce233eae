"""The demo's live traffic: made-up requests through the gateway, as agents would send them."""

import asyncio
import random
import secrets
from collections.abc import Sequence
from contextlib import aclosing

import structlog

from db.failing import StoreUnavailable
from db.vocabulary import GatewayEndpoint
from trunkline.errors import TrunklineError
from trunkline.gateway.exchange import Caller
from trunkline.gateway.opening import open_chat
from trunkline.gateway.speeches import OPENAI
from trunkline.gateway.streaming import StreamExchange
from trunkline.services import Services

log = structlog.get_logger(__name__)

_PAUSE_SECONDS = 0.6
_AT_ONCE = 4
_LONGEST_PROMPT = 1_300
"""Repetitions of a few words."""


async def send_traffic(services: Services, models: Sequence[str], agents: Sequence[str]) -> None:
    """Requests to these models, for these agents, a few at once, until cancelled."""
    async with asyncio.TaskGroup() as tasks:
        for _ in range(_AT_ONCE):
            tasks.create_task(_send(services, models, agents))


async def _send(services: Services, models: Sequence[str], agents: Sequence[str]) -> None:
    dice = random.Random()  # noqa: S311  # made up
    while True:
        await asyncio.sleep(_AT_ONCE * _PAUSE_SECONDS * dice.uniform(0.5, 1.5))
        model = dice.choice(models)
        try:
            await _one_request(services, model, dice.choice(agents), dice)
        except (TrunklineError, StoreUnavailable) as error:
            # Somebody deleted or changed what this uses, or pulled it down, or the store has a bad
            # moment; the next may find it.
            log.info("a simulated request had no answer", model=model, reason=str(error))


async def _one_request(services: Services, model: str, agent: str, dice: random.Random) -> None:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": _prompt(dice)}],
        "stream": dice.random() < 0.5,
    }
    exchange = await open_chat(
        services,
        OPENAI,
        GatewayEndpoint.CHAT_COMPLETIONS,
        body,
        Caller(request_id=secrets.token_hex(16), agent=agent),
        began=services.gateway.means.now(),
    )
    if isinstance(exchange, StreamExchange):
        async with aclosing(exchange.stream()) as pieces:
            async for _ in pieces:
                pass
    else:
        await exchange.answer()


def _prompt(dice: random.Random) -> str:
    """Never the same, and long enough for the tokens that real agents send."""
    return f"made up {dice.random()}" + " and so on" * dice.randrange(_LONGEST_PROMPT)
