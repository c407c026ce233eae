"""Large answers come as gzip to whoever takes that."""

import gzip
from typing import Any

import httpx2
import pytest

from server.compressing import LEAST_COMPRESSED, MOST_AT_ONCE, takes_gzip

QUERY = "query ($name: String!) { hello(name: $name) }"
LONG = "x" * LEAST_COMPRESSED


def asked(server: Any, name: str, **headers: str) -> httpx2.Response:
    found: httpx2.Response = server.post(
        {"query": QUERY, "variables": {"name": name}}, headers=headers
    )
    return found


@pytest.mark.parametrize("name", [LONG, "\N{SNOWMAN}" * MOST_AT_ONCE])
def test_a_large_answer_is_compressed_and_is_the_same(server: Any, name: str) -> None:
    plain = asked(server, name, **{"Accept-Encoding": "identity"})
    packed = asked(server, name, **{"Accept-Encoding": "br, gzip;q=0.5"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.json() == plain.json() == {"data": {"hello": f"hello {name}"}}
    assert int(packed.headers["content-length"]) < len(plain.content) / 10
    assert plain.headers["content-type"] == packed.headers["content-type"]
    for answer in (plain, packed):
        vary = {one.strip() for one in answer.headers["vary"].split(",")}
        assert {"Accept", "Accept-Encoding"} <= vary


def test_what_is_on_the_wire_is_gzip(server: Any) -> None:
    body = b'{"query": "{ hello(name: \\"%b\\") }"}' % LONG.encode()
    answer = server.raw(
        b"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %b\r\n"
        b"Content-Type: application/json\r\nAccept-Encoding: gzip\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (server.token.encode(), len(body), body)
    )
    head, _, packed = answer.partition(b"\r\n\r\n")
    assert b"\r\ncontent-length: %d\r\n" % len(packed) in head.lower() + b"\r\n"
    assert LONG.encode() in gzip.decompress(packed)


def test_a_small_answer_is_left_as_it_is(server: Any) -> None:
    answer = asked(server, "x", **{"Accept-Encoding": "gzip"})
    assert "content-encoding" not in answer.headers
    assert "Accept-Encoding" in answer.headers["vary"]


def test_an_event_stream_is_left_as_it_is(server: Any) -> None:
    stream = {"Accept": "text/event-stream", "Accept-Encoding": "gzip"}
    answer = asked(server, LONG, **stream)
    assert "content-encoding" not in answer.headers
    assert LONG in answer.text


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("*", True),
        ("identity", False),
        ("br, zstd", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("*;q=0", False),
        ("*;q=1, gzip;q=0", False),
        ("gzip;q=x", False),
        ("gzip ; q = 0.1", True),
        (",,;;=,gzip", True),
    ],
)
def test_accept_encoding(header: str, taken: bool) -> None:
    assert takes_gzip(header) is taken
