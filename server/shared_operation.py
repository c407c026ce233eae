"""A subscription of one socket that it shares with others: only its id is its own."""

import time
from collections.abc import Callable

import orjson
import structlog

from server.broadcasts import Member
from server.outcomes import Outcome, SharedResult
from server.socket_protocol import SocketProtocol
from server.traffic import Result, Traffic

log = structlog.get_logger("trunkline.request")

Finish = Callable[[str, Outcome | None], None]
"""Called with the operation's id, and the refusal where there was one."""


class SharedOperation(Member):
    """Puts the socket's id around each result and writes it at once. It runs no task."""

    __slots__ = (
        "_begun",
        "_finish",
        "_head",
        "_id",
        "_name",
        "_persisted_name",
        "_protocol",
        "_request_id",
        "_traffic",
    )

    def __init__(
        self,
        protocol: SocketProtocol,
        operation_id: str,
        name: str | None,
        request_id: str,
        finish: Finish,
        traffic: Traffic,
        persisted_name: str | None,
    ) -> None:
        self.broadcast = None
        self._protocol = protocol
        self._id = operation_id
        self._head = b'{"id":%b,"type":"next","payload":' % orjson.dumps(operation_id)
        self._name = name
        self._request_id = request_id
        self._finish = finish
        self._traffic = traffic
        self._persisted_name = persisted_name
        self._begun = time.perf_counter()

    @property
    def able(self) -> bool:
        """While the socket has passed on what it was given before."""
        return self._protocol.able

    def take(self, result: SharedResult) -> None:
        """Send it."""
        self._protocol.push(self._head, result, b"}")

    def end(self, refused: Outcome | None) -> None:
        """Tell the client that there is no more, and why."""
        self._log("completed" if refused is None else "refused")
        self._finish(self._id, refused)

    def wake(self) -> None:
        """The socket takes results again."""
        if self.broadcast is not None:
            self.broadcast.wake.set()

    def leave(self) -> None:
        """The client wants no more, or is gone."""
        if self.broadcast is not None:
            self._log("cancelled")
            self.broadcast.leave(self)

    def _log(self, status: Result) -> None:
        self._traffic.note_operation("subscription", self._persisted_name, status)
        log.info(
            "operation",
            request_id=self._request_id,
            shared_request_id=self.broadcast.request_id if self.broadcast else None,
            operation=self._name,
            status=status,
            milliseconds=round((time.perf_counter() - self._begun) * 1000, 1),
        )
