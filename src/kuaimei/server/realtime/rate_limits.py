"""How fast a client may send audio and events, and how often it may ask for something."""

import asyncio

__all__ = ["AudioRateLimiter", "EventPace", "TokenBucket"]

_BURST_S = 30.0
_REALTIME_FACTOR = 4.0
"""Faster than real time, beyond the burst."""
_EVENT_BURST = 4 * 1024 * 1024
_EVENT_RATE = 512 * 1024
_EVENT_COST = 1024
"""Characters that an event counts for beside its own, however short it is: 512 in a second."""


class _Bucket:
    """Fills with what comes and empties at a steady rate; whoever fills it beyond its size waits.

    Args:
        size: How much may come at once.
        rate: How much goes out in a second.
    """

    def __init__(self, size: float, rate: float) -> None:
        self._size = size
        self._rate = rate
        self._filled = 0.0
        self._at: float | None = None

    async def fill(self, amount: float) -> None:
        """Another ``amount`` came; wait if it came too fast."""
        now = asyncio.get_running_loop().time()
        passed_s = 0.0 if self._at is None else now - self._at
        self._at = now
        self._filled = max(0.0, self._filled - passed_s * self._rate) + amount
        if self._filled > self._size:
            await asyncio.sleep((self._filled - self._size) / self._rate)


class AudioRateLimiter:
    """Lets 30 s of audio in at once and then four seconds in each second; nothing is lost.

    A client that sends a recording all at once is read more slowly: its network waits, and nobody
    else's turn does.
    """

    def __init__(self) -> None:
        self._bucket = _Bucket(_BURST_S, _REALTIME_FACTOR)

    async def acquire(self, audio_s: float) -> None:
        """Another ``audio_s`` of audio came; wait if it came too fast."""
        await self._bucket.fill(audio_s)


class EventPace:
    """Lets 4 MiB of events through at once and then 512 KiB in each second; nothing is lost.

    Each event is read, checked and answered on the event loop. A client that floods it is read more slowly.
    """

    def __init__(self) -> None:
        self._bucket = _Bucket(_EVENT_BURST, _EVENT_RATE)

    async def keep(self, characters: int) -> None:
        """An event of so many ``characters`` was obeyed; wait if they came too fast."""
        await self._bucket.fill(characters + _EVENT_COST)


class TokenBucket:
    """Lets ``per_minute`` requests through in a minute, all at once if they come so.

    Args:
        per_minute: Requests.
    """

    def __init__(self, per_minute: int) -> None:
        self._rate = per_minute / 60.0
        self._full = self._left = float(per_minute)
        self._at: float | None = None

    def ask(self) -> float:
        """Another request: 0 if it may be met, else the seconds until one may."""
        now = asyncio.get_running_loop().time()
        if self._at is not None:
            self._left = min(self._full, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1.0:
            return (1.0 - self._left) / self._rate
        self._left -= 1.0
        return 0.0
