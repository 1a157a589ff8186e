"""Rate limits of one client: audio, events and requests."""

import asyncio

__all__ = ["AudioRateLimiter", "EventPace", "TokenBucket"]

_BURST_S = 30.0
_REALTIME_FACTOR = 4.0
"""Multiple of real time at which audio is accepted after the burst."""
_EVENT_BURST = 4 * 1024 * 1024
_EVENT_RATE = 512 * 1024
_EVENT_COST = 1024
"""Characters added to each event's own: at most 512 events per second, however short."""


class _Bucket:
    """Leaky bucket: the caller that fills it beyond its size waits.

    Args:
        size: Amount that may come at once.
        rate: Amount that drains per second.
    """

    def __init__(self, size: float, rate: float) -> None:
        self._size = size
        self._rate = rate
        self._filled = 0.0
        self._at: float | None = None

    async def fill(self, amount: float) -> None:
        """Add ``amount``; wait while the bucket is too full."""
        now = asyncio.get_running_loop().time()
        passed_s = 0.0 if self._at is None else now - self._at
        self._at = now
        self._filled = max(0.0, self._filled - passed_s * self._rate) + amount
        if self._filled > self._size:
            await asyncio.sleep((self._filled - self._size) / self._rate)


class AudioRateLimiter:
    """Accepts 30 s of audio at once and then four seconds per second; nothing is lost.

    A client that sends a recording at once is read more slowly, so only its own connection waits.
    """

    def __init__(self) -> None:
        self._bucket = _Bucket(_BURST_S, _REALTIME_FACTOR)

    async def acquire(self, audio_s: float) -> None:
        """Count ``audio_s`` seconds of audio; wait if it came too fast."""
        await self._bucket.fill(audio_s)


class EventPace:
    """Accepts 4 MiB of events at once and then 512 KiB per second; nothing is lost.

    Each event is parsed, validated and executed on the event loop. A client that floods it is read slower.
    """

    def __init__(self) -> None:
        self._bucket = _Bucket(_EVENT_BURST, _EVENT_RATE)

    async def keep(self, characters: int) -> None:
        """Count an executed event of that many ``characters``; wait if they came too fast."""
        await self._bucket.fill(characters + _EVENT_COST)


class TokenBucket:
    """Allows ``per_minute`` requests in a minute, in a burst or spread.

    Args:
        per_minute: Requests.
    """

    def __init__(self, per_minute: int) -> None:
        self._rate = per_minute / 60.0
        self._full = self._left = float(per_minute)
        self._at: float | None = None

    def ask(self) -> float:
        """Take a token: return 0 if the request is allowed, else the seconds until one will be."""
        now = asyncio.get_running_loop().time()
        if self._at is not None:
            self._left = min(self._full, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1.0:
            return (1.0 - self._left) / self._rate
        self._left -= 1.0
        return 0.0
