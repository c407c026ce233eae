"""Named operations in files: those that came with this release, and those of an operator.

- `*.graphql`: operations with the fragments that they use. Each becomes a document of its own: the
  operation, then its fragments in the order in which they are first spread, as `print` of
  GraphQL.js 16 writes them. Its id is the SHA-256 of that text in hexadecimal. What its clients
  make of it has the hash of its own text: with `__typename` everywhere, as Apollo's and urql's
  caches ask for it, and as GraphQL.js 17 writes it, with spaces inside braces.
- `*.json`: a manifest, either `{"<id>": "<document>"}` (GraphQL Code Generator) or Apollo's
  `{"operations": [{"id", "body"}]}`. Ids are taken as they are.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from graphql import (
    DocumentNode,
    EnumValueNode,
    ExecutableDefinitionNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    ListValueNode,
    NameNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    Visitor,
    print_ast,
    visit,
)
from graphql.language import OperationType

from schema.limits.known_document import known_document

LONGEST_ID = 256
LARGEST_FILE = 32 * 2**20


class BadOperations(ValueError):
    """A file can't be taken; the message names it and says why."""


@dataclass(frozen=True, slots=True)
class NamedOperation:
    """One operation as a document of its own; `source` is the file it stands in.

    `rewritten` says that it is another's text as some clients write it.
    """

    id: str
    name: str
    kind: OperationType
    text: str
    source: str
    rewritten: bool = False


def shipped_folder() -> Path | None:
    """The operations of this release: in a checkout beside the packages, in a wheel with the page.

    None in a wheel that was built without its page.
    """
    server = Path(str(files("server")))
    for folder in (server.parent / "graphql" / "operations", server / "page" / "operations"):
        if folder.is_dir():
            return folder
    return None


def read_operations(folder: Path) -> list[NamedOperation]:
    """Every operation of the folder's files. Raises `BadOperations`."""
    try:
        if not folder.is_dir():
            raise BadOperations(
                f"{folder} is no folder: give one that holds *.graphql or *.json files"
            )
        listed = [
            file
            for file in sorted(folder.iterdir())
            if file.suffix in {".graphql", ".json"} and file.is_file()
        ]
    except OSError as error:
        raise BadOperations(f"{folder} can't be read: {error.strerror}") from error
    found: list[NamedOperation] = []
    for file in listed:
        found += _of_document(file) if file.suffix == ".graphql" else _of_manifest(file)
    return found


def sha256_of(text: str) -> str:
    """The id that a document's text has."""
    # A caller's text may hold lone surrogates, which no document of ours does.
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def _of_document(file: Path) -> Iterator[NamedOperation]:
    document = _parsed(_read(file), file.name)
    fragments = {
        one.name.value: one
        for one in document.definitions
        if isinstance(one, FragmentDefinitionNode)
    }
    for one in document.definitions:
        if not isinstance(one, OperationDefinitionNode):
            continue
        if one.name is None:
            raise BadOperations(f"{file.name}: an operation has no name: give it one")
        own = DocumentNode(definitions=(one, *_spread_by(one, fragments)))
        written = dict.fromkeys(
            write(document)
            for document in (own, visit(own, _AddTypename()))
            for write in (_as_16_writes, print_ast)
        )
        for place, text in enumerate(written):
            yield NamedOperation(
                sha256_of(text), one.name.value, one.operation, text, file.name, place > 0
            )


def _of_manifest(file: Path) -> Iterator[NamedOperation]:
    try:
        manifest = json.loads(_read(file))
    except ValueError as error:
        raise BadOperations(f"{file.name} is not valid JSON: {error}") from error
    except RecursionError as error:
        raise BadOperations(f"{file.name} is nested too deeply") from error
    for operation_id, text in _entries(manifest, file.name):
        if not operation_id or len(operation_id) > LONGEST_ID:
            raise BadOperations(f"{file.name}: an id has 1 to {LONGEST_ID} characters")
        where = f"{file.name}: {operation_id}"
        operations = [
            one
            for one in _parsed(text, where).definitions
            if isinstance(one, OperationDefinitionNode)
        ]
        if len(operations) != 1:
            raise BadOperations(f"{where} holds {len(operations)} operations: it must hold one")
        (one,) = operations
        name = one.name.value if one.name else ""
        yield NamedOperation(operation_id, name, one.operation, text, file.name)


def _entries(manifest: object, where: str) -> Iterator[tuple[str, str]]:
    listed = manifest.get("operations") if isinstance(manifest, dict) else None
    if isinstance(listed, list):
        entries = [
            (one.get("id"), one.get("body")) if isinstance(one, dict) else (None, None)
            for one in listed
        ]
    elif isinstance(manifest, dict):
        entries = [*manifest.items()]
    else:
        entries = [(None, None)]
    for operation_id, text in entries:
        if not isinstance(operation_id, str) or not isinstance(text, str):
            raise BadOperations(
                f'{where}: give {{"<id>": "<document>"}}, '
                'or {"operations": [{"id": "…", "body": "…"}]}'
            )
        yield operation_id, text


def _spread_by(
    definition: ExecutableDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> list[FragmentDefinitionNode]:
    found: dict[str, FragmentDefinitionNode] = {}

    class Finding(Visitor):
        def enter_fragment_spread(self, node: FragmentSpreadNode, *_rest: object) -> None:
            name = node.name.value
            if name in fragments and name not in found:
                found[name] = fragments[name]
                visit(fragments[name], Finding())

    try:
        visit(definition, Finding())
    except RecursionError as error:
        raise BadOperations(
            "too many fragments spread each other: spread fewer in a row"
        ) from error
    return [*found.values()]


class _AddTypename(Visitor):
    """`__typename` last in every selection set but an operation's own, where it isn't yet."""

    def leave_selection_set(
        self, node: SelectionSetNode, _key: object, parent: object, *_rest: object
    ) -> SelectionSetNode | None:
        if isinstance(parent, OperationDefinitionNode):
            return None
        if any(
            isinstance(one, FieldNode) and one.name.value.startswith("__")
            for one in node.selections
        ):
            return None
        typename = FieldNode(name=NameNode(value="__typename"), arguments=(), directives=())
        return SelectionSetNode(selections=(*node.selections, typename))


class _Compact(Visitor):
    """Puts each object and list in one line; a name is the one value that is written as it is."""

    def leave_object_value(self, node: ObjectValueNode, *_rest: object) -> EnumValueNode:
        fields = (f"{field.name.value}: {print_ast(field.value)}" for field in node.fields)
        return EnumValueNode(value=f"{{{', '.join(fields)}}}")

    def leave_list_value(self, node: ListValueNode, *_rest: object) -> EnumValueNode:
        return EnumValueNode(value=f"[{', '.join(print_ast(value) for value in node.values)}]")


def _as_16_writes(document: DocumentNode) -> str:
    return print_ast(visit(document, _Compact()))


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise BadOperations(f"{file.name} is larger than {LARGEST_FILE // 2**20} MiB")
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadOperations(f"{file.name} can't be read: {error}") from error


def _parsed(text: str, where: str) -> DocumentNode:
    try:
        return known_document(text).document
    except GraphQLError as error:
        raise BadOperations(f"{where}: {error.message}") from error
