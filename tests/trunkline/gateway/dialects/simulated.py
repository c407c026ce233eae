"""Asks the simulated provider over HTTP, as a dialect says, and reads what it answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import aiohttp

from server.simulated.app import running_simulator
from server.simulated.behaviour import Behaviour
from server.simulated.timing import SkippedTiming
from trunkline.gateway.answers import AnswerEvent, ChatAnswer
from trunkline.gateway.conversation import Conversation
from trunkline.gateway.protocols import Dialect


@dataclass(frozen=True)
class SimulatedProvider:
    """One that runs, asked in one dialect."""

    session: aiohttp.ClientSession
    dialect: Dialect

    async def whole(self, conversation: Conversation, name: str) -> ChatAnswer:
        """The answer in one piece."""
        call = self.dialect.ask(conversation, name)
        async with self.session.post(call.path, data=call.body) as answer:
            assert answer.status == 200, await answer.text()
            return self.dialect.read(await answer.read())

    async def stream(self, conversation: Conversation, name: str) -> list[AnswerEvent]:
        """The answer's events, in the chunks that the network brings."""
        call = self.dialect.ask(replace(conversation, stream=True), name)
        reader = self.dialect.stream_reader()
        events: list[AnswerEvent] = []
        async with self.session.post(call.path, data=call.body) as answer:
            assert answer.status == 200, await answer.text()
            async for chunk in answer.content.iter_any():
                events += reader.feed(chunk)
        return [*events, *reader.end()]

    async def both(
        self, conversation: Conversation, name: str
    ) -> tuple[ChatAnswer, list[AnswerEvent]]:
        """The same answer, whole and streamed."""
        return await self.whole(conversation, name), await self.stream(conversation, name)


@asynccontextmanager
async def simulated_provider(dialect: Dialect) -> AsyncIterator[SimulatedProvider]:
    """It waits for nothing."""
    behaviour = Behaviour(api_key=None, timing=SkippedTiming())
    async with running_simulator(behaviour) as url, aiohttp.ClientSession(url) as session:
        yield SimulatedProvider(session, dialect)
