from typing import Any

import pytest

from kuaimei.server.realtime.input_config import InputConfig, Transcription, TurnDetection
from kuaimei.server.realtime.protocol import ProtocolError
from kuaimei.settings import DialogueSettings

BASE = DialogueSettings()


def detecting(hearing: InputConfig | None = None, **fields: Any) -> InputConfig:
    asked = TurnDetection.model_validate({"type": "server_vad", **fields})
    return (hearing or InputConfig()).with_turn_detection(asked)


def transcribing(hearing: InputConfig | None = None, **fields: Any) -> InputConfig:
    return (hearing or InputConfig()).with_transcription(Transcription.model_validate(fields))


def test_who_asks_for_nothing_gets_the_settings() -> None:
    assert detecting().settings(BASE, semantic=False) is BASE
    assert transcribing().settings(BASE, semantic=True) is BASE


def test_silence_threshold_and_padding() -> None:
    hearing = detecting(threshold=0.7, silence_duration_ms=150, prefix_padding_ms=500)
    settings = hearing.settings(BASE, semantic=False)
    assert settings.speech_threshold == 0.7
    assert settings.preroll_ms == 500
    ends = (settings.end_silence_ms, settings.end_silence_complete_ms, settings.end_silence_incomplete_ms)
    assert ends == (150, 150, 150)  # the client's word, whatever turn detection thinks
    assert (settings.speculate_silence_ms, settings.unready_silence_ms) == (150, 150)
    assert detecting(threshold=1.0).settings(BASE, semantic=False).speech_threshold < 1
    assert detecting(threshold=0.0).settings(BASE, semantic=False).speech_threshold > 0


def test_what_is_not_named_stays_and_null_is_as_before() -> None:
    hearing = detecting(detecting(threshold=0.7), silence_duration_ms=300)
    assert (hearing.threshold, hearing.silence_ms) == (0.7, 300)
    assert detecting(hearing, threshold=None).threshold is None


def test_eagerness() -> None:
    low = detecting(type="semantic_vad", eagerness="low").settings(BASE, semantic=True)
    high = detecting(type="semantic_vad", eagerness="high").settings(BASE, semantic=True)
    assert low.end_silence_ms > BASE.end_silence_ms > high.end_silence_ms
    assert low.end_silence_incomplete_ms > BASE.end_silence_incomplete_ms
    assert detecting(type="semantic_vad", eagerness="auto").settings(BASE, semantic=True) is BASE


@pytest.mark.parametrize(
    ("tag", "language"),
    [("zh", "zh"), ("zh-TW", "zh"), ("cmn_Hant", "zh"), ("en-GB", "en"), ("EN", "en"), (None, "auto")],
)
def test_languages(tag: str | None, language: str) -> None:
    base = DialogueSettings(language="en" if language != "en" else "zh")
    assert transcribing(language=tag).settings(base, semantic=False).language == language


def test_a_language_nobody_here_speaks() -> None:
    with pytest.raises(ProtocolError, match="'fr'") as error:
        transcribing(language="fr")
    assert error.value.param == "session.audio.input.transcription.language"


def test_words_to_favour() -> None:
    assert transcribing(keywords=["快美", " 淡水 ", "", "快美"]).keywords == ("快美", "淡水")
    assert transcribing(prompt="快美、淡水, Kuaimei；").keywords == ("快美", "淡水", "Kuaimei")
    kept = transcribing(transcribing(keywords=["快美"]), language="zh")
    assert kept.settings(BASE, semantic=False).hotwords == ("快美",)
    assert transcribing(kept, keywords=None).keywords is None
