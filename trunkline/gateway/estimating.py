"""Estimates tokens where a provider has not said how many there were: four characters each.

That is what providers give as a rule of thumb for English text
(https://help.openai.com/en/articles/4936856). Pictures and other bytes count nothing.
"""

from collections.abc import Mapping

CHARACTERS_PER_TOKEN = 4
_LONGEST_WORDLESS = 4_096
"""Characters without a space that may still be words; longer is data in base64."""


def tokens_of(characters: int) -> int:
    """About how many tokens so many characters are."""
    return -(-characters // CHARACTERS_PER_TOKEN)


def characters_in(value: object) -> int:
    """How many characters of text stand in a JSON value, however deep."""
    count = 0
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            if len(one) <= _LONGEST_WORDLESS or " " in one:
                count += len(one)
        elif isinstance(one, Mapping):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return count
