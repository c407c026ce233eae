"""What came in at the front door, in numbers: for the metrics that this process shows.

Every label comes from a list of ours: paths, methods, codes and names that a client chooses are
told apart only where we know them. Touched by the event loop's thread only.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from db.durations import Durations
from server.documents import OperationKind

OTHER = "other"

_ROUTES = frozenset(
    {
        "/", "/graphql", "/graphiql", "/graphiql/", "/schema.graphql", "/operations.json",
        "/export/audit", "/export/usage", "/import/usage", "/session",
        "/healthz", "/readyz", "/metrics",
        "/v1/chat/completions", "/v1/messages", "/v1/embeddings", "/v1/models",
    }
)  # fmt: skip
_TEMPLATES = {"/graphiql/": "/graphiql/{name}", "/v1/models/": "/v1/models/{model}"}
"""Of the routes with a part that differs, by their beginnings."""
_METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS"})
_SUBSCRIPTIONS = "/graphql (event stream)"
"""Apart, as these last for hours."""
_MOST_KNOWN = 256
_CLASSES = {1: "1xx", 2: "2xx", 3: "3xx", 4: "4xx", 5: "5xx"}
_CLOSE_CODES = frozenset(
    {101, 1000, 1001, 1011, 1012, 1013, 4400, 4401, 4403, 4406, 4408, 4409, 4429}
)
"""Of sockets that ended; 101 is for those whose client left."""

Result = Literal["completed", "errors", "refused", "failed", "cancelled"]
"""How an operation ended: without errors; with errors of fields; before it was executed; by a fault
of ours; or its client left.
"""


@dataclass(slots=True)
class Traffic:
    """Of one process."""

    requests: defaultdict[tuple[str, str, str], Durations] = field(
        default_factory=lambda: defaultdict(Durations)
    )
    """By route, method and class of status. What is streamed counts until its end."""
    sockets: Counter[str] = field(default_factory=Counter)
    """Those that ended, by close code, or by the status that refused them."""
    operations: Counter[tuple[OperationKind | None, str, Result]] = field(default_factory=Counter)
    """By kind, name and result. Persisted operations alone have a name here; what could not be
    read has no kind.
    """
    event_streams: int = 0
    """Open now."""
    # Those of `requests` by what was sent, as finding them out takes most of the time.
    _known: dict[tuple[str, str, int | None], Durations] = field(default_factory=dict)

    def note_request(
        self, path: str, method: str, status: int | None, seconds: float, *, is_stream: bool
    ) -> None:
        """A request has ended; no status says that nothing was answered."""
        known = None if is_stream else self._known.get((path, method, status))
        if known is None:
            known = self.requests[
                _SUBSCRIPTIONS if is_stream else route_of(path),
                known_method(method),
                _CLASSES.get((status or 0) // 100, "none"),
            ]
            if path in _ROUTES and not is_stream and len(self._known) < _MOST_KNOWN:
                self._known[path, method, status] = known
        known.note(seconds)

    def note_socket(self, status: int | None) -> None:
        """A socket has ended."""
        if status is not None and 400 <= status < 600:
            self.sockets[_CLASSES[status // 100]] += 1
        else:
            self.sockets[str(status) if status in _CLOSE_CODES else OTHER] += 1

    def note_operation(self, kind: OperationKind | None, name: str | None, result: Result) -> None:
        """An operation has ended; `name` is that of a persisted one."""
        self.operations[kind, name or "", result] += 1

    @contextmanager
    def event_stream(self) -> Iterator[None]:
        """A stream of events, open for the block."""
        self.event_streams += 1
        try:
            yield
        finally:
            self.event_streams -= 1


def known_method(method: str) -> str:
    """The method, where it is one that we serve."""
    return method if method in _METHODS else OTHER


def route_of(path: str) -> str:
    """The route that serves a path: one of a few dozen, however many paths are tried."""
    if path in _ROUTES:
        return path
    for beginning, template in _TEMPLATES.items():
        if path.startswith(beginning):
            return template
    return OTHER
