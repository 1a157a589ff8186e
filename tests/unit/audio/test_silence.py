import numpy as np
import pytest

from kuaimei.audio.loudness import SPEECH_DBFS, normalize_loudness, speech_level
from kuaimei.audio.pcm import EMPTY, Pcm
from kuaimei.audio.silence import StreamTrimmer, fade_edges, silence, sound_bounds, trim_silence

RATE = 24000


def tone(seconds: float, amplitude: float = 8000) -> Pcm:
    return (np.sin(2 * np.pi * 200 * np.arange(int(RATE * seconds)) / RATE) * amplitude).astype(np.int16)


def padded(lead_ms: float, tail_ms: float) -> Pcm:
    return np.concatenate([silence(lead_ms, RATE), tone(0.5), silence(tail_ms, RATE)])


def test_silence_is_cut_at_both_ends_and_a_little_is_kept() -> None:
    trimmed = trim_silence(padded(300, 400), RATE, keep_start_ms=30, keep_end_ms=60)
    assert len(trimmed) == pytest.approx(RATE * 0.590, abs=RATE * 0.006)


def test_noise_far_below_the_speech_is_silence() -> None:
    pcm = padded(300, 400)
    noise = np.random.default_rng(1).integers(-12, 13, len(pcm)).astype(np.int16)
    bounds = sound_bounds(pcm + noise, RATE)
    assert bounds is not None
    assert bounds[0] / RATE == pytest.approx(0.3, abs=0.006)
    assert bounds[1] / RATE == pytest.approx(0.8, abs=0.006)


def test_a_pause_in_the_middle_stays() -> None:
    pcm = np.concatenate([padded(100, 500), padded(0, 100)])
    assert len(trim_silence(pcm, RATE)) > RATE * 1.5


@pytest.mark.parametrize("pcm", [EMPTY, np.zeros(5000, np.int16), np.ones(5000, np.int16)])
def test_nothing_audible_gives_nothing(pcm: Pcm) -> None:
    assert not len(trim_silence(pcm, RATE))
    assert speech_level(pcm, RATE) is None
    assert np.array_equal(normalize_loudness(pcm, RATE), pcm)


def test_sound_that_begins_at_once_loses_nothing_but_its_edge() -> None:
    pcm = tone(0.5)
    trimmed = trim_silence(pcm, RATE)
    assert len(trimmed) == len(pcm)
    assert np.array_equal(trimmed[200:-400], pcm[200:-400])


def test_edges_meet_without_a_jump() -> None:
    loud = np.full(2400, 20000, np.int16)
    joined = np.concatenate([fade_edges(loud, RATE), silence(20, RATE), fade_edges(loud, RATE)])
    assert joined[0] == 0
    assert np.abs(np.diff(joined.astype(int))).max() < 400
    assert len(fade_edges(loud[:1], RATE)) == 1
    assert not len(fade_edges(EMPTY, RATE))


@pytest.mark.parametrize("amplitude", [1500, 8000, 15000])
def test_speech_is_brought_to_one_level(amplitude: float) -> None:
    pcm = np.concatenate([silence(500, RATE), tone(0.5, amplitude), silence(500, RATE)])
    assert speech_level(normalize_loudness(pcm, RATE), RATE) == pytest.approx(SPEECH_DBFS, abs=0.3)


def test_a_level_never_clips_and_knows_its_limits() -> None:
    click = tone(0.5, 500)
    click[6000] = 30000
    assert np.abs(normalize_loudness(click, RATE).astype(int)).max() <= 32768 * 10 ** (-1 / 20) + 1
    faint = normalize_loudness(tone(0.5, 100), RATE, max_gain_db=12)
    assert np.abs(faint).max() == pytest.approx(398, abs=4)


@pytest.mark.parametrize("piece", [100, 480, 2400, 100_000])
def test_a_stream_is_trimmed_like_a_whole(piece: int) -> None:
    pcm = np.concatenate([padded(300, 200), padded(0, 400)])
    trimmer = StreamTrimmer(RATE)
    pushed = [trimmer.push(pcm[i : i + piece]) for i in range(0, len(pcm), piece)]
    trimmed = np.concatenate([*pushed, trimmer.flush()])
    assert len(trimmed) == pytest.approx(len(trim_silence(pcm, RATE)), abs=RATE * 0.011)
    assert trimmed[0] == 0
    assert abs(int(trimmed[-1])) < 40
    assert np.abs(np.diff(trimmed.astype(int))).max() < 500


def test_a_silent_stream_gives_nothing() -> None:
    trimmer = StreamTrimmer(RATE)
    assert not len(trimmer.push(silence(1000, RATE)))
    assert not len(trimmer.flush())
