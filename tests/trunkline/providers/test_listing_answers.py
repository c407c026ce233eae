"""Lists of models as no provider should send them, over real HTTP, through every adapter."""

from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.vocabulary import ConnectionTestStatus as Status
from db.vocabulary import ModelCapability, ProviderKind
from tests.trunkline.providers.scripted import Everywhere, Scripted, http_answer
from trunkline.providers.adapter import AnswerRefused, ListedModel
from trunkline.providers.answers import MOST_MODELS, MOST_PAGES, count_of, listed, wire_name_of
from trunkline.providers.connection import ConnectionOutcome, ask_for_models
from trunkline.providers.outgoing import Answer

KINDS = list(ProviderKind)
# Where each protocol keeps its list, and the name in an entry.
FIELDS = {
    ProviderKind.OPENAI: ("data", "id"),
    ProviderKind.OPENAI_COMPATIBLE: ("data", "id"),
    ProviderKind.ANTHROPIC: ("data", "id"),
    ProviderKind.GOOGLE: ("models", "name"),
    ProviderKind.OLLAMA: ("models", "model"),
}


def page(kind: ProviderKind, *names: object) -> dict[str, object]:
    entries, name = FIELDS[kind]
    return {entries: [{name: one} for one in names]}


def query_of(request: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(request.split(" ")[1]).query)


async def ask(
    scripted: Scripted, kind: ProviderKind, key: str | None = "a-key", timeout_seconds: float = 5
) -> ConnectionOutcome:
    async with Everywhere() as outgoing:
        return await ask_for_models(
            outgoing, kind, scripted.url, key, timeout_seconds=timeout_seconds
        )


def names_of(outcome: ConnectionOutcome) -> list[str]:
    assert outcome.models is not None, outcome
    return [model.wire_name for model in outcome.models]


