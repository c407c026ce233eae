"""The oracle: every write that a server acknowledged, held against what is in the store.

What was asked for and not answered may be there or not. What was answered must be there, once, as
it was sent; and every total must be what the events sum up to.
"""

import asyncio
from dataclasses import dataclass, field

from sqlalchemy import select

from db.engine import Database
from db.tables import gateway_requests, models, providers, usage_events
from tests.fault.serving import ServerProcess
from tests.fault.violations import Counts, demand

GATEWAY_KEYS = "gw:"
"""Which keys of events are the gateway's own."""
_SETTLED_SECONDS = 60.0


@dataclass
class Acknowledged:
    """What a server has said yes to. Filled by the load, held against the store by `check`."""

    events: dict[str, int] = field(default_factory=dict)
    """Input tokens by the keys of events that were recorded or imported."""
    unanswered_events: dict[str, int] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    """The last name that each provider was given, by its slug."""
    unanswered_names: dict[str, set[str]] = field(default_factory=dict)
    """Names that were asked for since, without an answer."""
    models: set[str] = field(default_factory=set)
    """Wire names of models that were made."""
    requests: dict[str, float] = field(default_factory=dict)
    """When, by the loop's clock, each request through the gateway was answered whole."""
    refused: int = 0
    """Requests that got a clear error, and may be asked again."""

    @property
    def total(self) -> int:
        """How many writes were acknowledged."""
        return len(self.events) + len(self.names) + len(self.models)

    async def settle(self, server: ServerProcess) -> None:
        """Wait until every request through the gateway is stored: a moment after its answer, or
        where the store takes nothing, a second after it does. Raises `Violation`.
        """
        until = asyncio.get_running_loop().time() + _SETTLED_SECONDS
        database = Database.open(server.database_url)
        try:
            while True:
                async with database.read() as connection:
                    stored = set(await connection.scalars(select(gateway_requests.c.request_id)))
                missing = self.requests.keys() - stored
                if not missing:
                    return
                demand(
                    asyncio.get_running_loop().time() < until,
                    f"{len(missing)} gateway requests are not stored: {sorted(missing)[:5]}",
                )
                await asyncio.sleep(0.2)
        finally:
            await database.close()

    async def check(
        self, server: ServerProcess, counts: Counts, *, requests_before: float = float("-inf")
    ) -> None:
        """Raises `Violation` where anything is missing, doubled or other than it was.

        The gateway's requests that were answered before `requests_before` must be there.
        """
        database = Database.open(server.database_url)
        try:
            async with database.read() as connection:
                columns = usage_events.c
                rows = await connection.execute(
                    select(columns.idempotency_key, columns.input_tokens)
                )
                stored = [(str(key), int(tokens)) for key, tokens in rows]
                named = await connection.execute(
                    select(providers.c.slug, providers.c.name).where(
                        providers.c.deleted_at.is_(None)
                    )
                )
                names = {str(slug): str(name) for slug, name in named}
                wire_names = {
                    str(one) for one in await connection.scalars(select(models.c.wire_name))
                }
                answered = [
                    str(one)
                    for one in await connection.scalars(select(gateway_requests.c.request_id))
                ]
        finally:
            await database.close()
        self._check_events(stored)
        for slug, name in self.names.items():
            may_be = {name, *self.unanswered_names.get(slug, ())}
            demand(
                names.get(slug) in may_be,
                f"provider {slug} is {names.get(slug)!r}, none of {may_be}",
            )
        demand(self.models <= wire_names, f"models are lost: {self.models - wire_names}")
        demand(len(answered) == len(set(answered)), "a gateway request is there twice")
        due = {one for one, at in self.requests.items() if at < requests_before}
        missing = due - set(answered)
        demand(not missing, f"{len(missing)} of {len(due)} gateway requests are lost: {missing}")
        counts.add("events held against the store", len(self.events))
        counts.add("gateway requests held against the store", len(due))
        status, said = await server.command("usage", "verify")
        demand(status == 0, f"totals are not what the events sum up to:\n{said}")
        counts.add("totals verified")
        lost = self.requests.keys() - set(answered)
        if lost:
            counts.add("gateway requests that a kill took in its last moment", len(lost))
        # What has been seen in the store stays there, and nothing else has to come any more.
        for one in lost:
            del self.requests[one]
        self.names |= {slug: names[slug] for slug in self.names}

    def _check_events(self, stored: list[tuple[str, int]]) -> None:
        found = {key: tokens for key, tokens in stored if not key.startswith(GATEWAY_KEYS)}
        missing = self.events.keys() - found.keys()
        demand(not missing, f"{len(missing)} acknowledged events are lost: {sorted(missing)[:5]}")
        unasked = found.keys() - self.events.keys() - self.unanswered_events.keys()
        demand(not unasked, f"{len(unasked)} events were never sent: {sorted(unasked)[:5]}")
        changed = [
            key
            for key, tokens in found.items()
            if tokens != self.events.get(key, self.unanswered_events.get(key))
        ]
        demand(not changed, f"{len(changed)} events are other than they were sent: {changed[:5]}")
