"""Operations that are known beforehand, asked for by an id in place of their text.

Two forms: `documentId`, of GraphQL over HTTP's draft on persisted documents, with or without its
prefix `sha256:`; and `extensions.persistedQuery`, which Apollo's clients send
(https://www.apollographql.com/docs/apollo-server/performance/apq). Clients can't register any: what
they send with an unknown hash is executed like any other text, or not at all, and never kept.
"""

from dataclasses import replace
from functools import cached_property
from pathlib import Path

from graphql import FieldNode, GraphQLError, print_ast

from schema.limits.known_document import keep, known_document
from schema.root import TrunklineSchema
from server.documents import chosen_definition
from server.operation_files import (
    BadOperations,
    NamedOperation,
    read_operations,
    sha256_of,
    shipped_folder,
)
from server.operation_request import OperationRequest

NOT_FOUND = "PersistedQueryNotFound"
"""The message and the code below are what clients go by."""
NOT_FOUND_CODE = "PERSISTED_QUERY_NOT_FOUND"

_PREFIX = "sha256:"
_INTROSPECTION = frozenset({"__schema", "__type", "__typename"})


class PersistedOperations:
    """Those of this release, and those in an operator's folder.

    `only` admits nothing else but introspection, which GraphiQL asks for and a setting of its own
    turns off. They are read when they are first asked for; `load` reads them at once.
    """

    def __init__(self, folder: Path | None = None, *, only: bool = False) -> None:
        self._folder = folder
        self._only = only

    def load(self, schema: TrunklineSchema) -> None:
        """Read all of them and check the operator's by the schema. Raises `BadOperations`."""
        _ = self._shipped
        texts: dict[str, str] = {}
        for one in self._given:
            if texts.setdefault(one.id, one.text) != one.text:
                raise BadOperations(f"{one.source}: {one.id} is the id of another operation too")
            errors = keep(one.text).errors(schema._schema, introspection=True)  # noqa: SLF001  # as the schema's own extensions do
            if errors:
                raise BadOperations(f"{one.source}: {one.name or one.id}: {errors[0].message}")

    def resolve(self, asked: OperationRequest) -> OperationRequest:
        """The request with its document. Raises `GraphQLError` where it may not be executed."""
        if asked.document_id is None:
            if self._only:
                self._admit_text(asked)
            return asked
        known = self._known.get(asked.document_id.removeprefix(_PREFIX))
        text = known.text if known is not None else None
        if asked.query:
            return self._given_with_id(asked, text)
        if text is None:
            raise GraphQLError(NOT_FOUND, extensions={"code": NOT_FOUND_CODE})
        keep(text)
        return replace(asked, query=text)

    def name_of(self, asked: OperationRequest) -> str | None:
        """The name of the operation that was asked for by its id, and is ours; None for others."""
        if asked.document_id is None:
            return None
        known = self._known.get(asked.document_id.removeprefix(_PREFIX))
        # Whoever sends a text of their own beside its hash is no such operation.
        return known.name if known is not None and known.text == asked.query else None

    def manifest(self) -> dict[str, object]:
        """All of them in the form of Apollo's manifests, each once."""
        return {
            "format": "apollo-persisted-query-manifest",
            "version": 1,
            "operations": [
                {"id": one.id, "name": one.name, "type": one.kind.value, "body": one.text}
                for one in self._all
                if not one.rewritten
            ],
        }

    def _given_with_id(self, asked: OperationRequest, text: str | None) -> OperationRequest:
        """A client that was told `PersistedQueryNotFound` sends the text too."""
        if asked.query != text and asked.document_id not in {
            sha256_of(asked.query),
            f"{_PREFIX}{sha256_of(asked.query)}",
        }:
            raise GraphQLError("the hash does not match the document: send the document's SHA-256")
        if self._only:
            self._admit_text(asked)
        return asked

    def _admit_text(self, asked: OperationRequest) -> None:
        """Raises `GraphQLError` unless the text is a known operation's, or introspection."""
        definition = chosen_definition(asked.query, asked.operation_name)
        if _definitions(asked.query) in self._written or all(
            isinstance(one, FieldNode) and one.name.value in _INTROSPECTION
            for one in definition.selection_set.selections
        ):
            return
        raise GraphQLError(
            "this server executes the operations that it knows, and this is none of them: send one "
            "by `documentId`; GET /operations.json lists them",
            extensions={"code": "FORBIDDEN"},
        )

    @property
    def _all(self) -> list[NamedOperation]:
        return [*self._shipped, *self._given]

    @cached_property
    def _shipped(self) -> list[NamedOperation]:
        folder = shipped_folder()
        return read_operations(folder) if folder is not None else []

    @cached_property
    def _given(self) -> list[NamedOperation]:
        return read_operations(self._folder) if self._folder is not None else []

    @cached_property
    def _known(self) -> dict[str, NamedOperation]:
        return {one.id.removeprefix(_PREFIX): one for one in self._all}

    @cached_property
    def _written(self) -> frozenset[frozenset[str]]:
        return frozenset(_definitions(one.text) for one in self._all)


def _definitions(text: str) -> frozenset[str]:
    """A document's parts, however they are laid out and in whatever order."""
    return frozenset(print_ast(one) for one in known_document(text).document.definitions)