@pytest.mark.parametrize("kind", KINDS)
async def test_entries_that_name_no_model_are_left_out(
    scripted: Scripted, kind: ProviderKind
) -> None:
    entries, name = FIELDS[kind]
    hostile: list[object] = [
        None,
        7,
        "text",
        [],
        {},
        {name: None},
        {name: {}},
        {name: ["a"]},
        {name: True},
    ]
    named = ["good", "", " ", " padded ", "a\x00b", "a\nb", "a\x1b[31m", "x" * 201, "x" * 200]
    again = ["good", "other:latest", "deep/er"]
    scripted.answer_json({entries: [*hostile, *({name: one} for one in named + again)]})
    outcome = await ask(scripted, kind)
    assert names_of(outcome) == ["good", "x" * 200, "other:latest", "deep/er"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"7",
        b'"models"',
        b"{}",
        b"[[]]",
        b'{"data": null, "models": null}',
        b'{"data": {}, "models": {}}',
        b'{"data": [1, 2], "models": [1, 2]}',
        b'{"data": [{"title": "a post"}], "models": [{"title": "a post"}]}',
        b'{"data": [{"id": "\\ud800"}], "models": [{"name": "\\ud800"}]}',
        b'{"data": [NaN], "models": [NaN]}',
        b'{"data": [], "models": []',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
async def test_what_is_no_list_of_models_is_unexpected(
    scripted: Scripted, kind: ProviderKind, body: bytes
) -> None:
    scripted.answers = [http_answer(body)]
    outcome = await ask(scripted, kind)
    assert outcome.status is Status.UNEXPECTED_RESPONSE
    assert outcome.http_status == 200
    assert outcome.models is None
    assert "check the base URL" in outcome.message
    assert "post" not in outcome.message


@pytest.mark.parametrize("kind", KINDS)
async def test_a_list_may_be_empty(scripted: Scripted, kind: ProviderKind) -> None:
    scripted.answer_json(page(kind))
    outcome = await ask(scripted, kind)
    assert outcome.ok
    assert outcome.model_count == 0


@pytest.mark.parametrize("body", [[{"id": "bare"}], {"data": [{"id": "bare"}], "has_more": True}])
async def test_openai_lists_on_one_page_or_bare(scripted: Scripted, body: object) -> None:
    scripted.answer_json(body)
    assert names_of(await ask(scripted, ProviderKind.OPENAI_COMPATIBLE)) == ["bare"]
    assert len(scripted.asked) == 1


async def test_openai_may_say_null_for_an_empty_list(scripted: Scripted) -> None:
    scripted.answer_json({"object": "list", "data": None})
    assert (await ask(scripted, ProviderKind.OPENAI_COMPATIBLE)).model_count == 0


@pytest.mark.parametrize("count", [-1, 0, True, 1.5, "4096", None, [], {}, 2**31, 10**30])
async def test_a_count_that_is_none_is_unknown(scripted: Scripted, count: object) -> None:
    entry = b'{"data": [{"id": "a", "max_input_tokens": %d, "max_tokens": 9}]}'
    if count == 10**30:
        scripted.answers = [http_answer(entry % 10**30)]
    else:
        scripted.answer_json({"data": [{"id": "a", "max_input_tokens": count, "max_tokens": 9}]})
    outcome = await ask(scripted, ProviderKind.ANTHROPIC)
    assert outcome.models == (ListedModel("a", max_output_tokens=9),)


async def test_anthropic_tells_what_a_model_can_do(scripted: Scripted) -> None:
    scripted.answer_json(
        {
            "data": [
                {
                    "id": "claude-x",
                    "display_name": "Claude X",
                    "max_input_tokens": 200_000,
                    "max_tokens": 64_000,
                    "capabilities": {
                        "image_input": {"supported": True},
                        "pdf_input": {"supported": False},
                        "thinking": {"supported": "yes"},
                        "structured_outputs": True,
                    },
                }
            ]
        }
    )
    outcome = await ask(scripted, ProviderKind.ANTHROPIC)
    known = {ModelCapability.VISION, ModelCapability.TOOLS, ModelCapability.PROMPT_CACHING}
    assert outcome.models == (
        ListedModel("claude-x", "Claude X", 200_000, 64_000, frozenset(known)),
    )


async def test_gemini_names_lose_their_prefix(scripted: Scripted) -> None:
    embedding = {"name": "models/embed", "supportedGenerationMethods": ["embedContent"]}
    chat = {
        "name": "models/gemini-x",
        "displayName": "Gemini X\u202e",
        "supportedGenerationMethods": ["generateContent", 7],
    }
    scripted.answer_json({"models": [embedding, chat, {"name": "models/"}]})
    outcome = await ask(scripted, ProviderKind.GOOGLE)
    assert outcome.models == (
        ListedModel("embed", capabilities=frozenset({ModelCapability.EMBEDDINGS})),
        # A name that would turn the text around is none.
        ListedModel("gemini-x"),
    )


async def test_pages_are_followed_by_their_cursors(scripted: Scripted) -> None:
    scripted.answer_json(
        {"data": [{"id": "a"}], "has_more": True, "last_id": "a/b+&after_id=c"},
        {"data": [{"id": "b"}, {"id": "a"}], "has_more": False, "last_id": "b"},
    )
    assert names_of(await ask(scripted, ProviderKind.ANTHROPIC)) == ["a", "b"]
    assert [query_of(request) for request in scripted.asked] == [
        {"limit": ["1000"]},
        {"limit": ["1000"], "after_id": ["a/b+&after_id=c"]},
    ]
    scripted.asked.clear()
    scripted.answer_json({"models": [{"name": "models/a"}], "nextPageToken": "=next"}, {})
    assert names_of(await ask(scripted, ProviderKind.GOOGLE)) == ["a"]
    assert query_of(scripted.asked[1])["pageToken"] == ["=next"]


@pytest.mark.parametrize("last_id", [None, "", 7, ["a"], "x" * 3_000])
async def test_pages_that_go_on_nowhere_are_unexpected(scripted: Scripted, last_id: object) -> None:
    scripted.answer_json({"data": [{"id": "a"}], "has_more": True, "last_id": last_id})
    assert (await ask(scripted, ProviderKind.ANTHROPIC)).status is Status.UNEXPECTED_RESPONSE
    assert len(scripted.asked) == 1


async def test_a_cursor_that_comes_again_ends_it(scripted: Scripted) -> None:
    """Half a list is none: a sync would take the rest for gone."""
    scripted.answer_json({"data": [{"id": "a"}], "has_more": True, "last_id": "a"})
    outcome = await ask(scripted, ProviderKind.ANTHROPIC)
    assert outcome.status is Status.UNEXPECTED_RESPONSE
    assert "does not end" in outcome.message
    assert len(scripted.asked) == 2


async def test_there_is_a_last_page(scripted: Scripted) -> None:
    scripted.answer_json(
        *({"models": [{"name": "a"}], "nextPageToken": str(one)} for one in range(MOST_PAGES + 5))
    )
    outcome = await ask(scripted, ProviderKind.GOOGLE)
    assert outcome.status is Status.UNEXPECTED_RESPONSE
    assert len(scripted.asked) == MOST_PAGES


@pytest.mark.parametrize("kind", KINDS)
async def test_there_is_a_last_model(scripted: Scripted, kind: ProviderKind) -> None:
    scripted.answer_json(page(kind, *(f"model-{number}" for number in range(MOST_MODELS + 1))))
    assert (await ask(scripted, kind)).status is Status.UNEXPECTED_RESPONSE


async def test_an_error_on_a_later_page_fails_the_whole(scripted: Scripted) -> None:
    scripted.answers = [
        http_answer(orjson.dumps({"data": [{"id": "a"}], "has_more": True, "last_id": "a"})),
        http_answer(b"{}", "500 Internal Server Error"),
    ]
    outcome = await ask(scripted, ProviderKind.ANTHROPIC)
    assert outcome.status is Status.UPSTREAM_ERROR
    assert outcome.http_status == 500
    assert outcome.models is None


@pytest.mark.parametrize(
    "shown",
    [
        b"",
        http_answer(b"gone", "404 Not Found"),
        http_answer(b"not json"),
        http_answer(b"[]"),
        http_answer(b'{"capabilities": {"tools": true}, "model_info": ["x"]}'),
        http_answer(b'{"model_info": {"llama.context_length": "many", "x": null}}'),
    ],
)
async def test_ollama_lists_a_model_whose_details_fail(scripted: Scripted, shown: bytes) -> None:
    scripted.answers = [http_answer(b'{"models": [{"name": "llama3:8b"}]}'), shown]
    outcome = await ask(scripted, ProviderKind.OLLAMA, None)
    assert outcome.models == (ListedModel("llama3:8b"),)


async def test_ollama_lists_models_whose_details_do_not_come_in_time(scripted: Scripted) -> None:
    scripted.answers = [
        http_answer(b'{"models": [{"name": "slow"}]}'),
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
    ]
    scripted.hold_last = True
    outcome = await ask(scripted, ProviderKind.OLLAMA, None, timeout_seconds=0.3)
    assert outcome.models == (ListedModel("slow"),)


async def test_ollamas_context_is_that_of_the_models_architecture(scripted: Scripted) -> None:
    info = {
        "general.architecture": "gemma3",
        "clip.context_length": 77,
        "gemma3.context_length": 131_072,
    }
    scripted.answer_json(
        {"models": [{"name": "gemma3"}]},
        {"capabilities": ["completion", "vision", "thinking", "new", 7], "model_info": info},
    )
    outcome = await ask(scripted, ProviderKind.OLLAMA, None)
    assert outcome.models == (
        ListedModel(
            "gemma3",
            context_window=131_072,
            capabilities=frozenset({ModelCapability.VISION, ModelCapability.REASONING}),
        ),
    )


async def test_a_provider_that_wants_a_key_and_got_none_says_so(scripted: Scripted) -> None:
    scripted.answers = [http_answer(b"{}", "401 Unauthorized")]
    outcome = await ask(scripted, ProviderKind.OPENAI_COMPATIBLE, None)
    assert outcome.status is Status.INVALID_KEY
    assert "none is given" in outcome.message


async def test_a_key_that_no_header_can_carry_is_invalid_unsent(scripted: Scripted) -> None:
    outcome = await ask(scripted, ProviderKind.OPENAI, "sk-planted\r\nX: y")
    assert outcome.status is Status.INVALID_KEY
    assert outcome.latency_ms is None
    assert "planted" not in repr(outcome)
    assert scripted.asked == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["id", "name", "x"]), inner),
)


@given(JSON)
def test_any_json_is_a_list_of_models_or_refused(value: object) -> None:
    def read(entry: dict[str, object]) -> ListedModel | None:
        name = wire_name_of(entry.get("id"))
        return ListedModel(name, context_window=count_of(entry.get("x"))) if name else None

    try:
        models = listed(Answer(200, {}, b""), value, read)
    except AnswerRefused:
        return
    assert all(0 < len(model.wire_name) <= 200 for model in models)
