"""Partial captions while somebody speaks, off the critical path."""

import asyncio
from collections.abc import Callable

import numpy as np

from kuaimei.audio.pcm import ASR_RATE, Pcm
from kuaimei.dialogue.utterance import join_pieces
from kuaimei.engines.protocols import Captioner, CaptionStream
from kuaimei.errors import EngineError
from kuaimei.settings import DialogueSettings

__all__ = ["Captions"]

_BACKLOG_S = 10.0
"""Audio a captioner may be behind; older audio is then skipped, captions being only a courtesy."""


class Captions:
    """Feeds a caption stream at intervals; one push at a time, so that a slow captioner coalesces.

    What the recogniser has already understood of the utterance replaces the captioner's guess.
    """

    def __init__(
        self, captioner: Captioner | None, settings: DialogueSettings, updated: Callable[[str], None]
    ) -> None:
        self._captioner = captioner
        self._language = "zh" if settings.language == "auto" else settings.language
        self._interval = int(settings.caption_interval_ms * ASR_RATE / 1000)
        self._updated = updated
        self._pending: list[Pcm] = []
        self._samples = 0
        self._resting = False
        self._stream: CaptionStream | None = None
        self._pushing: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._known = ""
        self.text = ""

    def begin(self) -> None:
        """A new utterance."""
        self._known = self.text = ""
        self._open()

    def hear(self, frame: Pcm) -> None:
        """One more frame (16 kHz)."""
        if self._stream is None:
            return
        self._pending.append(frame)
        self._samples += len(frame)
        while self._samples > _BACKLOG_S * ASR_RATE:
            self._samples -= len(self._pending.pop(0))
        if self._samples >= self._interval and not self._resting and self._pushing is None:
            self._pushing = asyncio.ensure_future(self._push(self._stream))

    def rest(self) -> None:
        """Leave the cores to the recogniser: the speaker has paused."""
        self._resting = True

    def resume(self, known: str | None) -> None:
        """The speaker goes on; ``known`` is what has been recognised, if a piece was closed."""
        self._resting = False
        if known is not None:
            self._known = known
            self._open()

    def end(self) -> None:
        """The utterance is over."""
        self._drop_stream()
        self._resting = False

    async def close(self) -> None:
        """Let go of the captioner."""
        self.end()
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _open(self) -> None:
        self._drop_stream()
        self._resting = False
        if self._captioner is not None:
            self._stream = self._captioner.open("en" if self._language == "en" else "zh")

    def _drop_stream(self) -> None:
        self._pending.clear()
        self._samples = 0
        if self._pushing is not None:
            self._pushing.cancel()
            self._pushing = None
        if self._stream is not None:
            task = asyncio.ensure_future(self._stream.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
            self._stream = None

    async def _push(self, stream: CaptionStream) -> None:
        pcm = np.concatenate(self._pending)
        self._pending.clear()
        self._samples = 0
        try:
            chunk = await stream.push(pcm)
        except EngineError:
            chunk = None  # the final transcript does not depend on captions
        finally:
            if self._stream is stream:
                self._pushing = None
        if chunk is not None and self._stream is stream:
            text = join_pieces([self._known, chunk.text])
            if text and text != self.text:
                self.text = text
                self._updated(text)
