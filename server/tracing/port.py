"""What the server tells whoever traces it."""

from typing import Protocol

from starlette.types import ASGIApp

from db.transaction_watch import Trace
from server.execution import OperationTraces
from trunkline.gateway.traces import RequestTraces


class Traces(OperationTraces, RequestTraces, Protocol):
    """Traces requests, their operations, the attempts of gateway requests, and transactions."""

    @property
    def transaction(self) -> Trace:
        """What a database tells of its transactions, for `Database.watch`."""

    def around(self, app: ASGIApp, /) -> ASGIApp:
        """The same application, with a span for each request and socket."""
