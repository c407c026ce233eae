"""Has a server forget what it keeps of the store's answers: each is new to it then, as after a
change of everything that is asked for.
"""

from db import model_pages, provider_pages, rollup_columns
from db.questions import Question
from schema.compiled.unchanging import kept

_QUESTIONS = [
    value
    for module in (model_pages, provider_pages)
    for value in vars(module).values()
    if isinstance(value, Question)
]


def forget() -> None:
    """Forget it."""
    kept.clear()
    rollup_columns._kept.cache_clear()
    for question in _QUESTIONS:
        for text in question._texts.values():
            text._kept.cache_clear()
