"""Generated Python: its names, and the function that its text becomes."""

from collections.abc import Mapping
from functools import lru_cache
from types import CodeType
from typing import Any

MOST_TEXTS = 1_024
LONGEST_SHARED = 16_384
"""Characters of a text that is compiled once for all equal shapes: some two hundred fields."""


class Names:
    """What generated code refers to, each object under a name of its own.

    Equal shapes give equal names, so that their text is compiled once.
    """

    def __init__(self, always: Mapping[str, object]) -> None:
        self._bound: dict[str, object] = dict(always)

    def bind(self, prefix: str, value: object) -> str:
        """A new name for `value`."""
        name = f"{prefix}_{len(self._bound)}"
        self._bound[name] = value
        return name

    def fresh(self, prefix: str) -> str:
        """A new name for what the text itself defines."""
        return self.bind(prefix, None)

    def run(self, text: str) -> dict[str, Any]:
        """The definitions of `text`, which knows the bound names."""
        namespace: dict[str, Any] = dict(self._bound)
        compiled = _code(text) if len(text) <= LONGEST_SHARED else _compiled(text)
        exec(compiled, namespace)  # noqa: S102  # our text; what clients name is quoted in it
        return namespace


def _compiled(text: str) -> CodeType:
    return compile(text, "<compiled selection>", "exec")


_code = lru_cache(maxsize=MOST_TEXTS)(_compiled)
