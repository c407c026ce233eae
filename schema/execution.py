"""How operations are executed: Strawberry's executor, mended in two places for subscriptions, and
with a deadline. `CompiledExecutor` is the same by generated code.
"""

from datetime import datetime
from typing import Any, ClassVar, Self

from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from db.models import ModelRow
from resolvers.context import OperationContext
from schema.compiled.executing import CompiledExecution
from schema.compiled.promises import Promises, ServedAsIs, ServedBy
from schema.limits.deadline import Deadlines
from schema.scalars import LARGEST_SAFE
from trunkline.instants import format_instant
from trunkline.money import format_nanos
from trunkline.usage.points import COLUMN_CLASSES, Points


class MendedExecution(StrawberryGraphQLCoreExecutionContext):
    """Gives each event of a subscription a context and a memo of its own.

    The context: its loaders would serve the rows of the first event for ever. The memo:
    graphql-core 3.3.2 shares one among all events of a subscription and adds to it at each, about
    2 kB an event for as long as the subscription lasts.
    """

    def build_per_event_executor(self, payload: Any) -> Self:
        """The executor of one event."""
        executor: Self = super().build_per_event_executor(payload)  # type: ignore[assignment]  # a copy of self
        executor._relevant_sub_fields = {}  # the leak
        if isinstance(executor.context_value, OperationContext):
            executor.context_value = executor.context_value.fresh()
        return executor


class Executor(Deadlines, MendedExecution):
    """Executes all of an operation as graphql-core does."""


class CompiledExecutor(Deadlines, CompiledExecution, MendedExecution):
    """The executor that is used, unless the setting `TRUNKLINE_COMPILED` is false."""

    promises: ClassVar[Promises] = Promises(
        scalars={
            "SafeInt": ServedAsIs(-LARGEST_SAFE, LARGEST_SAFE),
            "DateTime": ServedBy(datetime, format_instant),
            "Decimal": ServedBy(int, format_nanos),
        },
        by_column={Points: COLUMN_CLASSES},
        unchanging={"Model": ModelRow},
    )
