"""A conversation on virtual time, in which somebody speaks over the reply."""

import asyncio

import numpy as np

from kuaimei.audio.pcm import Pcm
from kuaimei.dialogue.conversation import Conversation
from kuaimei.dialogue.events import FinalTranscript, ReplyAudio, ReplyInterrupted, ReplyPaused
from kuaimei.settings import DialogueSettings
from tests.support.fakes import (
    EventLog,
    FakeLanguageModel,
    FakeRecognizer,
    FakeSynthesizer,
    fake_engines,
    play,
    silence,
)
from tests.support.virtual_time import run_virtually

__all__ = ["REPLY", "SpokenTo"]

REPLY = "今天是晴天，最高溫是二十八度左右，適合出門走走散散步。"


class SpokenTo:
    """The real conversation, with engines that take as long as they are told.

    Attributes:
        silent_after_s: From the first sound of speech to the end of the reply's.
    """

    def __init__(self) -> None:
        self.log = EventLog()
        self.model = FakeLanguageModel(REPLY, first_token_s=0.05, token_s=0.01)
        self.voice = FakeSynthesizer()
        self.silent_after_s = 0.0

    def play(
        self, at_s: float, *sounds: Pcm, typed: str | None = None, recognised: str | None = None
    ) -> None:
        """Have a reply begin, and ``at_s`` seconds later say ``sounds`` or type ``typed``."""
        run_virtually(self._play(at_s, sounds, typed, recognised))

    async def _play(
        self, at_s: float, sounds: tuple[Pcm, ...], typed: str | None, recognised: str | None
    ) -> None:
        engines = fake_engines(
            language_model=self.model,
            synthesizer=self.voice,
            recognizer=FakeRecognizer(recognised, delay_s=0.1),
        )
        settings = DialogueSettings(unready_silence_ms=0)
        async with Conversation(engines, settings, "s", [self.log]) as conversation:
            conversation.send_text("天氣")
            await play(conversation, silence(at_s * 1000.0))
            spoke_at = asyncio.get_running_loop().time()
            if typed is not None:
                conversation.send_text(typed)
            else:
                await play(conversation, *sounds, silence(1500))
            await conversation.wait_idle()
        self.silent_after_s = self._last_sound(spoke_at) - spoke_at

    def _last_sound(self, spoke_at: float) -> float:
        stops = [e.at for e in self.log.events if isinstance(e, ReplyPaused | ReplyInterrupted)]
        return min((at for at in stops if at >= spoke_at), default=float("inf"))

    @property
    def transcripts(self) -> list[str]:
        """Of what was said over the reply."""
        return [event.text for event in self.log.of(FinalTranscript)]

    def heard_all(self) -> bool:
        """A client that stops where it is told to, and goes on, has heard the whole reply."""
        heard = np.zeros(0, dtype=np.int16)
        for event in self.log.events:
            if isinstance(event, ReplyPaused):
                heard = heard[: round(event.heard_ms * 24)]
            elif isinstance(event, ReplyAudio):
                assert round(event.start_ms * 24) == len(heard)
                heard = np.concatenate((heard, event.pcm))
        return len(heard) == round(len(REPLY) * self.voice.character_ms * 24)
