"""The recorder on a real conversation (its engines are fakes that cost nothing)."""

import asyncio

import numpy as np

from kuaimei.dialogue.conversation import Conversation
from kuaimei.dialogue.events import ReplyAudio, ReplyFinished, ReplyInterrupted, SpeechAudio, TurnMetrics
from kuaimei.settings import DialogueSettings, Settings
from kuaimei.store import open_store
from tests.support.fakes import EventLog, FakeLanguageModel, fake_engines, play, said, silence
from tests.support.store.talking import recording


async def test_what_the_events_say_is_what_is_kept(settings: Settings) -> None:
    log = EventLog()
    async with open_store(settings) as store:
        recorder = store.recorder("sess_a", voice="fake")
        engines = fake_engines(language_model=FakeLanguageModel("今天是晴天，適合出門走走。"))
        async with Conversation(engines, DialogueSettings(), "sess_a", [recorder, log]) as conversation:
            await play(conversation, silence(200), said("今天天氣"), silence(1500))
            await conversation.wait_idle()
            conversation.send_text("謝謝")
            await conversation.wait_idle()
            conversation.report_playback(200.0)
            await asyncio.sleep(0)
            history = await store.flush() and await store.history("sess_a")
        await recorder.close()

        kept = await store.utterances("sess_a")
        assert [(u.turn, u.speaker, u.state) for u in kept] == [
            (1, "user", "stored"),
            (1, "assistant", "stored"),
            (2, "user", "empty"),
            (2, "assistant", "stored"),
        ]
        heard = np.concatenate([event.pcm for event in log.of(SpeechAudio)])
        np.testing.assert_array_equal((await recording(store, kept[0].id))[0], heard)
        for utterance, finished in zip((kept[1], kept[3]), log.of(ReplyFinished), strict=True):
            pieces = [event for event in log.of(ReplyAudio) if event.reply == finished.reply]
            pcm, rate = await recording(store, utterance.id)
            assert rate == pieces[0].rate
            np.testing.assert_array_equal(pcm, np.concatenate([piece.pcm for piece in pieces]))
            assert utterance.transcript == finished.text
        timings = [turn.timings for turn in await store.turns("sess_a")]
        assert [t["reply_audio_s"] for t in timings] == [e.timing.reply_audio_s for e in log.of(TurnMetrics)]
        assert [m.content for m in history or ()][:3] == ["今天天氣", "今天是晴天，適合出門走走。", "謝謝"]
        interrupted = log.of(ReplyInterrupted)
        assert [u.heard_text for u in kept if u.interrupted] == [e.heard_text for e in interrupted]
