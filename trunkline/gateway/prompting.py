"""One prompt through a chain, as the "try it" button of a chain editor sends it."""

from collections.abc import Sequence
from dataclasses import dataclass

from db.gateway_requests import GatewayAttemptRow
from db.vocabulary import GatewayOutcome
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
    """Run the chain with this prompt. Whatever its models do is an outcome."""
    raise NotImplementedError
