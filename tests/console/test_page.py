"""The page at `/graphiql`: what its files may hold, and what it does in a real browser."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.console.live_server import LiveServer

LARGEST_PAGE = 10_000_000
"""Bytes; most of it is the editor."""

# Named in texts that the editor and React carry: XML namespaces, JSON schema names, documentation.
MENTIONED = {
    "api.groq.com",
    "code.visualstudio.com",
    "commonmark.org",
    "en.wikipedia.org",
    "github.com",
    "json-schema.org",
    "microsoft.com",
    "prettier.io",
    "react.dev",
    "www.w3.org",
    "yarnpkg.com",
}


def _files(page: Path, *suffixes: str) -> dict[str, str]:
    found = {
        str(path.relative_to(page)): path.read_text()
        for path in page.rglob("*")
        if path.suffix in suffixes
    }
    assert found
    return found


def test_loads_nothing_from_elsewhere(page: Path) -> None:
    for name, text in _files(page, ".html", ".css").items():
        loaded = re.findall(r"""(?:src|href)=["']?([^"'\s>]+)|url\(["']?([^"')]+)""", text)
        loaded += [(found, "") for found in re.findall(r"@import\s+([^;]+)", text)]
        for address in (one or other for one, other in loaded):
            assert address.startswith(("/graphiql/", "data:", "./", "#")), (
                f"{name}: {address[:200]}"
            )


def test_scripts_name_no_unknown_host(page: Path) -> None:
    for name, text in _files(page, ".js").items():
        hosts = {
            host
            for host in re.findall(r"(?:https?|wss?)://([\w-]+(?:\.[\w-]+)+)", text)
            if not host.startswith("127.")
        }
        assert hosts <= MENTIONED, name


def test_needs_no_inline_script_and_no_eval(page: Path) -> None:
    """So that the server's policy can be `script-src 'self'`."""
    index = (page / "index.html").read_text()
    assert re.findall(r"<script(?![^>]*\bsrc=)[^>]*>", index) == []
    assert re.findall(r"\son\w+=", index) == []
    for name, text in _files(page, ".js").items():
        assert not re.search(r"\bnew Function\(|(?<![\w.$])eval\(", text), name


def test_is_of_reasonable_size_and_without_source_maps(page: Path) -> None:
    files = [path for path in page.rglob("*") if path.is_file()]
    assert not [path for path in files if path.suffix == ".map"]
    assert sum(path.stat().st_size for path in files) < LARGEST_PAGE


def test_lock_file_names_no_registry() -> None:
    lock = (Path(__file__).parents[2] / "console" / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert "registry" not in lock


@pytest.mark.browser
@pytest.mark.node
@pytest.mark.slow
def test_a_person_signs_in_queries_and_watches_usage(
    page: Path,
    chromium: str,
    live_server: LiveServer,
    run_node: Callable[..., str],
    tmp_path: Path,
) -> None:
    """What it does and asserts, step by step, is in `console/checks/page.mjs`."""
    run_node(
        "checks/page.mjs",
        str(tmp_path),
        TRUNKLINE_URL=live_server.url,
        TRUNKLINE_ADMIN_TOKEN=live_server.admin_token,
        TRUNKLINE_SIGN_IN_LINK=live_server.sign_in_link,
        TRUNKLINE_OTHER_SIGN_IN_LINK=live_server.another_sign_in_link(),
        TRUNKLINE_CHROMIUM=chromium,
    )
