import numpy as np
import pytest
from numpy.typing import NDArray

from kuaimei.audio.pcm import Pcm
from kuaimei.voices.enrolment.checks import check_all
from kuaimei.voices.enrolment.checks.level import check_clipping, check_loudness, check_speech
from kuaimei.voices.enrolment.checks.messages import MESSAGES
from kuaimei.voices.enrolment.checks.noise import check_music, check_noise, signal_to_noise_db
from kuaimei.voices.enrolment.checks.reverberation import check_reverberation, rt60_s
from kuaimei.voices.enrolment.checks.speakers import check_speakers, speaker_separation
from kuaimei.voices.enrolment.speech_regions import RATE, find_speech
from tests.support.signals import LoudVad, chords, echoing, hiss, listened, spoken

GOOD = hiss(spoken(2.0, 3.0, 2.5), 45)


class Directions:
    """Hears the mean of the samples: one voice above zero, the other below."""

    def embed(self, pcm: Pcm, rate: int) -> NDArray[np.float32]:
        angle = 0.6 if float(pcm.astype(np.float32).mean()) > 0 else -0.6
        return np.array([np.cos(angle), np.sin(angle)], np.float32)


def test_nothing_is_wrong_with_a_good_recording() -> None:
    checks = check_all(listened(GOOD))
    assert [check.check for check in checks] == [
        "speech",
        "clipping",
        "loudness",
        "noise",
        "reverberation",
        "music",
        "speakers",
    ]
    assert {check.verdict for check in checks} == {"ok"}
    assert all(check.advice["zh"] and check.advice["en"] for check in checks)


def test_of_silence_there_is_one_thing_to_say() -> None:
    (check,) = check_all(listened(np.zeros(RATE * 3)))
    assert (check.check, check.verdict, check.value) == ("speech", "refused", 0.0)
    assert check_all(listened(np.zeros(10)))[0].verdict == "refused"
    assert check_all(listened(np.zeros(0)))[0].verdict == "refused"


@pytest.mark.parametrize(("length_s", "verdict"), [(2.5, "refused"), (4.0, "warning"), (8.0, "ok")])
def test_length(length_s: float, verdict: str) -> None:
    check = check_speech(listened(hiss(spoken(length_s), 45)))
    assert check.verdict == verdict
    assert check.value == pytest.approx(length_s, abs=0.2)


@pytest.mark.parametrize(("over", "verdict"), [(0.9, "ok"), (1.1, "warning"), (3.0, "refused")])
@pytest.mark.parametrize("later", [1.0, 0.3])
def test_clipping_also_where_it_was_made_quieter_afterwards(over: float, verdict: str, later: float) -> None:
    signal = np.clip(GOOD / np.abs(GOOD).max() * over, -1, 1) * later
    assert check_clipping(listened(signal)).verdict == verdict


@pytest.mark.parametrize(("peak", "verdict"), [(0.3, "ok"), (0.02, "warning"), (0.004, "refused")])
def test_loudness(peak: float, verdict: str) -> None:
    check = check_loudness(listened(hiss(spoken(4.0, peak=peak), 45), above=20.0))
    assert check.verdict == verdict


@pytest.mark.parametrize(("snr_db", "verdict"), [(40.0, "ok"), (15.0, "warning"), (5.0, "refused")])
def test_noise(snr_db: float, verdict: str) -> None:
    speech = listened(hiss(spoken(2.0, 3.0), snr_db), above=2200.0)
    assert check_noise(speech).verdict == verdict
    assert signal_to_noise_db(speech) == pytest.approx(snr_db, abs=1.5)


@pytest.mark.parametrize("room_s", [0.4, 0.8, 1.6])
def test_the_time_a_room_rings_on(room_s: float) -> None:
    speech = listened(hiss(echoing(spoken(1.5, 1.5, 1.5, pause_s=1.2), room_s), 60))
    assert rt60_s(speech) == pytest.approx(room_s, rel=0.4)


def test_reverberation() -> None:
    def verdict(seconds: float) -> str:
        signal = echoing(spoken(1.5, 1.5, 1.5, pause_s=1.2), seconds)
        return check_reverberation(listened(hiss(signal, 60))).verdict

    assert [verdict(seconds) for seconds in (0.25, 0.9, 2.0)] == ["ok", "warning", "refused"]


@pytest.mark.parametrize(("level", "verdict"), [(0.0, "ok"), (0.03, "refused")])
def test_music(level: float, verdict: str) -> None:
    speech = listened(hiss(chords(spoken(2.0, 3.0), level), 40), above=1500.0)
    assert check_music(speech).verdict == verdict


def test_neither_noise_nor_hum_is_music() -> None:
    signal = hiss(spoken(2.0, 3.0), 20)
    hum = 0.02 * np.sin(2 * np.pi * 60 * np.arange(len(signal)) / RATE)
    assert check_music(listened(signal + hum, above=1500.0)).verdict == "ok"


def test_what_needs_a_pause_says_so() -> None:
    speech = listened(spoken(3.0, pause_s=0.0))
    for check in (check_music(speech), check_reverberation(speech)):
        assert (check.verdict, check.value) == ("ok", None)
        assert "pause" in check.advice["en"]


def test_two_speakers() -> None:
    def made(*signs: int) -> Pcm:
        return np.concatenate([np.full(int(1.6 * RATE), 5000 * sign, np.int16) for sign in signs])

    def check(pcm: Pcm) -> str:
        return check_speakers(find_speech(pcm, LoudVad()), Directions()).verdict

    assert check(made(1, 1, 1, 1, 1, 1)) == "ok"
    assert check(made(1, 1, 1, -1, -1, -1)) == "refused"
    short = check_speakers(find_speech(made(1), LoudVad()), Directions())
    assert (short.verdict, short.value) == ("ok", None)
    assert check_speakers(find_speech(made(1, 1, 1), LoudVad()), None).value is None


def test_a_cough_is_no_second_voice() -> None:
    one = np.tile(np.array([[1.0, 0.0]], np.float32), (20, 1))
    one[7] = [0.0, 1.0]
    assert speaker_separation(one) == 1.0
    one[:6] = [0.0, 1.0]
    assert speaker_separation(one) < 0.1
    assert speaker_separation(np.tile(np.array([[1.0, 0.0]], np.float32), (5, 1))) == 1.0


def test_there_is_advice_for_everything() -> None:
    for check, verdicts in MESSAGES.items():
        assert set(verdicts) == {"ok", "warning", "refused"}, check
        for zh, en in verdicts.values():
            assert zh.endswith("。")
            assert en.endswith(".")
