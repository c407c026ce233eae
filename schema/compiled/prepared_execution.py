"""Executors that keep what they know of an operation for the next time that it is executed."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from graphql import (
    DocumentNode,
    GraphQLObjectType,
    GraphQLSchema,
    MiddlewareManager,
    assert_valid_schema,
    default_field_resolver,
    default_type_resolver,
)
from graphql.execution.collect_fields import GroupedFieldSet
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from schema.compiled.documents import PreparedDocuments
from schema.compiled.plans import Plan
from schema.compiled.promises import NOTHING, Promises

if TYPE_CHECKING:
    Base = StrawberryGraphQLCoreExecutionContext
else:
    Base = object


class PreparedExecution(Base):
    """Gives an executor the plan of its operation, and reads its variables by generated code.

    `promises` say what generated code may rely on; `documents` are those that are kept, for all
    operations of the class. Each class has its own: their code relies on its promises.
    """

    promises: ClassVar[Promises] = NOTHING
    documents: ClassVar[PreparedDocuments] = PreparedDocuments()

    # Of this operation; without one all of it runs the standard way.
    _plan: Plan | None = None
    # The arguments of its fields that are the same each time, by the identity of their selections.
    _arguments: dict[int, dict[str, Any]]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "documents" not in vars(cls):
            cls.documents = PreparedDocuments()

    @classmethod
    def build(  # type: ignore[override]  # whatever else there is goes on to it
        cls,
        schema: GraphQLSchema,
        document: DocumentNode,
        root_value: Any = None,
        context_value: Any = None,
        raw_variable_values: dict[str, Any] | None = None,
        operation_name: str | None = None,
        field_resolver: Callable[..., Any] | None = None,
        type_resolver: Callable[..., Any] | None = None,
        subscribe_field_resolver: Callable[..., Any] | None = None,
        max_coercion_errors: int = 50,
        enable_early_execution: bool = False,  # noqa: FBT001, FBT002  # graphql-core's parameters
        middleware: Any = None,
        is_awaitable: Any = None,
        is_async_iterable: Any = None,
        **options: Any,
    ) -> Any:
        """The executor of an operation, or the errors that keep it from being executed."""
        assert_valid_schema(schema)
        in_between = getattr(middleware, "middlewares", middleware)
        prepared = None if in_between else cls.documents.prepared(schema, document, operation_name)
        if prepared is not None and prepared.usable:
            values = prepared.read_variables(raw_variable_values or {})
            plan = None if values is None else prepared.plan(values, cls.promises)
            if plan is not None:
                executor = cls(
                    schema,
                    dict(prepared.fragment_definitions),
                    prepared.fragments,
                    root_value,
                    context_value,
                    prepared.operation,
                    values,
                    field_resolver or default_field_resolver,
                    type_resolver or default_type_resolver,
                    subscribe_field_resolver or default_field_resolver,
                    enable_early_execution,
                    middleware if isinstance(middleware, MiddlewareManager) else None,
                    is_awaitable,
                    is_async_iterable,
                    **options,
                )
                executor._plan = plan
                executor._arguments = {}
                executor._relevant_sub_fields = plan.collected
                return executor
        return super().build(
            schema,
            document,
            root_value,
            context_value,
            raw_variable_values,
            operation_name,
            field_resolver,
            type_resolver,
            subscribe_field_resolver,
            max_coercion_errors,
            enable_early_execution,
            middleware,
            is_awaitable,
            is_async_iterable,
            **options,
        )

    def build_per_event_executor(self, payload: Any) -> Any:
        """The executor of one event of a subscription: of the same plan."""
        executor = super().build_per_event_executor(payload)
        if self._plan is not None:
            executor._relevant_sub_fields = self._plan.collected  # noqa: SLF001  # a copy of this
        return executor

    def execute_collected_root_fields(
        self,
        root_type: GraphQLObjectType,
        root_value: Any,
        grouped_field_set: GroupedFieldSet,
        serially: bool,  # noqa: FBT001  # graphql-core's
        new_defer_usages: Any,
    ) -> Any:
        """Execute the root fields, by the lists that the plan knows them by."""
        plan = self._plan
        if plan is not None:
            if plan.root is None:
                plan.root = grouped_field_set
            grouped_field_set = plan.root
        return super().execute_collected_root_fields(
            root_type, root_value, grouped_field_set, serially, new_defer_usages
        )
