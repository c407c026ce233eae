"""Cursors, global ids and the ids of known operations: real ones, turned, cut and made up."""

import base64
import hashlib
from random import Random
from typing import Any

import orjson
from hypothesis import strategies as st

from tests.fuzz import operations
from tests.fuzz.cases import Case, Surface
from tests.fuzz.graphql_answers import check_body, check_status
from tests.fuzz.hostile import ODD, as_json, mutated_bytes
from tests.fuzz.operations import IDS, SCHEMA
from tests.fuzz.subject import Subject
from trunkline.global_ids import global_id

CONNECTIONS = sorted(
    name for name,
    one in SCHEMA.query_type.fields.items() if "after" in one.args  # type: ignore[union-attr]
)  # fmt: skip
ORDERS = ("name", "slug", "models:NAME", "usage_events", "NAME", "PRICE", "requests", "", "x")
SLUGS = ("node", "gatewayRequest", "budget")


def _cursor(dice: Random) -> str:
    key = [dice.choice(ORDERS), *(dice.choice(ODD) for _ in range(dice.randrange(4)))]
    data = as_json(key)
    if dice.random() < 0.4:
        data = mutated_bytes(data, dice)
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _id(dice: Random) -> str:
    if dice.random() < 0.3:
        return str(dice.choice(IDS))
    data = base64.b64decode(global_id("Provider", dice.choice((1, 9, 2**63, 10**30))) + "==")
    return base64.urlsafe_b64encode(mutated_bytes(data, dice)).decode().rstrip("=")


def _case(seed: int, sort: str) -> Case:
    dice = Random(seed)
    match sort:
        case "cursor":
            turned = dice.random() < 0.6  # of a real one
            return {
                "field": dice.choice(CONNECTIONS),
                "turned": dice.choice((*(dice.randrange(400) for _ in range(3)), None))
                if turned
                else None,
                "cursor": None if turned else _cursor(dice),
                "sort": dice.choice(["", "NAME", "INPUT_PRICE_ASC"]),
            }
        case "id":
            return {"field": dice.choice(SLUGS), "id": _id(dice)}
    known = hashlib.sha256(b"x").hexdigest()
    given: Any = dice.choice([known, known.upper(), "sha256:" + known, *ODD, *IDS])
    if dice.random() < 0.5:
        return {"document": {"documentId": given}}
    asked: Any = {
        "persistedQuery": {"version": dice.choice([1, 1, 1, 2, "1", None]), "sha256Hash": given}
    }
    return {"document": {"extensions": asked, "query": dice.choice([None, "", "{ __typename }"])}}


cases = st.builds(
    _case, st.integers(0, 2**64), st.sampled_from(["cursor", "cursor", "id", "document"])
)


def play(subject: Subject, case: Case) -> None:
    """Ask for what it names."""
    if "document" in case:
        body = case["document"]
    elif "id" in case:
        body = {"query": f"query ($id: ID!) {{ {case['field']}(id: $id) {{ __typename id }} }}",
                "variables": {"id": case["id"]}}  # fmt: skip
    else:
        name = case["field"]
        sort = f", sort: {case['sort']}" if name == "models" and case["sort"] else ""
        cursor = case["cursor"] if case["cursor"] is not None else _real(subject, case, sort)
        query = (f"query ($after: String) {{ {name}(first: 2, after: $after{sort}) "
                 "{ nodes { __typename } pageInfo { endCursor hasNextPage } } }")  # fmt: skip
        body = {"query": query, "variables": {"after": cursor}}
    answer = subject.exchange(
        "POST", "/graphql", as_json(body), {"Content-Type": "application/json"}
    )
    check_status(*answer)
    check_body(answer[2])


def _real(subject: Subject, case: Case, sort: str) -> str:
    """A cursor of this list or of another, with one of its bytes turned."""
    name = case["field"]
    found = subject.execute(f"{{ {name}(first: 1{sort}) {{ pageInfo {{ endCursor }} }} }}")
    cursor = found[name]["pageInfo"]["endCursor"]
    if cursor is None:
        cursor = base64.urlsafe_b64encode(orjson.dumps([name, 1])).decode()
    if case["turned"] is None:
        return str(cursor)
    dice = Random(case["turned"])
    inner = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    return base64.urlsafe_b64encode(mutated_bytes(inner, dice)).decode().rstrip("=")


IDENTIFIERS = Surface("identifiers", cases, play, operations.prepare, examples=150)
