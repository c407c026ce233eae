"""Values that break programs: what all surfaces draw from."""

import json
import re
from random import Random
from typing import Any

from hypothesis import strategies as st

RAW = re.compile(r'\\?"@@(.*?)@@\\?"')
"""`"@@1e400@@"` is written into JSON without its quotes: what no Python value is written as."""

STRINGS = (
    "", " ", "x", "\0", "a\0b", "\ud800", "a\udfffb", "\ufeff", "\u202e", "é", "e\u0301", "ﬁ", "ß",
    "İ", "K", "\U0001f469\u200d\U0001f4bb", "\u2028", "\r\n", "\x1b[2J", "\x7f", "%00", "%s%n",
    "{}",
    "${jndi:x}", "../../x", "'; DROP TABLE providers; --", "\\", '"', "NaN", "Infinity", "null",
    "undefined", "true", "-1", "1e400", "0x10", "١", "１２", "a" * 300, "a" * 5_000, "é" * 3_000,
    "http://127.0.0.1:1/", "http://[::1", "http://127.0.0.1:99999/", "http://127.0.0.1:1/\0",
    "http://user:pw@127.0.0.1:1/", "https://xn--/", "http://" + "a" * 300, "//",
    "file:///etc/passwd",
    "UTC", "Europe/Berlin", "../UTC", "Europe/", "utc", "Etc/GMT+12", "Pacific/Apia", "posix/UTC",
    "anthropic", "openai", "google", "ollama", "main", "chain/main", "anthropic/claude", "sk-ant-x",
)  # fmt: skip
DATES = (
    "2026-11-23T15:00:00Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-14:00", "10000-01-01T00:00:00Z",
    "2026-02-30T00:00:00Z", "2026-11-23T15:00:60Z", "2026-11-23T24:00:00Z", "2026-11-23",
    "2026-11-23T15:00:00", "2026-11-23T15:00:00+23:59", "1969-12-31T23:59:59Z",
    "2026-11-23T15:00:00.1234567Z", "2026-W48-1T00:00:00Z", "-0001-01-01T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "２０２６-11-23T15:00:00Z", "1900-01-01T00:00:00Z", "2200-01-01T00:00:00Z",
)  # fmt: skip
NUMBERS: tuple[Any, ...] = (
    0, 1, -1, 2, 5, 100, 101, 1_000, 1_001, 2**31 - 1, 2**31, -(2**31) - 1, 2**53 - 1, 2**53,
    2**63 - 1,
    2**63, 2**64, -(2**63) - 1, 0.5, -0.0, 1e-320, 1e308, 1e19, "@@1e400@@", "@@-1e400@@",
    "@@1e-400@@", "@@9" + "9" * 400 + "@@", "@@NaN@@", "@@-Infinity@@", "@@01@@", "@@1.0@@",
    "@@1E+2@@",
)  # fmt: skip
DECIMALS = (
    "0", "1", "0.25", "-1", "1e5", "1E400", "1e-400", "NaN", "Infinity", "-0", "9" * 40,
    "0." + "0" * 40 + "1", "1_000", " 1", "１", "1,5", "",
)  # fmt: skip

strings = st.one_of(st.sampled_from(STRINGS), st.text(st.characters(), max_size=20))
junk = st.binary(max_size=60)
scalars = st.one_of(
    st.none(), st.booleans(), st.sampled_from(NUMBERS), strings, st.sampled_from(DATES)
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(strings, inner, max_size=4),
    max_leaves=8,
)


def as_json(value: Any) -> bytes:
    """JSON with lone surrogates as escapes, and with what no parser should take."""
    return RAW.sub(r"\1", json.dumps(value)).encode()


def mutated_bytes(data: bytes, dice: Random) -> bytes:
    """The same with a few of its bytes turned, gone, doubled or moved."""
    found = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 4))):
        at = dice.randrange(len(found) + 1)
        end = min(len(found), at + dice.choice((1, 1, 2, 8, 64)))
        match dice.randrange(6):
            case 0:
                found[at:at] = bytes(dice.randrange(256) for _ in range(dice.choice((1, 2, 8))))
            case 1:
                del found[at:end]
            case 2:
                found[at:end] = bytes(byte ^ 1 << dice.randrange(8) for byte in found[at:end])
            case 3:
                found[at:at] = found[at:end]
            case 4:
                del found[at:]
            case _:
                found[at:end] = dice.choice(PIECES)
    return bytes(found)


PIECES = (
    b"\0", b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xef\xbb\xbf", b"\r", b"\n", b"\r\n\r\n",
    b"\n\n",
    b'"', b"{", b"}", b"[", b"]", b",", b":", b"null", b"1e400", b"NaN", b"\\ud800", b"\\u0000",
    b"-",
    b"data: ", b"event: ", b"data: [DONE]\n\n", b"99999999999999999999", b"[" * 2_000,
    b'{"a":' * 2_000,
)  # fmt: skip


def mutated(value: Any, dice: Random) -> Any:
    """JSON with one or two of its places holding something else, more, or nothing."""
    root = {"": json.loads(json.dumps(value))}
    for _ in range(dice.choice((1, 1, 2))):
        container, key = dice.choice(_places(root))
        match dice.randrange(5):
            case 0 if isinstance(container, list) or container is not root:
                del container[key]
            case 1 if isinstance(container, list):
                container.insert(key, container[key])
            case 2 if isinstance(container, dict) and container is not root:
                container[dice.choice(STRINGS)] = container.pop(key)
            case 3:
                container[key] = [container[key]] if dice.random() < 0.5 else {"x": container[key]}
            case _ if dice.random() < 0.05:
                container[key] = deep(dice)
            case _:
                container[key] = dice.choice(ODD)
        if not _places(root):
            break
    return root.get("")


def deep(dice: Random) -> Any:
    """Lists and objects in each other: more than is written, or nearly more than is read."""
    found: Any = {}
    for _ in range(dice.choice((50, 260, 900))):
        found = [found] if dice.random() < 0.5 else {"and": found}
    return found


ODD: tuple[Any, ...] = (None, True, [], {}, [[]], [None], {"": ""}, *NUMBERS, *STRINGS[:20])


def _places(value: Any) -> list[tuple[Any, Any]]:
    found = []
    waiting = [value]
    while waiting:
        one = waiting.pop()
        for key in list(one) if isinstance(one, dict) else range(len(one)):
            found.append((one, key))
            if isinstance(one[key], dict | list):
                waiting.append(one[key])
    return found
