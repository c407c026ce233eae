"""The official `openai` for JavaScript against a gateway that is served over real HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from db.engine import Database
from db.vocabulary import Delivery, ProviderKind
from tests.conftest import SECRET_KEY
from tests.server.gateway.world import TOKEN, World, open_world
from trunkline.failover.steps import StepInput
from trunkline.secrets import Secrets

pytestmark = pytest.mark.node

Check = Callable[..., "asyncio.Future[str]"]
RunNode = Callable[..., str]

FAILURES = (
    "sim-rate-limited", "sim-rate-limited-retry-after-60s", "sim-fail-500", "sim-fail-503",
    "sim-reset", "sim-model-not-found", "sim-bad-key", "sim-too-long",
)  # fmt: skip
# After more than a read from a socket can hold: otherwise nothing has been passed on.
BROKEN_STREAMS = (
    "sim-cut-after-2500", "sim-error-after-2500", "sim-end-after-2500", "sim-reset-after-2500",
)  # fmt: skip


@pytest.fixture
async def world(sqlite_database: Database) -> AsyncIterator[World]:
    """One test's own."""
    async with open_world(sqlite_database, Secrets([SECRET_KEY])) as opened:
        yield opened


@pytest.fixture
def check(world: World, run_node: RunNode) -> Check:
    """Run one check of `console/checks/gateway.mjs`, which says what it asserts."""

    def start(name: str, *cases: str) -> "asyncio.Future[str]":
        running = asyncio.to_thread(
            run_node,
            "checks/gateway.mjs",
            name,
            *cases,
            TRUNKLINE_URL=world.url,
            TRUNKLINE_ADMIN_TOKEN=TOKEN,
            SIMULATOR_URL=world.simulator,
        )
        return asyncio.ensure_future(running)

    return start


@pytest.mark.parametrize(
    ("name", "wire_name"),
    [
        ("answers", "sim-ok"),
        ("answers", "sim-thinking-9"),
        ("tools", "sim-tools-2"),
        ("output", "sim-ok"),
        ("lists", "sim-ok"),
    ],
)
async def test_through_every_kind_of_provider(
    world: World, check: Check, name: str, wire_name: str
) -> None:
    kinds = [*ProviderKind]
    if name == "lists":
        kinds.remove(ProviderKind.ANTHROPIC)  # It has no embeddings.
    for kind in kinds:
        await world.model(wire_name, kind)
    await check(name, *(world.named(wire_name, kind) for kind in kinds))


async def test_the_second_model_answers(world: World, check: Check) -> None:
    for place, wire_name in enumerate(FAILURES):
        kind = (ProviderKind.OPENAI, ProviderKind.ANTHROPIC)[place % 2]
        await chain(world, f"chain-{place}", wire_name, kind)
    await check("failingOver", *(f"chain/chain-{place}" for place in range(len(FAILURES))))


async def test_the_second_model_answers_where_the_first_is_silent(
    world: World, check: Check
) -> None:
    await chain(world, "silent", "sim-silent", ProviderKind.OPENAI)
    checking = check("failingOver", "chain/silent")
    for request in (1, 3):  # Between them the second model is asked.
        await world.until(lambda request=request: checking.done() or len(world.seen) >= request)  # type: ignore[misc]
        world.time.advance(5)
    await checking
    assert world.seen_models == ["sim-silent", "sim-ok"] * 2


async def test_the_second_model_answers_where_the_first_token_is_slow(
    world: World, check: Check
) -> None:
    # The provider's headers come at once, and no token after them.
    await chain(world, "slow", "sim-stall-after-0", ProviderKind.OPENAI)
    checking = check("streams", "chain/slow")
    await world.until(lambda: checking.done() or len(world.seen) >= 1)
    world.time.advance(5)
    await checking
    assert world.seen_models == ["sim-stall-after-0", "sim-ok"]


async def test_the_second_model_calls_the_tool(world: World, check: Check) -> None:
    for place, wire_name in enumerate(FAILURES):
        await chain(world, f"chain-{place}", wire_name, ProviderKind.OPENAI)
    await check("callsTools", *(f"chain/chain-{place}" for place in range(len(FAILURES))))


async def test_assured_answers_are_whole_whatever_breaks(world: World, check: Check) -> None:
    for place, wire_name in enumerate(BROKEN_STREAMS):
        await chain(world, f"chain-{place}", wire_name, ProviderKind.OPENAI, Delivery.ASSURED)
    await check("assured", *(f"chain/chain-{place}" for place in range(len(BROKEN_STREAMS))))
    assert world.seen_models.count("sim-ok") == len(BROKEN_STREAMS)


async def test_errors_are_the_sdks_own_and_told_once(world: World, check: Check) -> None:
    cases: list[str] = []
    for wire_name, class_name, asked in (
        ("sim-rate-limited-retry-after-60s", "RateLimitError", 1),
        ("sim-invalid", "BadRequestError", 1),
        ("sim-too-long", "BadRequestError", 1),
        ("sim-bad-key", "InternalServerError", 1),
    ):
        slug = f"p{len(cases)}"
        await world.model(wire_name, slug=slug)
        cases.append(f"{slug}/{wire_name},{class_name},{asked}")
    cases.append("chain/nobody,NotFoundError,0")
    await check("errors", *cases)


async def test_a_broken_stream_is_an_error(world: World, check: Check) -> None:
    wire_name = "sim-cut-after-2500"
    kinds = [ProviderKind.OPENAI, ProviderKind.ANTHROPIC]
    for kind in kinds:
        await world.model(wire_name, kind)
    await check("brokenStreams", *(world.named(wire_name, kind) for kind in kinds))


async def chain(
    world: World,
    slug: str,
    wire_name: str,
    kind: ProviderKind,
    delivery: Delivery = Delivery.STREAMED,
) -> None:
    """A model that fails, of a provider of this kind, then one that answers, each its own."""
    steps = [
        StepInput(
            model_id=await world.model(name, its, slug=f"{slug}-{name}"[:40].rstrip("-")),
            timeout_seconds=5,
            first_token_timeout_seconds=5,
            max_retries=0,
        )
        for name, its in ((wire_name, kind), ("sim-ok", ProviderKind.GOOGLE))
    ]
    await world.chain(*steps, slug=slug, delivery=delivery)
