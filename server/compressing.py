"""Answers as gzip, where they are large and the client takes them so (RFC 9110 §8.4, §12.5.3).

Event streams are never compressed: each event would wait in the compressor for the next.
"""

import asyncio
import gzip

from starlette.responses import Response

LEAST_COMPRESSED = 4_096
"""Bytes. A smaller answer fits into a few packets anyway."""
LEVEL = 1
"""Of nine: leaves a quarter of an answer. The sixth leaves a fifth, in twice the time."""
MOST_AT_ONCE = 256 * 1024
"""Bytes; more are compressed in a thread, beside what else is going on."""

_GZIP = frozenset({"gzip", "x-gzip"})


async def compressed(answer: Response, accept_encoding: str) -> Response:
    """The same answer, compressed where that pays. It says what it depends on in `Vary`."""
    answer.headers.add_vary_header("Accept, Accept-Encoding")
    body = bytes(answer.body)
    if len(body) < LEAST_COMPRESSED or not takes_gzip(accept_encoding):
        return answer
    answer.body = (
        _gzipped(body) if len(body) <= MOST_AT_ONCE else await asyncio.to_thread(_gzipped, body)
    )
    answer.headers["Content-Encoding"] = "gzip"
    answer.headers["Content-Length"] = str(len(answer.body))
    return answer


def takes_gzip(accept_encoding: str) -> bool:
    """Whether an `Accept-Encoding` takes gzip: by its own name, else by `*`."""
    weights: dict[str, float] = {}
    for entry in accept_encoding.lower().split(","):
        coding, _, parameter = (part.strip() for part in entry.partition(";"))
        name, _, value = (part.strip() for part in parameter.partition("="))
        try:
            weight = float(value) if name == "q" else 1.0
        except ValueError:
            continue  # One that makes no sense is passed over.
        weights["gzip" if coding in _GZIP else coding] = weight
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def _gzipped(body: bytes) -> bytes:
    return gzip.compress(body, LEVEL, mtime=0)
