"""What a caller may do: its scopes, and the chains and agents that it is limited to."""

from collections.abc import Sequence
from dataclasses import dataclass

from db.access_tokens import AccessTokenRow
from db.vocabulary import AccessScope
from trunkline.changes import Problems
from trunkline.errors import TrunklineError
from trunkline.usage.intake import NewUsageEvent

_INCLUDED_IN = {
    AccessScope.READ: frozenset({AccessScope.READ, AccessScope.CONFIGURE, AccessScope.ADMIN}),
}


class Forbidden(TrunklineError):
    """Who asks may not do this. The message names the scope that is missing."""

    def __init__(self, missing: AccessScope, scopes: Sequence[AccessScope]) -> None:
        held = ", ".join(scope.value for scope in scopes)
        super().__init__(
            f"this needs an access token with the scope {missing.value}, and yours has "
            f"{held or 'none'}: `trunkline token create` makes another"
        )
        self.missing = missing
        self.scopes = tuple(scopes)


@dataclass(frozen=True, slots=True)
class Access:
    """`chain_ids` and `agents` are None where it isn't limited to any."""

    scopes: tuple[AccessScope, ...]
    chain_ids: frozenset[int] | None = None
    agents: tuple[str, ...] | None = None

    def allows(self, scope: AccessScope) -> bool:
        """Whether what needs this scope may be done."""
        including = _INCLUDED_IN.get(scope, (scope, AccessScope.ADMIN))
        return any(held in including for held in self.scopes)

    @property
    def is_full(self) -> bool:
        """Whether everything may be done."""
        return AccessScope.ADMIN in self.scopes

    def require(self, *needed: AccessScope) -> None:
        """Raise `Forbidden` unless each of these is allowed."""
        for scope in needed:
            if not self.allows(scope):
                raise Forbidden(scope, self.scopes)

    def may_ask(self, chain_id: int | None) -> bool:
        """Whether this chain may be asked for; None or 0 stands for a single model."""
        return self.chain_ids is None or (chain_id or 0) in self.chain_ids

    def may_name(self, agent: str | None) -> bool:
        """Whether requests and usage may be this agent's; "" and None stand for none."""
        return self.agents is None or (agent or "") in self.agents

    def unnamed_agent(self, name: str) -> str:
        """Whose a request is that names no agent: of a token called `name`, unless that is none of
        its agents and there is only one of them.
        """
        if self.agents is not None and name not in self.agents and len(self.agents) == 1:
            return self.agents[0]
        return name


FULL_ACCESS = Access((AccessScope.ADMIN,))


def access_of(token: AccessTokenRow) -> Access:
    """What a token lets its holder do."""
    chains = None if token.chain_ids is None else frozenset(token.chain_ids)
    return Access(token.scopes, chains, token.agents)


def wrong_agent(access: Access) -> str:
    """What to tell somebody who named an agent that their token isn't for."""
    names = ", ".join(repr(name) for name in access.agents or ())
    return f"this access token is limited to the agents {names}: name one of these"


def check_agents(
    problems: Problems, events: Sequence[NewUsageEvent], access: Access
) -> frozenset[int]:
    """Note the events of agents that the caller may not report for, and return their places."""
    wrong = [place for place, event in enumerate(events) if not access.may_name(event.agent)]
    for place in wrong:
        problems.invalid(("events", str(place), "agent"), wrong_agent(access))
    return frozenset(wrong)
