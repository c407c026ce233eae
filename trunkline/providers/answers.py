"""Reads answers that should list models. They are hostile until read: any JSON may stand anywhere.

A list that can't be had whole is refused rather than shortened: whoever brings a catalog in line
with it would take the rest for gone.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeGuard

import orjson

from db.vocabulary import ConnectionTestStatus
from trunkline.providers.adapter import AnswerRefused, Connection, ListedModel
from trunkline.providers.failures import ErrorWords, class_of, is_web_page, message_of
from trunkline.providers.outgoing import Answer

LONGEST_NAME = 200
MOST_PAGES = 50
MOST_MODELS = 10_000
_LONGEST_CURSOR = 2_048
_LARGEST_COUNT = 2**31 - 1

ReadEntry = Callable[[dict[str, object]], ListedModel | None]
"""Reads one entry of a list of models; None where it names none."""

ReadPage = Callable[[Answer, int], tuple[list[ListedModel], str | None]]
"""Reads the page of this number, from 0: its models, and the path of the next page or None."""


async def read_pages(connection: Connection, first_path: str, read: ReadPage) -> list[ListedModel]:
    """The models of all pages. Raises `AnswerRefused`, also where the pages don't end."""
    models: list[ListedModel] = []
    asked: set[str] = set()
    path: str | None = first_path
    while path is not None:
        asked.add(path)
        answer = await connection.get(path)
        page, path = read(answer, len(asked) - 1)
        models += page
        if path in asked or len(models) > MOST_MODELS or (path and len(asked) == MOST_PAGES):
            raise unexpected(
                answer,
                f"the list of models does not end: more than {MOST_MODELS:,} models or "
                f"{MOST_PAGES} pages, or a page again that was read: check the base URL",
            )
    return distinct(models)


def read_object(answer: Answer, words: ErrorWords) -> dict[str, object]:
    """The JSON object of a good answer. Raises `AnswerRefused`."""
    parsed = read_json(answer, words)
    if not is_object(parsed):
        raise unexpected(answer, "the answer is no JSON object: check the base URL and the kind")
    return parsed


def read_json(answer: Answer, words: ErrorWords) -> object:
    """The JSON of a good answer. Raises `AnswerRefused`, classed by body, then by status."""
    if not 200 <= answer.status < 300:
        status = class_of(answer.status, answer.body, words)
        raise AnswerRefused(status, answer.status, message_of(status, answer))
    try:
        return orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        if is_web_page(answer):
            said = "a web page answered instead of an API: check the base URL"
        else:
            said = "the answer is no JSON: check the base URL and the kind"
        # Without its cause, which holds the answer's body.
        raise unexpected(answer, said) from None


def listed(answer: Answer, entries: object, read: ReadEntry) -> list[ListedModel]:
    """The models in a page's list. Raises `AnswerRefused` where it is none.

    Entries that can't be used (without a name, or with one that can't be stored) are left out, but
    where none of them can be, it is no list of models.
    """
    if isinstance(entries, list):
        read_entries = (read(entry) for entry in entries if is_object(entry))
        models = [model for model in read_entries if model is not None]
        if models or not entries:
            return models
    raise unexpected(
        answer, "the answer is JSON but no list of models: check the base URL and the kind"
    )


def unexpected(answer: Answer, message: str) -> AnswerRefused:
    """The refusal of an answer that is no list of models."""
    return AnswerRefused(ConnectionTestStatus.UNEXPECTED_RESPONSE, answer.status, message)


def distinct(models: Iterable[ListedModel]) -> list[ListedModel]:
    """The models by their wire names: where one is listed twice, the first."""
    by_name: dict[str, ListedModel] = {}
    for model in models:
        by_name.setdefault(model.wire_name, model)
    return list(by_name.values())


def named(model: ListedModel, name: object) -> ListedModel:
    """The model with a name for people, where `name` is one."""
    text = name.strip() if isinstance(name, str) else ""
    return replace(model, name=text) if wire_name_of(text) else model


def is_object(value: object) -> TypeGuard[dict[str, object]]:
    """Whether a JSON value is an object."""
    return isinstance(value, dict)


def wire_name_of(value: object) -> str | None:
    """A JSON value as the name of a model, exactly as it stands, or None where it can be none."""
    if not isinstance(value, str) or len(value) > LONGEST_NAME or value != value.strip():
        return None
    return value if value and value.isprintable() else None


def count_of(value: object) -> int | None:
    """A JSON value as a positive count, or None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 < value <= _LARGEST_COUNT else None


def cursor_of(answer: Answer, value: object) -> str:
    """A JSON value as what names the next page. Raises `AnswerRefused` where it can't."""
    if not isinstance(value, str) or not value or len(value) > _LONGEST_CURSOR:
        raise unexpected(
            answer, "the list of models goes on, but does not say where: check the base URL"
        )
    return value


def words_of(value: object) -> frozenset[str]:
    """The strings in a JSON list."""
    if not isinstance(value, list):
        return frozenset()
    return frozenset(one for one in value if isinstance(one, str))
