"""Operations in files: split, written as clients write them, hashed; what manifests may hold."""

import hashlib
import json
from pathlib import Path

import pytest
from graphql import parse, print_ast

from server.operation_files import BadOperations, read_operations, shipped_folder
from tests.schema.test_operations import OPERATIONS


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


def definitions(text: str) -> set[str]:
    return {print_ast(one) for one in parse(text).definitions}


def test_every_shipped_operation_is_there_under_its_hash() -> None:
    folder = shipped_folder()
    assert folder is not None
    found = {one.name: one for one in read_operations(folder) if not one.rewritten}
    assert found.keys() == OPERATIONS.keys()
    for name, (text, kind) in OPERATIONS.items():
        assert definitions(found[name].text) == definitions(text)
        assert found[name].kind is kind
        assert found[name].id == hashlib.sha256(found[name].text.encode()).hexdigest()


def test_an_operation_gets_the_fragments_that_it_uses_and_no_other(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        page_graphql="""
        query A { hello ...Two ...One }
        query B { hello }
        fragment One on Query { hello }
        fragment Two on Query { ...One viewer }
        fragment Unused on Query { hello }
        """,
    )
    first, second = (one for one in read_operations(folder) if not one.rewritten)
    names = [one.name.value for one in parse(first.text).definitions]  # type: ignore[attr-defined]  # all have names
    assert names == ["A", "Two", "One"]
    assert second.text == "query B {\n  hello\n}"


def test_an_id_is_the_hash_that_javascript_clients_make(tmp_path: Path) -> None:
    """The texts and hashes are GraphQL.js 16.15's, and those that Apollo Client 4.3 sends."""
    folder = write(
        tmp_path,
        a_graphql="query A($n: Int = 1) { me { hello(name: $n) } f(w: {a: 1, b: [1, {c: 2}]}) }",
    )
    plain, _, typename, _ = read_operations(folder)
    assert plain.text == (
        "query A($n: Int = 1) {\n  me {\n    hello(name: $n)\n  }\n"
        "  f(w: {a: 1, b: [1, {c: 2}]})\n}"
    )
    assert typename.text == plain.text.replace("name: $n)\n", "name: $n)\n    __typename\n")
    assert typename.rewritten


@pytest.mark.parametrize(
    "manifest",
    [
        {"one": "query A { hello }"},
        {
            "format": "apollo-persisted-query-manifest",
            "version": 1,
            "operations": [
                {"id": "one", "name": "A", "type": "query", "body": "query A { hello }"}
            ],
        },
    ],
)
def test_a_manifests_ids_are_taken_as_they_are(tmp_path: Path, manifest: object) -> None:
    (one,) = read_operations(write(tmp_path, m_json=json.dumps(manifest)))
    assert (one.id, one.name, one.text) == ("one", "A", "query A { hello }")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.graphql", "query A { ", "a.graphql: Syntax Error"),
        ("a.graphql", "{ hello }", "a.graphql: an operation has no name"),
        ("m.json", "{", "m.json is not valid JSON"),
        ("m.json", "[1]", "m.json: give"),
        ("m.json", '{"a": 1}', "m.json: give"),
        ("m.json", '{"operations": [1]}', "m.json: give"),
        ("m.json", '{"": "{ hello }"}', "an id has 1 to 256 characters"),
        ("m.json", '{"a": "query A { hello } query B { hello }"}', "m.json: a holds 2 operations"),
        ("m.json", '{"a": "{"}', "m.json: a: Syntax Error"),
    ],
)
def test_a_file_that_can_not_be_taken_is_named(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(BadOperations, match=said):
        read_operations(tmp_path)


def test_what_can_not_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.graphql").write_bytes(b"\xff")
    with pytest.raises(BadOperations, match=r"a\.graphql can't be read"):
        read_operations(tmp_path)
    with pytest.raises(BadOperations, match="is no folder"):
        read_operations(tmp_path / "nowhere")
