"""What the server tells whoever traces it."""

from typing import Protocol

from starlette.types import ASGIApp

from db.transaction_watch import Access
from server.execution import OperationTraces
from trunkline.gateway.traces import RequestTraces


class Traces(OperationTraces, RequestTraces, Protocol):
    """Traces requests, their operations, the attempts of gateway requests, and transactions."""

    def transaction(self, access: Access, seconds: float, failed: bool, /) -> None:  # noqa: FBT001
        """What a database tells of its transactions, for `Database.watch`."""

    def around(self, app: ASGIApp, /) -> ASGIApp:
        """The same application, with a span for each request and socket."""
