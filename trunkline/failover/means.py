"""What every run of a process works with: circuits, places, memory, clocks and chance."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from trunkline.clock import Clock, system_clock
from trunkline.failover.breakers import Breakers
from trunkline.failover.held import HeldMemory
from trunkline.failover.slots import Slots
from trunkline.failover.watchdog import CallLater


def _call_later(seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(seconds, callback)


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """`now` is in seconds, of a clock that never goes back; `chance` gives from 0 to 1."""

    breakers: Breakers
    held: HeldMemory = field(default_factory=HeldMemory)
    slots: Slots = field(default_factory=Slots)
    now: Callable[[], float] = time.monotonic
    clock: Clock = system_clock
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    chance: Callable[[], float] = random.random
    call_later: CallLater = _call_later
