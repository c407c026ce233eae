"""The program as it is shipped, but for where its requests may go: this machine, and nowhere else.

`python -m tests.fuzz.served_program serve --port 0`. Every kind of provider may be at loopback, and
nothing may be elsewhere; circuits let everything through, so that each case reaches the provider;
connection tests give up after a second. SIGUSR1 collects garbage: what was lost is told then.
"""

import gc
import signal
from types import FrameType
from typing import Any

import aiohttp

from db.vocabulary import ProviderKind
from server.cli import main
from trunkline.failover.circuits import Circuit
from trunkline.providers import connection, connection_pools
from trunkline.providers.addresses import Reach
from trunkline.providers.outgoing import Outgoing
from trunkline.providers.outgoing_errors import RefusedAddress

TEST_SECONDS = 1.0


class NoNames(aiohttp.abc.AbstractResolver):
    """Knows no host by name."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[Any]:
        """Fails."""
        raise OSError(f"{host} is unknown")

    async def close(self) -> None:
        """Nothing is open."""


class LoopbackOnly(connection_pools.ConnectionPools):
    """Asks no name server."""

    def __init__(self, proxies: Any, trust: Any, _resolver: Any) -> None:
        super().__init__(proxies, trust, NoNames())


def _may_be_private(_self: Outgoing, _kind: ProviderKind) -> bool:
    return True


def _admits(_self: Circuit, _now: float) -> bool:
    return True


def _check(reach: Reach, *, may_be_private: bool) -> None:
    if reach is not Reach.PRIVATE or not may_be_private:
        raise RefusedAddress(Reach.FORBIDDEN)


def _collect(_signal: int, _frame: FrameType | None) -> None:
    gc.collect()


def keep_to_this_machine() -> None:
    """See the module's docstring."""
    Outgoing._may_be_private = _may_be_private  # type: ignore[method-assign, assignment]
    Circuit.admits = _admits  # type: ignore[method-assign, assignment]
    connection_pools._check = _check
    # Where `Outgoing` looks for it.
    Outgoing.__aenter__.__globals__["ConnectionPools"] = LoopbackOnly
    defaults = connection.ask_for_models.__kwdefaults__
    assert defaults is not None
    defaults["timeout_seconds"] = TEST_SECONDS


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, _collect)
    keep_to_this_machine()
    main()
