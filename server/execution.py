"""Executing operations of the schema, the same for every transport.

Each operation gets a context of its own, so that nothing loaded for one is served to another.
Subscriptions that are equal share one execution (`broadcasts.py`).
"""

from collections.abc import AsyncGenerator, Iterator
from contextlib import AbstractContextManager, aclosing, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

from strawberry import Schema
from strawberry.types import ExecutionResult

from resolvers.context import OperationContext, Viewer
from server.broadcasts import Broadcasts
from server.documents import Operation
from server.operation_request import OperationRequest
from server.outcomes import Outcome, SharedResult
from server.shareable import Shareable
from server.traffic import Result, Traffic
from trunkline.listeners import Listeners


class MakeContext(Protocol):
    """Makes the context of one operation: who asks, and under which request id."""

    def __call__(self, viewer: Viewer, request_id: str, /) -> OperationContext:
        """A new context."""


@dataclass(slots=True)
class Noted:
    """An operation that runs. Whoever runs it sets how it ended; left as it is, its client left."""

    result: Result = "cancelled"


class OperationTraces(Protocol):
    """Traces operations, where anybody does."""

    def operation(self, operation: Operation, noted: Noted, /) -> AbstractContextManager[None]:
        """An operation that runs for the block."""


class Executions:
    """Executes operations of one schema, and counts them."""

    def __init__(
        self,
        schema: Schema,
        make_context: MakeContext,
        traffic: Traffic | None = None,
        traces: OperationTraces | None = None,
    ) -> None:
        self._schema = schema
        self.traffic = traffic or Traffic()
        self._traces = traces
        self._make_context = make_context
        self._shareable = Shareable(schema)
        self.broadcasts = Broadcasts(self._stream)

    @contextmanager
    def noting(self, operation: Operation, persisted_name: str | None) -> Iterator[Noted]:
        """Count an operation that runs for the block, and trace it."""
        noted = Noted()
        traced = self._traces.operation(operation, noted) if self._traces else nullcontext()
        try:
            with traced:
                yield noted
        except Exception:  # Whatever it is, it is counted and goes on.
            noted.result = "failed"
            raise
        finally:
            self.traffic.note_operation(operation.kind, persisted_name, noted.result)

    async def execute(
        self, operation: OperationRequest, viewer: Viewer, request_id: str
    ) -> Outcome:
        """Execute a query or mutation."""
        result = await self._schema.execute(
            operation.query,
            variable_values=operation.variables,
            context_value=self._make_context(viewer, request_id),
            operation_name=operation.operation_name,
            operation_extensions=operation.extensions,
        )
        return _outcome(result)

    def shares(self, operation: OperationRequest) -> bool:
        """Whether it is a subscription that `broadcasts` shares with others that are equal."""
        return self._shareable.includes(operation)

    def stream(
        self, operation: OperationRequest, viewer: Viewer, request_id: str
    ) -> AsyncGenerator[Outcome | SharedResult, None]:
        """Every result of any operation, shared where it can be. An `Outcome` may be `refused`:
        it is the last then, also after others came.

        An outcome is emptied when the next is asked for. Close it with `aclosing`: that is what
        ends a subscription's resolver.
        """
        if self._shareable.includes(operation):
            return self.broadcasts.follow(operation, viewer, request_id)
        return self._stream(operation, viewer, request_id)

    async def _stream(
        self,
        operation: OperationRequest,
        viewer: Viewer,
        request_id: str,
        listeners: Listeners | None = None,
    ) -> AsyncGenerator[Outcome, None]:
        context = self._make_context(viewer, request_id)
        if listeners is not None:
            context.share(listeners)
        results = await self._schema.stream(
            operation.query,
            variable_values=operation.variables,
            context_value=context,
            operation_name=operation.operation_name,
            operation_extensions=operation.extensions,
        )
        async with aclosing(results):
            async for result in results:
                if not isinstance(result, ExecutionResult):
                    raise TypeError("incremental delivery is off in this schema")
                outcome = _outcome(result)
                yield outcome
                if outcome.refused:
                    return
                # It was sent. Those who made it hold it until the next comes, which may be hours.
                if result.data:
                    result.data.clear()


def _outcome(result: ExecutionResult) -> Outcome:
    errors = result.errors or []
    # An error of a field has a path. Where none has, and there is no data, nothing was executed.
    refused = result.data is None and bool(errors) and not any(error.path for error in errors)
    response: dict[str, Any] = {} if refused else {"data": result.data}
    if errors:
        response["errors"] = [error.formatted for error in errors]
    if result.extensions:
        response["extensions"] = result.extensions
    return Outcome(response, refused)
