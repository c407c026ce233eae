"""GraphiQL's files: types, caching, the policy, and nothing from elsewhere on the disk."""

from pathlib import Path
from typing import Any

import httpx2
import pytest


@pytest.fixture(scope="module")
def paged(make_running_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("built")
    (root / "secret.txt").write_text("outside")
    page = root / "page"
    (page / "assets").mkdir(parents=True)
    (page / "index.html").write_text("<!doctype html><title>page</title>")
    (page / "assets" / "main-abc.js").write_text("1")
    (page / "assets" / "style-abc.css").write_text("a{}")
    (page / "assets" / "font-abc.ttf").write_bytes(b"f")
    (page / "assets" / "odd.bin").write_bytes(b"b")
    (page / "operations").mkdir()
    (page / "operations" / "index.json").write_text("{}")
    (page / "assets" / "way-out").symlink_to(root / "secret.txt")
    return make_running_server(page=page)


@pytest.mark.parametrize("path", ["/graphiql", "/graphiql/"])
def test_the_page_needs_no_token_and_is_asked_for_anew(paged: Any, path: str) -> None:
    response = httpx2.get(f"{paged.url}{path}")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-content-type-options"] == "nosniff"
    policy = dict(
        part.strip().split(" ", 1)
        for part in response.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["worker-src"] == "'self' blob:"
    assert policy["frame-ancestors"] == "'none'"


@pytest.mark.parametrize(
    ("name", "content_type", "caching"),
    [
        ("assets/main-abc.js", "text/javascript; charset=utf-8", "immutable"),
        ("assets/style-abc.css", "text/css; charset=utf-8", "immutable"),
        ("assets/font-abc.ttf", "font/ttf", "immutable"),
        ("assets/odd.bin", "application/octet-stream", "immutable"),
        ("operations/index.json", "application/json", "no-cache"),
    ],
)
def test_files_have_their_type_and_caching(
    paged: Any, name: str, content_type: str, caching: str
) -> None:
    response = httpx2.get(f"{paged.url}/graphiql/{name}")
    assert response.status_code == 200
    assert response.headers["content-type"] == content_type
    assert caching in response.headers["cache-control"]


@pytest.mark.parametrize(
    "path",
    [
        "/graphiql/assets/none.js",
        "/graphiql/assets",
        "/graphiql/assets/",
        "/graphiql/../secret.txt",
        "/graphiql/%2e%2e/secret.txt",
        "/graphiql/..%2fsecret.txt",
        "/graphiql/assets/../../secret.txt",
        "/graphiql//etc/passwd",
        "/graphiql/%2fetc/passwd",
        "/graphiql/assets/way-out",
        "/graphiql/%00",
        "/graphiql/" + "x" * 5_000,
    ],
)
def test_nothing_else_is_served(paged: Any, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = paged.raw(request.encode())
    assert answer.startswith(b"HTTP/1.1 404")
    assert b"outside" not in answer


def test_the_root_leads_to_the_page(paged: Any) -> None:
    response = httpx2.get(f"{paged.url}/")
    assert response.status_code == 307
    assert response.headers["location"] == "/graphiql"


def test_a_page_that_is_not_built_says_how(make_running_server: Any, tmp_path: Path) -> None:
    bare = make_running_server(page=tmp_path)
    response = httpx2.get(f"{bare.url}/graphiql")
    assert response.status_code == 503
    assert "make page" in response.text
