import pytest

from kuaimei.dialogue.latency import TurnLatency


def test_all_marks_count_from_the_last_voiced_frame() -> None:
    clock = 100.0

    def now() -> float:
        return clock

    stopwatch = TurnLatency(now, t0=99.0)
    clock = 100.2
    stopwatch.mark("transcript")
    clock = 100.4
    stopwatch.mark("endpoint")
    stopwatch.mark("transcript")  # the first time counts
    stopwatch.mark("first_audio")
    stopwatch.mark("last_audio")
    clock = 103.0
    stopwatch.mark("first_audio")
    stopwatch.mark("last_audio")  # … and of the last audio the latest
    stopwatch.t0 = 100.0
    timing = stopwatch.timing(speech_s=1.5, recognition_s=0.4, tokens=7, writing_s=0.9, reply_audio_s=2.5)
    assert timing.transcript_ms == pytest.approx(200)
    assert timing.endpoint_ms == pytest.approx(400)
    assert timing.first_audio_ms == pytest.approx(400)
    assert timing.last_audio_ms == pytest.approx(3000)
    assert timing.first_token_ms is timing.first_clause_ms is None
    assert (timing.speech_s, timing.recognition_s, timing.tokens) == (1.5, 0.4, 7)
    assert (timing.writing_s, timing.reply_audio_s) == (0.9, 2.5)
