"""Is anybody talking or being answered? Whatever can wait, waits until nobody is.

The queue of the cores (`kuaimei.engines.scheduling`) puts live requests first, but what has begun there
is finished, and a process of its own (learning a voice) is in no queue of ours at all. So both are told
when a conversation needs the machine: the one waits between two sentences, the other is stopped.

Once a reply is made, the machine has nothing more to do for it, though it goes on being heard: what is
rendered meanwhile may still replace the rest of it.
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
"""After the last of it: between two steps of one conversation the server is still for an instant, and
whoever coughed goes on speaking."""
_LONGEST_S: Final = 600.0
"""So long may one conversation need the machine without a rest; a microphone that was left open would keep
everything else from being done for ever. What it did not need counts double as rest."""
_REST: Final = 2.0


class IdleMonitor:
    """Watches all conversations; used on the event loop only.

    Args:
        settle_s: How long nobody must have needed the machine before it is quiet.
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
        """Somebody talks or is being answered, or did until an instant ago."""
        return not self._still.is_set()

    def watch(self, session: str) -> "ConversationWatch":
        """An observer of one conversation; close it with the conversation.

        Args:
            session: Of the conversation, for the eyes of whoever debugs.
        """
        return ConversationWatch(session, self._need)

    def subscribe(self, callback: Callable[[bool], None]) -> Callable[[], None]:
        """Call ``callback`` with `busy` now, and whenever it changes; it must return at once.

        Returns:
            Ends that.
        """
        key = object()
        self._told[key] = callback
        callback(self.busy)

        def unsubscribe() -> None:
            self._told.pop(key, None)

        return unsubscribe

    async def wait(self) -> None:
        """Until it is quiet; at once if it is."""
        while self.busy:  # it may be over again by the time the waiter wakes
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
            except Exception as error:  # the others must hear of it all the same
                _log.error("whoever waits for quiet failed on the news:\n%s", trace_of(error))


class ConversationWatch:
    """An observer of one conversation.

    Args:
        session: Of the conversation.
        need: Told whether this conversation needs the machine.
    """

    def __init__(self, session: str, need: Callable[[object, bool], None]) -> None:
        self.session = session
        self._need = need
        self._talking = False
        self._answering = False
        self._turn = 0  # the latest one that may want an answer
        self._closed = False
        self._needed = False
        self._since = 0.0
        self._spent_s = 0.0  # of needing, less what it rested
        self._ignored = False
        self._tiring: asyncio.TimerHandle | None = None

    def __call__(self, event: Event) -> None:
        """One step of the conversation."""
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
        """The conversation is over, whatever was going on in it; idempotent."""
        self._closed = True
        if self._tiring is not None:
            self._tiring.cancel()
        self._need(self, False)

    def _needs(self, needs: bool) -> None:
        self._account()
        self._needed = needs
        if self._ignored and self._spent_s <= _LONGEST_S / 2:
            self._ignored = False
        if self._tiring is not None:
            self._tiring.cancel()
            self._tiring = None
        if needs and not self._ignored:
            loop = asyncio.get_running_loop()
            self._tiring = loop.call_later(_LONGEST_S - self._spent_s, self._ignore)
        self._need(self, needs and not self._ignored)

    def _account(self) -> None:
        now = asyncio.get_running_loop().time()
        passed_s, self._since = now - self._since, now
        if self._needed:
            self._spent_s = min(_LONGEST_S, self._spent_s + passed_s)
        else:
            self._spent_s = max(0.0, self._spent_s - _REST * passed_s)

    def _ignore(self) -> None:
        """What can wait has waited long enough for this conversation."""
        self._tiring = None
        self._account()
        self._ignored = True
        _log.info("session %s has been talking for long; what waited is done beside it", self.session)
        self._need(self, False)
