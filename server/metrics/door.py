"""What the front door counts: requests, operations, who listens."""

from collections.abc import Iterable

from prometheus_client.core import Metric

from server.execution import Executions
from server.graphql_socket import GraphQLOverSocket
from server.metrics.families import counters, gauge, histograms
from server.metrics.labels import FewLabels
from server.quotas import Quotas


class DoorMetrics:
    """Reads them."""

    def __init__(self, executions: Executions, sockets: GraphQLOverSocket, quotas: Quotas) -> None:
        self._executions = executions
        self._sockets = sockets
        self._quotas = quotas
        self._operations = FewLabels()

    def families(self) -> Iterable[Metric]:
        """All of them."""
        traffic = self._executions.traffic
        yield histograms(
            "trunkline_http_request_seconds",
            "HTTP requests by route, method and class of status; streams count until their end.",
            ("route", "method", "status"),
            traffic.requests.items(),
        )
        yield counters(
            "trunkline_websockets_ended",
            "Websockets that ended, by close code; 101: the client left; 4xx, 5xx: refused.",
            ("code",),
            (((code,), count) for code, count in traffic.sockets.items()),
        )
        yield counters(
            "trunkline_graphql_operations",
            "GraphQL operations that ended. Persisted ones have their names, others none.",
            ("kind", "operation", "result"),
            (
                ((kind or "unknown", self._operations.label(name) if name else "", result), count)
                for (kind, name, result), count in traffic.operations.items()
            ),
        )
        yield gauge("trunkline_websockets_open", "Websockets open now.", self._sockets.open)
        yield gauge(
            "trunkline_event_streams_open",
            "Event streams of GraphQL over SSE open now.",
            traffic.event_streams,
        )
        yield gauge(
            "trunkline_subscriptions_open",
            "Subscriptions that run now, over websockets and event streams.",
            self._quotas.open_streams,
        )
        yield gauge(
            "trunkline_broadcasts_open",
            "Distinct subscriptions that equal ones share: each is one source and one execution.",
            len(self._executions.broadcasts),
        )
