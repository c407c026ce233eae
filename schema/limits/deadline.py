"""How long an operation may take: past its deadline, each field of its root that isn't done fails.

What it waits for is cancelled, statements of the database included. A mutation's field is never
left in doubt: while it has not begun to write it ends without having changed anything; once it
has, it is waited for, and gets its time again to answer what came of it.

A deadline can't interrupt what computes without waiting: the cost of an operation bounds that.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphql import GraphQLObjectType, OperationType
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from db.write_watch import watching_writes
from resolvers.context import OperationContext
from schema.limits.bounds import DEFAULT_OPERATION_SECONDS, OWN_TIME
from trunkline.errors import TookTooLong

if TYPE_CHECKING:
    Base = StrawberryGraphQLCoreExecutionContext
else:
    Base = object


class Deadlines(Base):
    """An executor's deadlines: of queries, mutations and single events of subscriptions. Mix it in
    before all that executes fields.
    """

    operation_seconds = DEFAULT_OPERATION_SECONDS
    # Of the loop's clock; each operation and each event has its own.
    _ends_at = 0.0

    def execute_operation(self, *arguments: Any, **options: Any) -> Any:
        """Execute the operation, or an event of it, from now on."""
        self._ends_at = _now() + self.operation_seconds
        return super().execute_operation(*arguments, **options)

    def execute_field(
        self,
        parent_type: GraphQLObjectType,
        source: Any,
        field_details_list: Any,
        path: Any,
        position_context: Any,
    ) -> Any:
        """Execute a field; one of the root within the deadline, unless it has bounds of its own."""
        result = super().execute_field(
            parent_type, source, field_details_list, path, position_context
        )
        if path.prev is not None or not self.is_awaitable(result):
            return result
        if field_details_list[0].node.name.value in OWN_TIME:
            return result
        return self._in_time(result, parent_type, field_details_list, path)

    async def _in_time(
        self,
        result: Awaitable[Any],
        parent_type: GraphQLObjectType,
        field_details_list: Any,
        path: Any,
    ) -> Any:
        waiting = asyncio.timeout_at(self._ends_at)
        writes = _Writes(waiting, self.operation_seconds)
        changing = self.operation.operation is OperationType.MUTATION
        try:
            async with waiting:
                if not changing:
                    return await result
                with watching_writes(writes):
                    return await result
        except TimeoutError as error:
            if not waiting.expired():
                raise
            late = self._too_late(changing, writes)
            late.__cause__ = error
            field = parent_type.fields[field_details_list[0].node.name.value]
            self.handle_field_error(late, field.type, field_details_list, path)
            return None
        finally:
            writes.waited_for = False
            if waiting.expired() and isinstance(self.context_value, OperationContext):
                self.context_value.stop_loading()

    def _too_late(self, changing: bool, writes: "_Writes") -> TookTooLong:  # noqa: FBT001
        took = f"this took longer than {self.operation_seconds:g} s and was ended"
        if not changing:
            return TookTooLong(f"{took}: ask for less, or try again later")
        if writes.committed:
            return TookTooLong(
                f"the change was made, but answering it took longer than "
                f"{self.operation_seconds:g} s: don't repeat it, read what came of it"
            )
        return TookTooLong(f"{took}: nothing was changed, try again later")


def executor_within(executor: type[Deadlines], operation_seconds: float) -> type[Deadlines]:
    """The executor with another deadline."""
    return type(executor.__name__, (executor,), {"operation_seconds": operation_seconds})


@dataclass(slots=True)
class _Writes:
    """Takes the deadline away while a change is being written, and somebody waits for it: who has
    left takes the deadline along, and not the change.
    """

    deadline: asyncio.Timeout
    seconds: float
    committed: bool = False
    waited_for: bool = True

    @property
    def withdrawn(self) -> bool:
        return self.deadline.expired()

    def begun(self) -> None:
        if self.deadline.expired():
            # It got its turn in the very moment in which it was withdrawn.
            raise asyncio.CancelledError
        if self.waited_for:
            self.deadline.reschedule(None)

    def ended(self, *, committed: bool) -> None:
        self.committed = self.committed or committed
        if self.waited_for and not self.deadline.expired():
            self.deadline.reschedule(_now() + self.seconds)


def _now() -> float:
    return asyncio.get_running_loop().time()
