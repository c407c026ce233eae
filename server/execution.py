"""Executing operations of the schema, the same for every transport.

Each operation gets a context of its own, so that nothing loaded for one is served to another.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
from graphql import GraphQLError
from strawberry import Schema
from strawberry.types import ExecutionResult

from resolvers.context import Viewer
from schema.shared_results import SharedData
from server.answers import error_entry
from server.operation_request import OperationRequest
from trunkline.errors import RateLimited


class MakeContext(Protocol):
    """Makes the context of one operation: who asks, and under which request id."""

    def __call__(self, viewer: Viewer, request_id: str, /) -> object:
        """A new context."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One result, ready to send. `refused` says that nothing was executed: there is no `data`."""

    response: dict[str, Any]
    refused: bool

    @property
    def internal(self) -> bool:
        """Whether it was a fault of ours that kept the operation from being executed."""
        return self.refused and any(
            error.get("extensions", {}).get("code") == "INTERNAL"
            for error in self.response["errors"]
        )

    def encoded(self) -> bytes:
        """The response as JSON."""
        data = self.response.get("data")
        if isinstance(data, SharedData):
            return orjson.dumps(self.response | {"data": orjson.Fragment(data.encoded)})
        return orjson.dumps(self.response)


class Executions:
    """Executes operations of one schema."""

    def __init__(self, schema: Schema, make_context: MakeContext) -> None:
        self._schema = schema
        self._make_context = make_context

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

    async def stream(
        self, operation: OperationRequest, viewer: Viewer, request_id: str
    ) -> AsyncGenerator[Outcome, None]:
        """Every result of any operation; the last one may be `refused`, also after others came.

        An outcome is emptied when the next is asked for. Close it with `aclosing`: that is what
        ends a subscription's resolver.
        """
        results = await self._schema.stream(
            operation.query,
            variable_values=operation.variables,
            context_value=self._make_context(viewer, request_id),
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
                # It was sent. Those who made it hold it until the next comes, which may be hours:
                # of a thousand subscribers a third of their memory.
                if result.data and not isinstance(result.data, SharedData):
                    result.data.clear()


def refusal(error: GraphQLError | RateLimited, request_id: str) -> Outcome:
    """The outcome of a document that couldn't be parsed or found, or may not be executed (now)."""
    if isinstance(error, RateLimited):
        entry = error_entry(str(error), "RATE_LIMITED", request_id)
        entry["extensions"]["retryAfterSeconds"] = error.retry_after_seconds
        return Outcome({"errors": [entry]}, refused=True)
    locations = error.formatted.get("locations")
    code = str((error.extensions or {}).get("code", "BAD_USER_INPUT"))
    entry = error_entry(error.message, code, request_id, locations=locations)
    return Outcome({"errors": [entry]}, refused=True)


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
