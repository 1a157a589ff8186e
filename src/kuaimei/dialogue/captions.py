"""Partial captions during speech, off the critical path."""

import asyncio
import logging
from collections.abc import Callable

import numpy as np

from kuaimei.audio.pcm import ASR_RATE, Pcm
from kuaimei.dialogue.task_set import TaskSet
from kuaimei.engines.protocols import Captioner, CaptionStream
from kuaimei.settings import DialogueSettings
from kuaimei.system.failures import trace_of
from kuaimei.text.join import join_pieces

__all__ = ["Captions"]

_log = logging.getLogger(__name__)

_BACKLOG_S = 10.0
"""Maximum backlog of a captioner in seconds; older audio is skipped, as captions are optional."""


class Captions:
    """Caption stream of an utterance, fed at intervals.

    Only one push runs at a time, so a slow captioner receives larger chunks. The recognizer's transcript of
    closed segments replaces the captioner's text.

    Args:
        captioner: None: no captions.
        settings: Initial value of the attribute.
        tasks: Task set in which captioning runs.
        updated: Called with the new text after every change.

    Attributes:
        settings: Current settings; to be changed between utterances only.
        text: Caption of the utterance so far.
    """

    def __init__(
        self,
        captioner: Captioner | None,
        settings: DialogueSettings,
        tasks: TaskSet,
        updated: Callable[[str], None],
    ) -> None:
        self._captioner = captioner
        self._tasks = tasks
        self.settings = settings
        self._updated = updated
        self._pending: list[Pcm] = []
        self._samples = 0
        self._resting = False
        self._before_rest = 0  # pending frames from before the pause
        self._stream: CaptionStream | None = None
        self._pushing: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._known = ""
        self.text = ""

    def begin(self) -> None:
        """Start the captions of a new utterance."""
        self.end()
        self._known = self.text = ""
        self._open()

    def hear(self, frame: Pcm) -> None:
        """Add one frame (16 kHz)."""
        if self._stream is None:
            return
        self._pending.append(frame)
        self._samples += len(frame)
        while self._samples > _BACKLOG_S * ASR_RATE:
            self._samples -= len(self._pending.pop(0))
            self._before_rest = max(0, self._before_rest - 1)
        interval = int(self.settings.caption_interval_ms * ASR_RATE / 1000)
        if self._samples >= interval and not self._resting and self._pushing is None:
            self._pushing = self._tasks.start(self._push(self._stream))

    def pause(self) -> None:
        """Stop captioning during a pause of the speaker, to leave the CPU cores to the recognizer."""
        self._resting = True
        self._before_rest = len(self._pending)

    def resume(self, known: str | None) -> None:
        """Continue after a pause.

        Args:
            known: Transcript of everything before the pause; None if it is not available.
        """
        self._resting = False
        if known is not None:
            since = self._pending[self._before_rest :]
            self._drop_stream()
            self._known = known
            self._open()
            self._pending, self._samples = since, sum(map(len, since))

    def end(self) -> None:
        """End the captions of the utterance."""
        self._drop_stream()
        self._resting = False

    async def close(self) -> None:
        """End the captions and wait until all caption streams are closed."""
        self.end()
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _open(self) -> None:
        if self._captioner is not None:
            self._stream = self._captioner.open("en" if self.settings.language == "en" else "zh")

    def _drop_stream(self) -> None:
        self._pending.clear()
        self._samples = 0
        pushing, self._pushing = self._pushing, None
        stream, self._stream = self._stream, None
        if stream is not None:
            task = self._tasks.start(_close_quietly(stream, pushing))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _push(self, stream: CaptionStream) -> None:
        if self._stream is not stream:
            return  # the pending audio already belongs to the next stream
        pcm = np.concatenate(self._pending)
        self._pending.clear()
        self._samples = self._before_rest = 0
        try:
            chunk = await stream.push(pcm)
        except Exception as error:
            _log.warning("captions failed; the final transcript is not affected:\n%s", trace_of(error))
            chunk = None
        finally:
            if self._stream is stream:
                self._pushing = None
        if chunk is not None and self._stream is stream:
            text = join_pieces([self._known, chunk.text])
            if text and text != self.text:
                self.text = text
                self._updated(text)


async def _close_quietly(stream: CaptionStream, pushing: asyncio.Task[None] | None) -> None:
    """Close ``stream`` after cancelling ``pushing``, which may still be using it."""
    if pushing is not None:
        pushing.cancel()
        await asyncio.wait([pushing])
    await stream.close()
