"""The bounds themselves, in one place. `docs/limits.md` lists them for users."""

from dataclasses import dataclass

MOST_TOKENS = 20_000
"""Of one document. The longest of a dashboard has under 2,000; variables don't count."""
MOST_FRAGMENTS = 200
"""Definitions in one document: they are followed from one into the next, by recursion."""
MOST_DEPTH = 20
"""Introspection needs 15."""
MOST_NESTING = 60
"""Levels, those of fragments among them: what walks a document recurses at each."""
MOST_ALIASES = 100
MOST_DIRECTIVES = 100
MOST_ROOT_FIELDS = 50
MOST_FIELDS = 5_000
"""Of one operation, each field counted as often as its fragment is spread."""
MOST_REPEATED = 100
"""Fields of an operation that have the response name of another beside them: validating compares
all pairs and what is below them, which took 1.4 s for the same field twice, ten levels deep."""

DEFAULT_MOST_COST = 500_000
DEFAULT_OPERATION_SECONDS = 30.0
OWN_TIME = frozenset({"runFailoverChain"})
"""Fields of the root that no deadline ends: each step of a chain has timeouts of its own, and a
model may think for minutes.
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """What an operator may set.

    `most_cost` is in fields (see `cost.py`), `operation_seconds` the time that a query, a
    mutation's field or a subscription's event may take.
    """

    most_cost: int = DEFAULT_MOST_COST
    operation_seconds: float = DEFAULT_OPERATION_SECONDS
    introspection: bool = True
