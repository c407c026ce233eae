"""Makes an answer up: the same for the same request, in each protocol."""

import hashlib
import random
from dataclasses import replace
from itertools import islice

import orjson

from server.simulated.answer import Answer, Stop, ToolCall, Usage
from server.simulated.asked import Asked, Choice, Tool
from server.simulated.faults import WITHIN
from server.simulated.reaction import Content, Ending, Reaction
from server.simulated.sampling import sample_of

OPENING = ("A", " simulated", " answer", ".")
"""How every free answer begins, so that nobody takes it for a model's."""
_REFUSAL = ("I", "'m", " sorry", ",", " but", " I", " can't", " help", " with", " that", ".")
# Not all ASCII: a reader that cuts characters in two must not get away with it.
_WORDS = (
    " the", " of", " and", " to", " in", " is", " it", " as", " on", " by", " one", " more",
    " stream", " token", " model", " naïve", " café", " größer", " 東京", " 🙂", ",", ".", ";",
    " which", " nothing", " real", " said", " here", "\n",
)  # fmt: skip
_REASONING_WHEN_ASKED = 12
_SMALLEST_CACHED = 1_024
_CACHE_BLOCK = 128
_BEYOND_FAULT = 4
_PIECE_CHARACTERS = 4


def compose(asked: Asked, reaction: Reaction, *, seed: int, lengths: tuple[int, int]) -> Answer:
    """The answer; `lengths` are the least and the most tokens of one whose length nobody set."""
    wanted = reaction.content
    digest = hashlib.sha256(f"{seed}:{asked.model}:{asked.prompt}".encode(errors="replace"))
    dice = random.Random(digest.digest())  # noqa: S311  # made up, and the same each time
    length = dice.randint(*lengths) if wanted.output_tokens is None else wanted.output_tokens
    if reaction.fault in WITHIN:
        # Long enough for its fault to come.
        length = max(length, reaction.after_tokens + _BEYOND_FAULT)
    answer = Answer(
        id=digest.hexdigest()[:24],
        asked=asked,
        stop=Stop.WHOLE,
        usage=Usage(asked.input_tokens, 0),
        usage_told=wanted.usage_told,
    )
    thinking = wanted.reasoning_tokens or (_REASONING_WHEN_ASKED if asked.reasoning else 0)
    answer = replace(answer, reasoning=tuple(dice.choices(_WORDS, k=thinking)))
    answer = _filled(answer, asked, wanted, dice, length)
    answer = _limited(answer, asked)
    return replace(answer, usage=_usage(answer, asked, wanted, dice))


def _filled(
    answer: Answer, asked: Asked, wanted: Content, dice: random.Random, length: int
) -> Answer:
    if wanted.ending is Ending.REFUSAL:
        return replace(answer, pieces=_REFUSAL, stop=Stop.REFUSAL)
    if wanted.ending is Ending.FILTERED:
        return replace(answer, pieces=OPENING, stop=Stop.FILTERED)
    if calls := _calls(answer, wanted):
        return replace(answer, calls=calls, stop=Stop.TOOL)
    if asked.schema is not None:
        pieces = _pieces(orjson.dumps(sample_of(asked.schema)).decode())
    else:
        more = dice.choices(_WORDS, k=max(length - len(OPENING), 0))
        pieces = (*OPENING[:length], *more)
    cut_off = wanted.ending is Ending.LENGTH
    return replace(answer, pieces=pieces, stop=Stop.LENGTH if cut_off else Stop.WHOLE)


def _calls(answer: Answer, wanted: Content) -> tuple[ToolCall, ...]:
    """Tools are called when they must be, when the name of the model says so, or when the last
    message names one. A tool's result is answered in words, or an agent would never end."""
    asked = answer.asked
    if not asked.tools or asked.tool_choice is Choice.NONE:
        return ()
    text = asked.last.text
    if asked.tool_wanted is not None:
        chosen = [tool for tool in asked.tools if tool.name == asked.tool_wanted]
    elif asked.last.tool_result:
        chosen = []
    elif wanted.tool_calls:
        chosen = [asked.tools[at % len(asked.tools)] for at in range(wanted.tool_calls)]
    else:
        chosen = [tool for tool in asked.tools if tool.name in text]
    if not chosen and asked.tool_choice is Choice.REQUIRED:
        chosen = [asked.tools[0]]
    if not asked.parallel_tools:
        chosen = chosen[:1]
    return tuple(_call(answer.id, at, tool) for at, tool in enumerate(chosen))


def _call(answer_id: str, at: int, tool: Tool) -> ToolCall:
    schema = {"type": "object", **tool.schema}
    arguments = orjson.dumps(sample_of(schema)).decode()
    return ToolCall(f"{at:02}{answer_id[:22]}", tool.name, _pieces(arguments))


def _pieces(text: str) -> tuple[str, ...]:
    letters = iter(text)
    return tuple(iter(lambda: "".join(islice(letters, _PIECE_CHARACTERS)), ""))


def _limited(answer: Answer, asked: Asked) -> Answer:
    """Cut where a stop word comes, or where it is longer than it may be."""
    for word in asked.stop_words if asked.schema is None and not answer.calls else ():
        before, found, _ = answer.text.partition(word)
        if found:
            pieces = _pieces(before)
            answer = replace(answer, pieces=pieces, stop=Stop.STOP_WORD, stop_word=word)
    most = asked.most_tokens
    if most is None or len(answer.reasoning) + len(answer.pieces) <= most or answer.calls:
        return answer
    reasoning = answer.reasoning[:most]
    return replace(
        answer,
        reasoning=reasoning,
        pieces=answer.pieces[: most - len(reasoning)],
        stop=Stop.LENGTH,
        stop_word=None,
    )


def _usage(answer: Answer, asked: Asked, wanted: Content, dice: random.Random) -> Usage:
    counted = asked.input_tokens
    share = wanted.cached_share
    if share is not None:
        cached = round(counted * share)
    elif counted >= _SMALLEST_CACHED:
        cached = counted * dice.randrange(8) // 10 // _CACHE_BLOCK * _CACHE_BLOCK
    else:
        cached = 0
    reasoning = len(answer.reasoning)
    called = sum(len(call.pieces) for call in answer.calls)
    return Usage(
        input_tokens=counted,
        output_tokens=reasoning + len(answer.pieces) + called,
        cached=cached,
        cache_written=min(round(counted * wanted.cache_written_share), counted - cached),
        reasoning=reasoning,
    )
