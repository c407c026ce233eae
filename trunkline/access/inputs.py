"""What may be asked of an access token, checked: every problem at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from db.vocabulary import AccessScope
from trunkline.changes import LONGEST_NAME, Problems
from trunkline.errors import ProblemCode

MOST_TOKENS = 1_000
MOST_LIMITS = 100
"""Chains of a token, and agents of one."""
DEFAULT_GRACE = timedelta(days=1)
LONGEST_GRACE = timedelta(days=30)
RESERVED_NAME = "admin"
"""Stands for the admin token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccessToken:
    """A token to create. None limits to nothing, and never expires."""

    name: str
    scopes: Sequence[AccessScope]
    expires_at: datetime | None = None
    chain_ids: Sequence[int] | None = None
    agents: Sequence[str] | None = None


def checked_name(problems: Problems, name: str) -> str:
    """The name without surrounding white space. It is an agent's name too, so it fits a line."""
    stripped = problems.text(name, ("name",), longest=LONGEST_NAME)
    if stripped.casefold() == RESERVED_NAME:
        problems.invalid(("name",), f"name can't be {RESERVED_NAME!r}, which is the admin token's")
    elif not stripped.isprintable() and not problems.concern("name"):
        problems.invalid(("name",), "name holds a line break or a tab: remove it")
    return stripped


def checked_scopes(problems: Problems, scopes: Sequence[AccessScope]) -> tuple[AccessScope, ...]:
    """The scopes in the order of their enumeration."""
    if not scopes:
        problems.add(ProblemCode.TOO_FEW, ("scopes",), "give at least one scope")
    _check_distinct(problems, scopes, "scopes")
    return tuple(scope for scope in AccessScope if scope in scopes)


def check_expiry(problems: Problems, expires_at: datetime | None, now: datetime) -> None:
    """Note an instant that is over."""
    if expires_at is not None and expires_at <= now:
        problems.invalid(("expiresAt",), "expiresAt must lie ahead; leave it out for no expiry")


def checked_agents(problems: Problems, agents: Sequence[str] | None) -> tuple[str, ...] | None:
    """The agents' names without surrounding white space."""
    if agents is None or not _fits(problems, agents, "agents"):
        return None
    stripped = []
    for place, agent in enumerate(agents):
        path = ("agents", str(place))
        name = problems.text(agent, path, longest=LONGEST_NAME, label="an agent's name")
        if name and not name.isprintable() and not problems.concern("agents"):
            problems.invalid(path, "an agent's name holds no line break or tab")
        stripped.append(name)
    _check_distinct(problems, stripped, "agents")
    return tuple(stripped)


def check_chain_ids(problems: Problems, chain_ids: Sequence[int] | None) -> None:
    """Note a list of chains that is none; whether they exist is not looked up."""
    if chain_ids is not None and _fits(problems, chain_ids, "failoverChainIds"):
        _check_distinct(problems, chain_ids, "failoverChainIds")


def checked_grace(problems: Problems, grace_seconds: int) -> timedelta:
    """How long the token before stays good."""
    longest = int(LONGEST_GRACE.total_seconds())
    if not 0 <= grace_seconds <= longest:
        problems.invalid(("graceSeconds",), f"graceSeconds takes 0 to {longest}, which is 30 days")
        return timedelta()
    return timedelta(seconds=grace_seconds)


def _fits(problems: Problems, given: Sequence[object], field: str) -> bool:
    if not given:
        problems.add(
            ProblemCode.TOO_FEW,
            (field,),
            f"{field} names at least one: leave it out for a token that isn't limited",
        )
    elif len(given) > MOST_LIMITS:
        problems.add(
            ProblemCode.TOO_MANY, (field,), f"at most {MOST_LIMITS} {field}, not {len(given)}"
        )
    return 0 < len(given) <= MOST_LIMITS


def _check_distinct(problems: Problems, given: Sequence[object], field: str) -> None:
    for place, one in enumerate(given):
        if one in given[:place]:
            said = f"{field} has this twice: name it once"
            problems.add(ProblemCode.DUPLICATE, (field, str(place)), said)
