"""How operations are executed: Strawberry's executor, mended in two places for subscriptions, and
with one execution for those that are alike.
"""

import sys
from functools import partial
from typing import Any, Self

from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from resolvers.context import OperationContext
from schema.shared_results import shared_result
from trunkline.usage.delta import Delta, Snapshot


class Executor(StrawberryGraphQLCoreExecutionContext):
    """Gives each event of a subscription a context and a memo of its own.

    The context: its loaders would serve the rows of the first event for ever. The memo:
    graphql-core 3.3.2 shares one among all events of a subscription and adds to it at each, about
    2 kB an event for as long as the subscription lasts.
    """

    # Made at the first event, and copied to the executor of each.
    _audience: str | None = None

    def build_per_event_executor(self, payload: Any) -> Self:
        """The executor of one event."""
        if self._audience is None and isinstance(self.context_value, OperationContext):
            viewer = self.context_value.viewer
            name = None if viewer is None else viewer.audience
            # Documents of one text are parsed once, and so are one operation. One text for all.
            self._audience = sys.intern(
                f"{id(self.operation)} {name!r} {self.variable_values.coerced!r}"
            )
        executor: Self = super().build_per_event_executor(payload)  # type: ignore[assignment]  # a copy of self
        executor._relevant_sub_fields = {}  # the leak
        if isinstance(executor.context_value, OperationContext):
            executor.context_value = executor.context_value.fresh()
        return executor

    def execute_operation(self, *arguments: Any, **options: Any) -> Any:
        """Execute the operation, or an event of it."""
        execute = partial(super().execute_operation, *arguments, **options)
        event = self.root_value
        if self._audience is None or not isinstance(event, Snapshot | Delta):
            return execute()
        # With the operation, so that no other gets its identity meanwhile.
        return shared_result(event.results, self._audience, self.operation, execute)
