"""What the name of a Gemini model tells of how it takes thinking and signatures.

https://ai.google.dev/gemini-api/docs/thinking and
https://ai.google.dev/gemini-api/docs/thought-signatures. A field that a model doesn't know is
refused by it with 400, so what isn't sure to be known is left out.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

_VERSIONED = re.compile(r"gemini-(\d{1,3})(?:\.(\d{1,3}))?(?:-|$)")
_LATEST = re.compile(r"gemini-.*-latest$")


class Thinking(StrEnum):
    """How a model is told how much to think."""

    LEVEL = "level"
    """`thinkingLevel`, and for compatibility `thinkingBudget`; never off."""
    BUDGET = "budget"
    """`thinkingBudget`, in tokens."""
    NONE = "none"
    """Not at all: it refuses `thinkingConfig`."""


@dataclass(frozen=True, slots=True)
class GoogleModel:
    """`least_budget` is the smallest budget other than 0, in tokens; `least_level` and
    `medium_level` are the words for the least thinking and for a medium one.
    """

    thinking: Thinking
    least_budget: int = 1
    most_budget: int = 24_576
    can_stop_thinking: bool = True
    least_level: str = "low"
    medium_level: str = "medium"
    # From the third generation on: it refuses a call in its history that isn't signed, and takes
    # pictures within a tool's result.
    is_third: bool = False
    # Not before the third generation:
    # https://ai.google.dev/gemini-api/docs/structured-output ("Structured outputs with tools").
    takes_json_beside_tools: bool = True


@lru_cache(maxsize=1_024)
def google_model(wire_name: str) -> GoogleModel:
    """What is known of the model of this name."""
    name = wire_name.rpartition("/")[2].lower()
    versioned = _VERSIONED.match(name)
    if versioned is None:
        # An alias of the newest model, which takes a budget whether it is of the second or the
        # third generation. Of any other name (Gemma, a tuned model) nothing is known.
        if _LATEST.match(name):
            return GoogleModel(
                Thinking.BUDGET,
                least_budget=512,
                can_stop_thinking="pro" not in name,
                is_third=True,
            )
        return GoogleModel(Thinking.NONE)
    version = int(versioned[1]), int(versioned[2] or 0)
    if version >= (3, 0):
        return _third(name, version)
    if version == (2, 5):
        return _second(name)
    return GoogleModel(Thinking.NONE, takes_json_beside_tools=False)


def _third(name: str, version: tuple[int, int]) -> GoogleModel:
    """Levels by https://ai.google.dev/gemini-api/docs/openai#thinking: "minimal" is known to the
    first Flash models alone, "medium" not to the first Pro.
    """
    return GoogleModel(
        Thinking.LEVEL,
        least_budget=128,
        most_budget=32_768,
        can_stop_thinking=False,
        least_level="minimal" if "flash" in name and version <= (3, 1) else "low",
        medium_level="high" if "pro" in name and version == (3, 0) else "medium",
        is_third=True,
    )


def _second(name: str) -> GoogleModel:
    if "pro" in name:
        return GoogleModel(
            Thinking.BUDGET,
            least_budget=128,
            most_budget=32_768,
            can_stop_thinking=False,
            takes_json_beside_tools=False,
        )
    return GoogleModel(
        Thinking.BUDGET,
        least_budget=512 if "lite" in name else 1,
        takes_json_beside_tools=False,
    )
