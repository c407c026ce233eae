"""A prompt for `runFailoverChain`, checked before a chain runs with it."""

from dataclasses import replace

from db import chains as store
from trunkline.access.allowed import Access, wrong_agent
from trunkline.changes import LONGEST_NAME, Problems, not_found, unstorable_character
from trunkline.gateway.prompting import LONGEST_PROMPT, MOST_OUTPUT_TOKENS, Prompt
from trunkline.services import Services


async def checked_prompt(services: Services, prompt: Prompt, access: Access) -> Prompt:
    """The prompt, fit to be run by a caller of this access. Raises `Refused` with every problem:
    INVALID, NOT_FOUND, also for a chain that the caller's token isn't for.
    """
    problems = Problems()
    if not prompt.text.strip():
        problems.invalid(("prompt",), "prompt can't be empty: write what the models are to answer")
    _check_text(problems, prompt.text, "prompt")
    _check_text(problems, prompt.system or "", "system")
    most = prompt.max_output_tokens
    if most is not None and not 1 <= most <= MOST_OUTPUT_TOKENS:
        problems.invalid(("maxOutputTokens",), f"maxOutputTokens takes 1 to {MOST_OUTPUT_TOKENS:,}")
    agent = prompt.agent
    if agent is not None:
        agent = problems.text(agent, ("agent",), longest=LONGEST_NAME, required=False) or None
    if agent is not None and any(break_ in agent for break_ in "\r\n\t"):
        problems.invalid(("agent",), "agent holds a line break or a tab: remove it")
    if not access.may_name(agent):
        problems.invalid(("agent",), wrong_agent(access))
    problems.refuse_if_any()
    if not access.may_ask(prompt.chain_id):
        raise not_found(("failoverChainId",), "failover chain")
    async with services.database.read() as connection:
        if prompt.chain_id not in await store.load_chains(connection, [prompt.chain_id]):
            raise not_found(("failoverChainId",), "failover chain")
    return replace(prompt, agent=agent)


def _check_text(problems: Problems, text: str, field: str) -> None:
    if len(text) > LONGEST_PROMPT:
        problems.invalid((field,), f"{field} may have at most {LONGEST_PROMPT:,} characters")
    elif unstorable := unstorable_character(text):
        problems.invalid((field,), f"{field} holds {unstorable}: remove it")
