"""What a field may know while it resolves: the services, who asks, and the loads it can share.

One context serves one operation, and one event of a subscription: a loader that outlived its
operation would serve rows that have changed since.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiodataloader import DataLoader

from db.audit_log import AuditActorRow
from db.vocabulary import AccessScope, AuditActorKind
from trunkline.access.allowed import FULL_ACCESS, Access
from trunkline.audit.actors import Actor
from trunkline.errors import TrunklineError
from trunkline.listeners import Listeners, OneListener
from trunkline.services import Services

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
A = TypeVar("A", bound=Hashable)


class Unauthenticated(TrunklineError):
    """Nobody is signed in."""

    def __init__(self) -> None:
        super().__init__(
            "sign in first: send `Authorization: Bearer <token>`, or open the link that "
            "`trunkline sign-in-link` prints"
        )


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks."""

    name: str
    session: bytes | None = field(default=None, repr=False)
    """The hash of a browser session's token, where one let them in."""
    agent: str = ""
    """Whose usage their requests through the gateway are, unless they say otherwise."""
    access: Access = FULL_ACCESS
    token_id: int | None = None
    """Of the access token that let them in, themselves or their session."""
    token: bytes | None = field(default=None, repr=False)
    """The hash of that token."""

    @property
    def proofs(self) -> tuple[bytes, ...]:
        """What let them in and may end: hashes of a session and of an access token."""
        return tuple(one for one in (self.session, self.token) if one is not None)

    @property
    def audience(self) -> str:
        """The same for those, and only those, who may see the same: what a token may do never
        changes.
        """
        return self.name if self.token_id is None else f"token {self.token_id}"

    def actor(self, request_id: str) -> Actor:
        """Who changes something by this request, for the audit log."""
        kind = AuditActorKind.ADMIN if self.token_id is None else AuditActorKind.ACCESS_TOKEN
        row = AuditActorRow(
            kind=kind, name=self.name, token_id=self.token_id, in_session=self.session is not None
        )
        return Actor(row, request_id)


class OperationContext:
    """Services, viewer and request id of an operation, with batched loads of its own."""

    __slots__ = ("_listeners", "_loaders", "_loading", "_services", "request_id", "viewer")

    def __init__(self, services: Services, viewer: Viewer | None, request_id: str) -> None:
        self._services = services
        self.viewer = viewer
        self.request_id = request_id
        self._listeners: Listeners | None = None
        self._loaders: dict[Hashable, DataLoader[Any, Any]] = {}
        # Batches are loaded in tasks of their own.
        self._loading: set[asyncio.Task[Any]] = set()

    def listeners(self) -> Listeners:
        """Who gets what a subscription pushes: those it was shared with, or its one caller."""
        return self._listeners or OneListener()

    def share(self, listeners: Listeners) -> None:
        """What this subscription pushes goes to all of these."""
        self._listeners = listeners

    def fresh(self) -> "OperationContext":
        """The same caller with nothing loaded yet: for the next event of a subscription."""
        return OperationContext(self._services, self.viewer, self.request_id)

    def stop_loading(self) -> None:
        """Cancel the batches that are being loaded: nobody waits for them any more."""
        for task in self._loading:
            task.cancel()

    @property
    def services(self) -> Services:
        """The services, for a caller who is signed in. Raises `Unauthenticated`."""
        if self.viewer is None:
            raise Unauthenticated
        return self._services

    def require(self, *scopes: AccessScope) -> None:
        """Raise `Unauthenticated`, or `Forbidden` for a caller whose token lacks one of these."""
        if self.viewer is None:
            raise Unauthenticated
        self.viewer.access.require(*scopes)

    def act(self) -> None:
        """From here on the services change configuration in the caller's name.

        Every mutation does so before it runs (`schema.fields.changing`). Raises `Unauthenticated`.
        """
        if self.viewer is None:
            raise Unauthenticated
        self._services = self._services.acting(self.viewer.actor(self.request_id))

    @property
    def access(self) -> Access:
        """What the caller may do. Raises `Unauthenticated`."""
        if self.viewer is None:
            raise Unauthenticated
        return self.viewer.access

    def load(
        self, batch: Callable[[Services, Sequence[K]], Awaitable[Mapping[K, V]]], key: K
    ) -> Awaitable[V | None]:
        """The value that `batch` gives for `key`, asked for together with the others."""
        loader = self._loaders.get(batch)
        if loader is None:
            services = self.services
            loader = self._new_loader(batch, lambda keys: batch(services, keys))
        return loader.load(key)

    def load_with(
        self,
        batch: Callable[[Services, Sequence[K], A], Awaitable[Mapping[K, V]]],
        arguments: A,
        key: K,
    ) -> Awaitable[V | None]:
        """Like `load`, for fields with arguments: one batch for each distinct `arguments`."""
        loader = self._loaders.get((batch, arguments))
        if loader is None:
            services = self.services
            loader = self._new_loader(
                (batch, arguments), lambda keys: batch(services, keys, arguments)
            )
        return loader.load(key)

    def _new_loader(
        self, name: Hashable, load_batch: Callable[[list[Any]], Awaitable[Mapping[Any, Any]]]
    ) -> DataLoader[Any, Any]:
        async def load(keys: list[Any]) -> list[Any]:
            task = asyncio.current_task()
            assert task is not None  # noqa: S101  # a coroutine runs in one
            self._loading.add(task)
            try:
                found = await load_batch(keys)
            finally:
                self._loading.discard(task)
            return [found.get(one) for one in keys]

        loader = self._loaders[name] = DataLoader(load, max_batch_size=1_000)
        return loader
