"""Whatever comes in: no fault of ours, no error in the log, an answer in its shape, and in time.

The corpus first, then cases that are made up, the same in each run; `make fuzz` makes up others.
"""

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.conftest import EmptiedPostgres, administer, postgres_url
from tests.fuzz.cases import Surface, kept
from tests.fuzz.exploring import Explorer
from tests.fuzz.identifiers import IDENTIFIERS
from tests.fuzz.operations import OPERATIONS
from tests.fuzz.raw_http import RAW_HTTP
from tests.fuzz.subject import Subject, running
from tests.fuzz.surfaces import SURFACES

# One server for all of them.
pytestmark = pytest.mark.xdist_group("fuzz")


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    """The program on a SQLite file."""
    with running(tmp_path_factory.mktemp("fuzz")) as served:
        yield served


@pytest.fixture(scope="module")
def postgres_subject(
    postgres: EmptiedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Subject]:
    """The program on PostgreSQL."""
    name = f"trunkline_fuzz_{uuid4().hex}"
    asyncio.run(administer(f'CREATE DATABASE "{name}"'))
    with running(tmp_path_factory.mktemp("fuzz"), postgres_url(name)) as served:
        yield served
    asyncio.run(administer(f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.mark.slow
@pytest.mark.parametrize("surface", SURFACES.values(), ids=list(SURFACES))
def test_nothing_breaks_it(subject: Subject, surface: Surface) -> None:
    surface.prepare(subject)
    explorer = Explorer(surface, subject)
    assert explorer.replay() == []
    assert explorer.explore(surface.examples) is None
    assert explorer.finish() is None


@pytest.mark.parametrize(
    "surface", [OPERATIONS, IDENTIFIERS, RAW_HTTP], ids=lambda surface: surface.name
)
def test_nothing_breaks_it_on_postgresql(postgres_subject: Subject, surface: Surface) -> None:
    surface.prepare(postgres_subject)
    explorer = Explorer(surface, postgres_subject)
    assert explorer.replay() == []
    assert explorer.explore(surface.examples // 2) is None
    assert explorer.finish() is None


def test_the_corpus_is_of_surfaces_that_there_are() -> None:
    assert all(any(kept(name)) for name in SURFACES)
