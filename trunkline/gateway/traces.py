"""What a request tells whoever traces it; nothing, where nobody does.

The port, which knows no tracing library: `server/tracing/` has what is behind it.
"""

from collections.abc import Mapping
from typing import Protocol

from db.gateway_requests import NewGatewayRequest
from trunkline.gateway.configuration import GatewayModel


class RequestTrace(Protocol):
    """Of one request through the gateway. None of its methods raises."""

    def attempt(self, model: GatewayModel) -> Mapping[str, str]:
        """An attempt is about to be sent; the headers by which its provider can go on with the
        trace, none where it is not to.
        """

    def ended(self, row: NewGatewayRequest, models: Mapping[int, GatewayModel]) -> None:
        """The request has ended; attempts that were sent are in the order in which they began."""


class RequestTraces(Protocol):
    """Begins the trace of each request."""

    def begin(self) -> RequestTrace | None:
        """A request came, by the task that runs now. None where it isn't traced."""
