"""What Claude models of a version take, told by their names: requests differ, and one in the form
of another version is refused with 400.

https://platform.claude.com/docs/en/build-with-claude/extended-thinking,
https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking and
https://platform.claude.com/docs/en/build-with-claude/effort
"""

import re
from dataclasses import dataclass
from functools import lru_cache

# claude-opus-4-7, claude-sonnet-4-5-20250929, claude-3-5-haiku-latest, anthropic.claude-opus-4-6-v1
_VERSION = re.compile(r"claude-(?:([a-z]+)-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_PREVIEW = "claude-mythos-preview"
# Models that always think.
_ALWAYS = frozenset({"fable", "mythos"})
_NAMES_KEPT = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTraits:
    """What a model takes.

    `adaptive`: it thinks by an effort, and the newest refuse a budget of tokens; the others know
    budgets only. `beyond_high`: it knows the efforts xhigh and max, of which the first adaptive
    models know one at most. `can_be_silent`: its thinking can be turned off. `sampling`: it takes
    temperature, top_p and top_k.
    """

    adaptive: bool = False
    beyond_high: bool = False
    can_be_silent: bool = True
    sampling: bool = True


@lru_cache(maxsize=_NAMES_KEPT)
def traits_of(wire_name: str) -> ModelTraits:
    """The traits of the model of this name. One whose name tells no version is taken for older
    than Claude 4.6, as models of other makers are that speak this protocol.
    """
    if _PREVIEW in wire_name:
        return ModelTraits(adaptive=True, can_be_silent=False)
    found = _VERSION.search(wire_name)
    if found is None:
        return ModelTraits()
    version = (int(found[2]), int(found[3] or 0))
    return ModelTraits(
        adaptive=version >= (4, 6),
        beyond_high=version >= (4, 7),
        can_be_silent=found[1] not in _ALWAYS,
        sampling=version < (4, 7),
    )
