"""Nothing lasts for ever: an utterance without an end becomes a turn, and nothing of it is lost."""

from typing import Any

import numpy as np
import pytest

from kuaimei.dialogue.events import FinalTranscript, SpeechAudio, SpeechStarted, TurnEnded
from kuaimei.dialogue.reply_options import ReplyOptions
from tests.support.fakes import EventLog, FakeRecognizer, play, said, silence
from tests.support.virtual_time import virtually
from tests.unit.dialogue.conversing import conversation

WORDS = "".join(chr(0x4E00 + n) for n in range(150))  # 24 s without a pause


@pytest.mark.parametrize("endpointing", [True, False])
@virtually
async def test_what_has_no_end_becomes_turns(endpointing: bool) -> None:
    log = EventLog()
    recognizer = FakeRecognizer(delay_s=0.0)
    parts: dict[str, Any] = {"recognizer": recognizer, "reply_options": ReplyOptions(reply=False)}
    async with conversation(log, {"max_utterance_s": 10.0, "piece_max_ms": 4000}, **parts) as talk:
        talk.endpointing = endpointing
        await play(talk, said(WORDS), silence(2000))
        if not endpointing:
            talk.commit()
        await talk.wait_idle()
    ends = [event.reason for event in log.of(TurnEnded)]
    assert ends[:2] == ["limit", "limit"]
    assert len(ends) == 3
    heard = np.concatenate([event.pcm for event in log.of(SpeechAudio)])
    spoken = heard[np.flatnonzero(heard)[0] : np.flatnonzero(heard)[-1] + 1]
    assert len(spoken) >= len(said(WORDS)) - 512
    starts = log.of(SpeechStarted)
    assert len(starts) == 3
    # Letters at the seams may be heard twice, none is missing.
    understood = "".join(event.text for event in log.of(FinalTranscript))
    assert set(WORDS) <= set(understood)
    assert len(understood) <= len(WORDS) + 6
