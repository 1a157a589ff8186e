from collections import Counter
from itertools import pairwise

import numpy as np

from kuaimei.audio.pcm import to_float
from kuaimei.evaluation.synthetic_speech import add_room_noise, lines
from kuaimei.text.fillers import find_fillers


def test_lines_are_the_same_every_time_and_of_both_languages() -> None:
    assert lines(30) == lines(30)
    assert lines(30)[:10] == lines(10)
    assert Counter(line.language for line in lines(48)) == {"zh": 24, "en": 24}


def test_they_differ_in_voice_text_and_pace() -> None:
    made = lines(48)
    assert len({(line.voice, line.text, line.speed) for line in made}) == 48
    assert len({line.voice for line in made}) == 16
    assert {line.speed for line in made} == {0.85, 1.0, 1.15}
    assert all(first.name < second.name for first, second in pairwise(made))


def test_some_hesitate() -> None:
    assert {bool(find_fillers(line.text)) for line in lines(20)} == {True, False}


def test_a_room_is_around_speech_that_had_none() -> None:
    rng = np.random.default_rng(0)
    speech = np.clip(rng.normal(-400.0, 3000.0, 24_000), -32768, 32767).astype(np.int16)
    room = to_float(add_room_noise(speech, 24_000))
    assert len(room) == 48_000
    margin = room[:11_000]
    assert 0.0 < np.sqrt(np.mean(np.square(margin))) < 0.001
    assert abs(room[12_000:36_000].mean()) < 1e-3
