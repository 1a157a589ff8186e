"""Blind listening tests: selects the two clips to compare and makes them indistinguishable by format."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from typing import Final, Literal, TypeAlias

from kuaimei.audio.decode import decode
from kuaimei.audio.encode import encode
from kuaimei.audio.loudness import normalize_loudness
from kuaimei.audio.streams import closing
from kuaimei.errors import NotFound
from kuaimei.http.errors import ApiError
from kuaimei.server.protocols import ConversationStore
from kuaimei.server.voice_previews import VoicePreviews, preview_sentence
from kuaimei.store.listening_tests import Kind, Trial

__all__ = ["ListeningTest", "Side"]

Side: TypeAlias = Literal["a", "b"]

_RATE: Final = 24_000
"""Sample rate of both clips in Hz: different rates would reveal which is which."""
_CLONED: Final = "voice_"


class ListeningTest:
    """Creates trials and their clips.

    Args:
        store: Replies and judgements.
        voices: Voices to compare: those that the listener may use.
        samples: Sample clips of the voices.
        chance: Chooses the pair and which of the two is A; None: the system's random source.
    """

    def __init__(
        self,
        store: ConversationStore,
        voices: Sequence[str],
        samples: VoicePreviews,
        chance: random.Random | None = None,
    ) -> None:
        self._store = store
        self._voices = voices
        self._samples = samples
        self._chance = chance or random.SystemRandom()

    async def next(self, owner: str, kind: Kind | None = None, voice: str | None = None) -> Trial:
        """Create a new trial.

        Args:
            owner: Id of the person whose replies are compared and who judges.
            kind: None: one reply in both tiers if there is one, else two voices.
            voice: One of the two voices to compare.

        Raises:
            ApiError: If there is nothing to compare; the message says what to do.
            NotFound: If there is no such voice.
        """
        swapped = bool(self._chance.getrandbits(1))
        if kind != "voices" and voice is None:
            reply = await self._store.preferences.comparable_reply(owner)
            if reply is not None:
                return await self._store.preferences.begin(
                    owner, "tiers", "hq", "fast", swapped=swapped, utterance=reply
                )
            if kind == "tiers":
                raise _nothing_to_compare_error(
                    "no reply has a high-quality rendering yet: talk first, and wait for 美"
                )
        first, second = self._pair(voice)
        return await self._store.preferences.begin(owner, "voices", first, second, swapped=swapped)

    async def text(self, trial: Trial) -> str:
        """Return the text that both clips say.

        Raises:
            NotFound: If the reply is gone.
        """
        if trial.utterance_id is None:
            return preview_sentence(trial.first)
        return (await self._store.utterance(trial.utterance_id)).transcript or ""

    async def clip(self, trial: Trial, side: Side) -> bytes:
        """Return one of the two clips as FLAC, as loud as the other: listeners prefer the louder one.

        Raises:
            NotFound: If the reply or the voice is gone.
            EngineError: If a sample cannot be synthesized.
        """
        what = trial.a if side == "a" else trial.b
        if trial.utterance_id is not None:
            audio = await self._store.open_audio(trial.utterance_id, tier="hq" if what == "hq" else "fast")
            data = await _all(audio.chunks)
        elif what in self._voices:
            data = await self._samples.sample(what)
        else:
            raise NotFound("a voice of this comparison is no longer available; request the next one")
        pcm = await decode(data, _RATE)
        return await asyncio.to_thread(lambda: encode(normalize_loudness(pcm, _RATE), _RATE, "flac"))

    def _pair(self, voice: str | None) -> tuple[str, str]:
        voices = self._voices
        if voice is not None and voice not in voices:
            raise NotFound(f"unknown voice {voice[:80]!r}; see /api/voices")
        cloned = [name for name in voices if name.startswith(_CLONED)]
        # Clones are what needs testing; the other voice must say the same sentence.
        first = voice or self._chance.choice(cloned or list(voices[:1]) or [""])
        others = [
            name for name in voices if name != first and preview_sentence(name) == preview_sentence(first)
        ]
        if not others:
            raise _nothing_to_compare_error("no two voices speak the same language: add one")
        return first, self._chance.choice(others)


def _nothing_to_compare_error(message: str) -> ApiError:
    return ApiError(message, status=404, code="nothing_to_compare")


async def _all(chunks: AsyncIterator[bytes]) -> bytes:
    async with closing(chunks) as stream:
        return b"".join([chunk async for chunk in stream])
