"""Cases: what one surface is asked, as JSON, so that each can be kept in a file and played again.

Bytes stand in a case as a list of parts: a string of their latin-1 signs, `[string, times]` for
what is repeated, `{"deflate": parts}` and `{"gzip": parts}` for what is compressed.
"""

import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis.strategies import SearchStrategy

if TYPE_CHECKING:
    from tests.fuzz.subject import Subject

CORPUS = Path(__file__).with_name("corpus")
MOST_BYTES = 2**26

Case = dict[str, Any]
Part = str | list[Any] | dict[str, Any]


class Finding(AssertionError):
    """The subject did what it may never do; the message says what."""


@dataclass(frozen=True)
class Surface:
    """One way in: the cases that are tried there, and what playing one means.

    `play` raises `Finding`. `prepare` sets up what cases need and finds it set up the next time;
    `conclude` looks at what all cases left behind.
    """

    name: str
    cases: SearchStrategy[Case]
    play: Callable[["Subject", Case], None]
    prepare: Callable[["Subject"], None] = lambda _: None
    conclude: Callable[["Subject"], None] = lambda _: None
    examples: int = 100
    """Of a run in CI."""


def bytes_of(parts: list[Part]) -> bytes:
    """The bytes that these parts stand for, `MOST_BYTES` at most."""
    return b"".join(map(_bytes_of, parts))[:MOST_BYTES]


def _bytes_of(part: Part) -> bytes:
    if isinstance(part, str):
        return part.encode("latin-1")
    if isinstance(part, dict):
        ((way, inner),) = part.items()
        plain = bytes_of(inner)
        if way == "gzip":
            return gzip.compress(plain, mtime=0)
        raw = zlib.compressobj(wbits=-15)
        return (raw.compress(plain) + raw.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\0\0\xff\xff")
    text, times = part
    return bytes(text.encode("latin-1") * min(times, MOST_BYTES // max(len(text), 1)))


def parts_of(data: bytes) -> list[Part]:
    """One part that stands for these bytes."""
    return [data.decode("latin-1")]


def kept(surface: str) -> Iterator[tuple[str, Case]]:
    """What is in the corpus of this surface, by the names of its files."""
    for file in sorted((CORPUS / surface).glob("*.json")):
        yield file.stem, json.loads(file.read_text())["case"]


def keep(surface: str, case: Case, why: str, folder: Path = CORPUS) -> Path:
    """Write a case into the corpus; the same case goes into the same file."""
    text = json.dumps(case, indent=1, ensure_ascii=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:12]
    file = folder / surface / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"why": why, "case": case}, indent=1, ensure_ascii=True) + "\n")
    return file
