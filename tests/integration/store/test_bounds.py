"""Nothing that is said grows without end, whatever a conversation or an engine does."""

import numpy as np
import pytest

from kuaimei.audio.pcm import ASR_RATE
from kuaimei.dialogue.events import (
    FinalTranscript,
    ReplyAudio,
    ReplyFinished,
    ReplyStarted,
    SpeechAudio,
    SpeechStarted,
    TurnEnded,
)
from kuaimei.settings import Settings
from kuaimei.store import open_store, recorder
from tests.support.store.talking import REPLY_RATE, now, recording, sound


async def test_speech_that_does_not_end_goes_on_in_another_recording(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "_SPOOLED_MAX_S", 1)
    heard = sound(3 * ASR_RATE + 512)
    async with open_store(settings) as store:
        noting = store.recorder("sess_a")
        noting(SpeechStarted(1, now(), 0.0))
        for start in range(0, len(heard), 512):
            noting(SpeechAudio(1, now(), heard[start : start + 512]))
        noting(TurnEnded(1, now(), now(), 3000.0, "silence"))
        noting(FinalTranscript(1, now(), "說了很久", "zh"))
        await noting.close()
        assert await store.flush()
        parts = sorted(await store.utterances("sess_a"), key=lambda one: one.id)
        assert [one.transcript for one in parts] == ["說了很久", "", ""]
        assert [one.is_turn for one in parts] == [True, False, False]
        whole = np.concatenate([(await recording(store, one.id))[0] for one in parts])
        np.testing.assert_array_equal(whole, heard)
        assert [message.content for message in await store.history("sess_a")] == ["說了很久"]
        assert await store._jobs.counts() == {}


async def test_a_reply_said_to_be_a_year_later_makes_no_file_of_a_year(settings: Settings) -> None:
    async with open_store(settings) as store:
        noting = store.recorder("sess_a")
        noting(ReplyStarted(1, now(), "reply_1"))
        noting(ReplyAudio(1, now(), "reply_1", sound(2400), REPLY_RATE, 0.0))
        noting(ReplyAudio(1, now(), "reply_1", sound(2400), REPLY_RATE, 3e10))
        noting(ReplyFinished(1, now(), "reply_1", "好", 100.0))
        await noting.close()
        (reply,) = await store.utterances("sess_a")
        assert reply.duration_ms == 100.0
        assert (await store.statistics()).lost_bytes == 4800
