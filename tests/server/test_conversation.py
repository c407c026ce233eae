"""What is said on a socket, without the socket."""

from typing import Any

from resolvers.context import Viewer
from server.conversation import Conversation
from server.execution import Executions
from server.operation_request import OperationRequest
from server.persisted_operations import PersistedOperations
from server.quotas import Quotas
from server.socket_messages import ConnectionInit, Subscribe
from tests.server.conftest import RunningServer


class Gone:
    """A socket whose client left a moment ago, of which nobody has heard yet."""

    async def send_text(self, _text: bytes) -> None:
        raise ConnectionResetError


async def test_a_client_that_left_is_no_fault_of_ours(server: RunningServer) -> None:
    door = server.door
    executions = Executions(door.schema, door.make_context)
    socket: Any = None
    protocol: Any = Gone()
    conversation = Conversation(
        socket, protocol, None, executions, door.gate, PersistedOperations(), Quotas()
    )
    asked = Subscribe("1", OperationRequest("{ __typename }", None, None, None))
    await conversation.run(asked, Viewer("admin"), "request")
    assert executions.traffic.operations == {("query", "", "cancelled"): 1}


class Closing:
    """A socket that notes how it is closed."""

    def __init__(self) -> None:
        self.closed: list[tuple[int, str]] = []

    async def close(self, code: int, reason: str) -> None:
        self.closed.append((code, reason))


async def test_who_may_stay_no_longer_is_told_that_whatever_it_says(server: RunningServer) -> None:
    door = server.door
    executions = Executions(door.schema, door.make_context)
    socket: Any = Closing()
    protocol: Any = Gone()
    conversation = Conversation(
        socket, protocol, Viewer("admin"), executions, door.gate, PersistedOperations(), Quotas()
    )
    conversation.initialized = True
    conversation.forbid()
    await conversation.handle(Subscribe("1", OperationRequest("{ __typename }", None, None, None)))
    await conversation.handle(ConnectionInit({}))
    assert conversation.closing is not None
    await conversation.closing
    assert socket.closed == [(4403, "Forbidden: UNAUTHENTICATED: your access has ended")]
    assert not conversation.tasks
