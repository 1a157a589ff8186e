"""Idle detection: background work runs only while no conversation needs the CPU.

The scheduler of the cores (`kuaimei.engines.scheduling`) puts live requests first, but does not pre-empt
running ones, and a separate process (training a voice) is not scheduled by it at all. Both are therefore
notified when a conversation needs the machine: background rendering waits between two sentences, training
is stopped.

Once a reply has been synthesized, it needs no more computation although it is still playing. Its HQ
rendering may therefore run during playback and still replace the rest of it.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from kuaimei.dialogue.events import (
    Event,
    ReplyFinished,
    SpeechRejected,
    SpeechStarted,
    StateChanged,
    TurnEnded,
    UserText,
)
from kuaimei.system.failures import trace_of

__all__ = ["ConversationWatch", "IdleMonitor"]

_log = logging.getLogger(__name__)

_SETTLE_S: Final = 0.6
"""Debounce: conversations are idle briefly between two steps, and a cough is usually followed by speech."""
_MAX_BUSY_S: Final = 600.0
"""Time for which one conversation may block background work; a microphone left open would block it forever.
Time in which it does not need the machine is credited at the rate `_IDLE_CREDIT`."""
_IDLE_CREDIT: Final = 2.0


class IdleMonitor:
    """Monitor of all conversations; used on the event loop only.

    Args:
        settle_s: Seconds without activity after which the machine counts as idle.
    """

    def __init__(self, settle_s: float = _SETTLE_S) -> None:
        self._settle_s = settle_s
        self._needing: set[object] = set()
        self._settling: asyncio.TimerHandle | None = None
        self._still = asyncio.Event()
        self._still.set()
        self._told: dict[object, Callable[[bool], None]] = {}

    @property
    def busy(self) -> bool:
        """True if a conversation needs the machine, or did within the last ``settle_s``."""
        return not self._still.is_set()

    def watch(self, session: str) -> "ConversationWatch":
        """Create an observer for one conversation; close it with the conversation.

        Args:
            session: Id of the session, for the log.
        """
        return ConversationWatch(session, self._need)

    def subscribe(self, callback: Callable[[bool], None]) -> Callable[[], None]:
        """Call ``callback`` with `busy` now, and whenever it changes; it must return at once.

        Returns:
            A function that ends the subscription.
        """
        key = object()
        self._told[key] = callback
        callback(self.busy)

        def unsubscribe() -> None:
            self._told.pop(key, None)

        return unsubscribe

    async def wait(self) -> None:
        """Wait until the machine is idle; return at once if it is."""
        while self.busy:  # activity may have resumed by the time the waiter wakes
            await self._still.wait()

    def _need(self, who: object, needs: bool) -> None:
        if needs:
            self._needing.add(who)
            if self._settling is not None:
                self._settling.cancel()
                self._settling = None
            if not self.busy:
                self._still.clear()
                self._tell()
        elif who in self._needing:
            self._needing.discard(who)
            if not self._needing:
                loop = asyncio.get_running_loop()
                self._settling = loop.call_later(self._settle_s, self._on_settled)

    def _on_settled(self) -> None:
        self._settling = None
        self._still.set()
        self._tell()

    def _tell(self) -> None:
        for callback in tuple(self._told.values()):
            try:
                callback(self.busy)
            except Exception as error:  # the other subscribers must be called all the same
                _log.error("an idle callback failed:\n%s", trace_of(error))


class ConversationWatch:
    """Observer that tells whether one conversation needs the machine.

    Args:
        session: Id of the session, for the log.
        need: Called with this observer and whether its conversation needs the machine.
    """

    def __init__(self, session: str, need: Callable[[object, bool], None]) -> None:
        self.session = session
        self._need = need
        self._talking = False
        self._answering = False
        self._turn = 0  # the latest one that may need a reply
        self._closed = False
        self._needed = False
        self._since = 0.0
        self._spent_s = 0.0  # busy time, less the credit for idle time
        self._ignored = False
        self._busy_timer: asyncio.TimerHandle | None = None

    def __call__(self, event: Event) -> None:
        """Handle one event of the conversation."""
        match event:
            case SpeechStarted():
                self._talking = True
            case SpeechRejected():
                self._talking = False
            case TurnEnded(turn=turn):
                self._talking, self._answering, self._turn = False, True, turn
            case UserText(turn=turn):
                self._turn = turn
            case StateChanged(state="thinking"):
                self._answering = True
            case StateChanged(state="listening"):
                self._answering = False
            case ReplyFinished(turn=turn) if turn >= self._turn:
                self._answering = False
            case _:
                return
        if not self._closed:
            self._needs(self._talking or self._answering)

    def close(self) -> None:
        """Stop needing the machine because the conversation is over; idempotent."""
        self._closed = True
        if self._busy_timer is not None:
            self._busy_timer.cancel()
        self._need(self, False)

    def _needs(self, needs: bool) -> None:
        self._account()
        self._needed = needs
        if self._ignored and self._spent_s <= _MAX_BUSY_S / 2:
            self._ignored = False
        if self._busy_timer is not None:
            self._busy_timer.cancel()
            self._busy_timer = None
        if needs and not self._ignored:
            loop = asyncio.get_running_loop()
            self._busy_timer = loop.call_later(_MAX_BUSY_S - self._spent_s, self._ignore)
        self._need(self, needs and not self._ignored)

    def _account(self) -> None:
        now = asyncio.get_running_loop().time()
        passed_s, self._since = now - self._since, now
        if self._needed:
            self._spent_s = min(_MAX_BUSY_S, self._spent_s + passed_s)
        else:
            self._spent_s = max(0.0, self._spent_s - _IDLE_CREDIT * passed_s)

    def _ignore(self) -> None:
        """Stop holding up background work for this conversation: its time is used up."""
        self._busy_timer = None
        self._account()
        self._ignored = True
        _log.info(
            "session %s has been talking for a long time; background work no longer waits for it",
            self.session,
        )
        self._need(self, False)
