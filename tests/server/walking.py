"""The whole front door on the tests' services, and a walk of every route that it has."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
from sqlalchemy import select
from starlette.applications import Starlette
from starlette.routing import Route

from db.engine import Database
from db.tables import metadata
from server.app import build_app
from server.gateway_routes import _ENDPOINTS, _MODELS
from server.serving import front_door
from server.settings import read_settings
from server.sign_in import Gate
from tests.server.served import listening
from trunkline.services import Services

TOKEN = "admin-token-of-the-walk-0123456789"


@dataclass
class Walked:
    """A server as `trunkline serve` puts it together, and where it answers."""

    gate: Gate
    services: Services
    client: httpx2.AsyncClient
    port: int
    routes: dict[str, Route]
    """By a path that each answers at."""

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def paths(self) -> list[str]:
        """Of every route, of the gateway, and some that there are none at."""
        gateway = [*_ENDPOINTS, _MODELS, f"{_MODELS}/openai/gpt-5"]
        nowhere = ["/metrics", "/v1", "/v1/", "/v1/nowhere", "/nowhere", "/graphql/", "/graphql/x"]
        return [*self.routes, *(one for one in [*gateway, *nowhere] if one not in self.routes)]


@asynccontextmanager
async def walked_server(services: Services, **given: Any) -> AsyncIterator[Walked]:
    """Serve with the settings' defaults, and those given."""
    door = front_door(services, read_settings(**given), TOKEN)
    async with (
        listening(door) as port,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client,
    ):
        yield Walked(door.gate, services, client, port, routes_of(build_app(door)))
    await door.gate.drain()


def routes_of(app: object) -> dict[str, Route]:
    """Every route of the application, found in it: one that is added is walked by itself."""
    found: dict[str, Route] = {}
    for one in _parts(app, set()):
        if isinstance(one, Starlette):
            for route in one.routes:
                assert isinstance(route, Route), f"{route}: walk this kind of route too"
                found[re.sub(r"\{[^}]*\}", "name", route.path)] = route
    assert {"/graphql", "/session", "/export/usage", "/healthz"} <= set(found)
    return found


def _parts(one: object, seen: set[int]) -> Iterator[object]:
    """Applications inside of each other, by whatever attribute they are held."""
    if id(one) in seen:
        return
    seen.add(id(one))
    yield one
    for held in vars(one).values() if hasattr(one, "__dict__") else ():
        if callable(held) and type(held).__module__.startswith(("server.", "starlette.")):
            yield from _parts(held, seen)


async def everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """What is stored, but when something was last used, which says nothing of what was changed."""
    stored: dict[str, list[tuple[Any, ...]]] = {}
    async with database.read() as connection:
        for table in metadata.sorted_tables:
            columns = [one for one in table.columns if one.name != "last_used_at"]
            rows = [tuple(row) for row in await connection.execute(select(*columns))]
            stored[table.name] = sorted(rows, key=repr)
    return stored
