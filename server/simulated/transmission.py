"""Sends an answer at its pace, and breaks it where its fault says so."""

import asyncio
from collections.abc import Iterable, Mapping

from server.simulated.faults import WITHIN, Fault
from server.simulated.protocols.protocol import Frame, Part, Protocol
from server.simulated.reaction import Reaction
from server.simulated.request_log import SeenRequest
from server.simulated.timing import Timing
from server.simulated.wire import Wire

_PING_SECONDS = 1.0
_WRONG_TYPE = "text/plain; charset=utf-8"
# Without a pace, how many frames go out before others get their turn.
_FRAMES_AT_ONCE = 16


class Transmission:
    """One answer on its way. Whoever runs it cancels it when the client is gone."""

    def __init__(
        self,
        wire: Wire,
        protocol: Protocol,
        reaction: Reaction,
        timing: Timing,
        seen: SeenRequest,
    ) -> None:
        self._wire = wire
        self._protocol = protocol
        self._fault = reaction.fault
        self._after = reaction.after_tokens
        self._pace = reaction.pace
        self._timing = timing
        self._seen = seen
        self._due = 0.0

    async def whole(
        self, status: int, headers: Mapping[str, str], body: bytes, tokens: int = 0
    ) -> None:
        """A body that is sent when its last token is there."""
        pace = self._pace
        spoken = tokens / pace.tokens_per_second if pace.tokens_per_second else 0
        await self._wait(pace.first_token_seconds + spoken)
        if self._fault is Fault.EMPTY:
            body = b""
        if self._fault in {Fault.MALFORMED, Fault.NO_FINISH, Fault.END_EARLY}:
            body = body[: len(body) // 2]
        length = {"content-length": str(len(body))}
        await self._start(status, {**headers, **length})
        self._seen.tokens_sent = tokens
        match self._fault:
            case Fault.CUT:
                self._wire.cut(body)
            case Fault.RESET_WITHIN:
                await self._wire.write(body[: len(body) // 2])
                self._wire.reset()
            case Fault.STALL:
                await self._wire.write(body[: len(body) // 2])
                await _for_ever()
            case _:
                await self._write(body)
                await self._wire.end()

    async def stream(self, headers: Mapping[str, str], frames: Iterable[Frame]) -> None:
        """Frames, one after the other."""
        await self._start(200, headers)
        faulty = self._fault in WITHIN
        tokens = 0
        for number, frame in enumerate(() if self._fault is Fault.EMPTY else frames):
            if self._left_out(frame.part):
                continue
            if frame.part is Part.TOKEN:
                await self._pause(first=tokens == 0)
            after = tokens >= self._after and frame.part is not Part.OPENING
            if faulty and after and frame.part is not Part.BETWEEN:
                if await self._break(frame):
                    return
                faulty = False
            await self._write(frame.data)
            if frame.part is Part.TOKEN:
                tokens += 1
                self._seen.tokens_sent = tokens
            if number % _FRAMES_AT_ONCE == 0:
                await asyncio.sleep(0)
        await self._wire.end()

    async def _start(self, status: int, headers: Mapping[str, str]) -> None:
        if self._fault is Fault.WRONG_CONTENT_TYPE:
            headers = {**headers, "content-type": _WRONG_TYPE}
        self._seen.status = status
        await self._wire.start(status, headers)

    def _left_out(self, part: Part) -> bool:
        if self._fault is Fault.NO_FINISH:
            return part in {Part.FINISH, Part.USAGE, Part.DONE}
        return self._fault is Fault.NO_DONE and part is Part.DONE

    async def _break(self, frame: Frame) -> bool:
        """The fault, in place of this frame; whether it ends the stream."""
        match self._fault:
            case Fault.CUT:
                self._wire.cut(frame.data)
            case Fault.RESET_WITHIN:
                # What was written must be on its way, or the reset takes it along.
                await asyncio.sleep(0)
                self._wire.reset()
            case Fault.STALL:
                await self._stall()
            case Fault.ERROR_WITHIN:
                await self._wire.write(self._protocol.error_frame("Overloaded"))
                await self._wire.end()
            case Fault.MALFORMED:
                await self._write(self._protocol.malformed())
                return False
            case _:
                await self._wire.end()
        return True

    async def _stall(self) -> None:
        while self._pings:
            await self._timing.sleep(_PING_SECONDS)
            await self._wire.write(self._protocol.ping())
        await _for_ever()

    async def _pause(self, *, first: bool) -> None:
        """Before a token. Tokens are due at fixed instants: a late one isn't made up for twice."""
        if first:
            await self._wait(self._pace.first_token_seconds, pings=self._pings)
            self._due = self._timing.monotonic()
        elif self._pace.tokens_per_second:
            self._due += 1 / self._pace.tokens_per_second
            await self._wait(self._due - self._timing.monotonic())

    async def _wait(self, seconds: float, *, pings: bool = False) -> None:
        while pings and seconds > _PING_SECONDS:
            await self._timing.sleep(_PING_SECONDS)
            await self._wire.write(self._protocol.ping())
            seconds -= _PING_SECONDS
        if seconds > 0:
            await self._timing.sleep(seconds)

    async def _write(self, data: bytes) -> None:
        if self._fault is not Fault.SLOW_BYTES:
            await self._wire.write(data)
            return
        for at in range(len(data)):
            await self._wire.write(data[at : at + 1])
            await self._timing.sleep(self._pace.byte_seconds)

    @property
    def _pings(self) -> bool:
        return self._pace.pings and bool(self._protocol.ping())


async def _for_ever() -> None:
    await asyncio.get_running_loop().create_future()
