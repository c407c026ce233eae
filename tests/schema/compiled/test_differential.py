"""Generated code answers random operations as graphql-core does: see `differential.py`."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.schema.compiled import differential
from tests.schema.compiled.differential import compare
from tests.schema.compiled.stored import opened_store

# graphql-core, which is the oracle, leaves a list's coroutines behind where its iterator fails.
pytestmark = [
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Errors hold what is left behind in cycles: it goes here, not in a test that fails by it."""
    yield
    gc.collect()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
async def test_random_operations_get_the_same_answers(seed: int) -> None:
    tally = await compare(500, seed, None, sets=6)
    assert not tally.differences, "\n\n".join(tally.differences)
    assert tally.cases["data"] > 50, "many operations are to find something"
    assert tally.cases["data with errors"] > 50, "and many of them errors too"


async def test_random_operations_on_a_store_get_the_same_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(differential, "STORED", 1.0)
    async with opened_store(tmp_path) as store:
        tally = await compare(150, 1, store, sets=4)
    assert not tally.differences, "\n\n".join(tally.differences)
    assert tally.cases["data"] > 30
