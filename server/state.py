"""What routes share while the server runs; set when it has started."""

import asyncio
from dataclasses import dataclass, field

from starlette.applications import Starlette

from trunkline.services import Services
from trunkline.signin import SignIn


@dataclass(frozen=True, slots=True)
class ServerState:
    """The services, who may use them, and whether the server is about to stop."""

    services: Services
    sign_in: SignIn
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


def state_of(app: Starlette) -> ServerState:
    """The state of a server that has started."""
    state: ServerState = app.state.server
    return state
