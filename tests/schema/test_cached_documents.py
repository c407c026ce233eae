"""Documents are parsed and validated once, and nothing of a request is kept with them."""

from resolvers.context import OperationContext, Viewer
from schema import cached_documents
from schema.limits import MOST_TOKENS
from schema.root import schema
from trunkline.services import Services


async def test_a_known_text_is_neither_parsed_nor_validated_again() -> None:
    text = "{ known: __typename }"
    before = cached_documents._parsed.cache_info(), cached_documents._validated.cache_info()
    for _ in range(3):
        assert (await schema.execute(text)).data == {"known": "Query"}
    after = cached_documents._parsed.cache_info(), cached_documents._validated.cache_info()
    assert [now.misses - then.misses for then, now in zip(before, after, strict=True)] == [1, 1]
    assert [now.hits - then.hits for then, now in zip(before, after, strict=True)] == [2, 2]


async def test_a_refused_document_is_told_with_each_requests_own_id(services: Services) -> None:
    ids = []
    for request_id in ("request-1", "request-2"):
        context = OperationContext(services, Viewer("tests"), request_id)
        result = await schema.execute("{ nothingOfTheSort }", context_value=context)
        assert result.errors is not None
        ids.append((result.errors[0].extensions or {})["requestId"])
    assert ids == ["request-1", "request-2"]


async def test_a_document_of_too_many_tokens_is_refused() -> None:
    text = "{ " + "__typename " * MOST_TOKENS + "}"
    result = await schema.execute(text)
    assert result.errors is not None
    assert f"more than {MOST_TOKENS} tokens" in result.errors[0].message
