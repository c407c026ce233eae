"""What the name of one of OpenAI's models tells of what it takes: what it doesn't take it refuses
with 400.

https://platform.openai.com/docs/guides/reasoning and, for the first of GPT-5,
https://platform.openai.com/docs/guides/latest-model ("Parameter compatibility"). Of names that
aren't told apart here nothing is known, and all is said.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

# gpt-4o-mini, gpt-4.1-2025-04-14, ft:gpt-4o-mini-2024-07-18:acme::1, gpt-5-chat-latest
_WITHOUT_REASONING = re.compile(r"(?:ft:)?(?:gpt-3\.5|gpt-4|chatgpt-4o|gpt-5-chat)")
# o1, o3-mini, o4-mini-2025-04-16
_O = re.compile(r"(?:ft:)?o\d(?:-|$)")
# gpt-5, gpt-5-mini, gpt-5-nano-2025-08-07; not gpt-5.1
_FIRST_GPT_5 = re.compile(r"gpt-5(?:-|$)")

_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


@dataclass(frozen=True, slots=True)
class OpenAiModel:
    """`efforts` are those that it takes, from the least on, none of them where it does not reason;
    None where nobody knows. `samples`: it takes temperature, top_p, penalties and stop sequences.
    `may_say_one_call`: it takes `parallel_tool_calls`.
    """

    efforts: tuple[str, ...] | None = None
    samples: bool = True
    may_say_one_call: bool = True

    def effort_for(self, asked: str) -> str | None:
        """The nearest effort that it takes; None where it takes none."""
        if self.efforts is None or asked in self.efforts or asked not in _EFFORTS:
            return asked
        if not self.efforts:
            return None
        place = _EFFORTS.index(asked)
        more = (one for one in self.efforts if _EFFORTS.index(one) > place)
        return next(more, self.efforts[-1])


UNKNOWN = OpenAiModel()


@lru_cache(maxsize=1_024)
def openai_model(wire_name: str) -> OpenAiModel:
    """What is known of the model of this name."""
    if _WITHOUT_REASONING.match(wire_name):
        return OpenAiModel(efforts=())
    if _O.match(wire_name):
        return OpenAiModel(("low", "medium", "high"), samples=False, may_say_one_call=False)
    if _FIRST_GPT_5.match(wire_name):
        return OpenAiModel(("minimal", "low", "medium", "high"), samples=False)
    return UNKNOWN
