"""The route `/metrics`: who may read it, and in which of the two formats.

Bounded by nothing but the request limits of all pages: a scrape takes a few milliseconds.
"""

import asyncio
from typing import TYPE_CHECKING, Literal

from starlette.requests import Request
from starlette.responses import Response

from db.vocabulary import AccessScope
from server.execution import Executions
from server.graphql_socket import GraphQLOverSocket
from server.quotas import Quotas
from server.sign_in import Gate, permit
from trunkline.services import Services

if TYPE_CHECKING:
    from server.metrics.exposition import Exposition

MetricsAccess = Literal["token", "open", "off"]
"""Who may read them: holders of READ, everybody, nobody."""


class MetricsRoute:
    """Serves `/metrics`. Without `services` it shows what the front door counts."""

    def __init__(
        self,
        gate: Gate,
        *,
        is_open: bool,
        executions: Executions,
        sockets: GraphQLOverSocket,
        quotas: Quotas,
        services: Services | None,
    ) -> None:
        self._gate = gate
        self._is_open = is_open
        self._parts = executions, sockets, quotas, services
        self._exposition: Exposition | None = None

    async def serve(self, request: Request) -> Response:
        """The metrics, in the format that is accepted."""
        if not self._is_open:
            permit(await self._gate.admit(request), AccessScope.READ)
        if self._exposition is None:
            # Off the loop: whoever is served meanwhile need not wait for an import.
            self._exposition = await asyncio.to_thread(self._made)
        accept = ",".join(request.headers.getlist("accept")).lower()
        body, media_type = await self._exposition.written(
            openmetrics="application/openmetrics-text" in accept
        )
        return Response(body, headers={"Content-Type": media_type, "Cache-Control": "no-store"})

    def _made(self) -> "Exposition":
        from server.metrics.door import DoorMetrics
        from server.metrics.exposition import Exposition
        from server.metrics.work import WorkMetrics

        executions, sockets, quotas, services = self._parts
        return Exposition(
            DoorMetrics(executions, sockets, quotas),
            None if services is None else WorkMetrics(services),
        )
