"""Which frames of a piece are given to the vocoder."""

import numpy as np
import pytest

from kuaimei.engines.tts.kokoro.silent_ends import Features, Kept, audible

_SOUND = 8.0
_SILENCE = -9.5


def features(energy: list[float]) -> Features:
    """``energy`` frame by frame; every value of the others is the number of its frame."""
    frames = len(energy)
    number = np.arange(frames, dtype=np.float32)
    return Features(
        style=np.zeros((1, 128), np.float32),
        pitch=np.repeat(number, 2)[np.newaxis, np.newaxis],
        energy=np.repeat(np.array(energy, np.float32), 2)[np.newaxis],
        phonemes=np.tile(number, (1, 512, 1)),
        source=np.tile(np.append(np.repeat(number, 120), frames).astype(np.float32), (1, 22, 1)),
    )


def test_silence_is_left_out_but_for_a_margin() -> None:
    kept = audible(features([_SILENCE] * 20 + [_SOUND] * 30 + [_SILENCE] * 40))
    assert (kept.start, kept.stop, kept.frames) == (14, 58, 90)
    start, end = np.split(kept.left_out, 2)
    assert (start.sum(), end.sum()) == pytest.approx((14 / 90, 32 / 90))


def test_a_soft_onset_is_sound() -> None:
    assert audible(features([_SILENCE] * 20 + [-3.0] * 2 + [_SOUND] * 30)).start == 14


def test_silence_between_words_is_kept() -> None:
    piece = [_SILENCE] * 10 + [_SOUND] * 10 + [_SILENCE] * 30 + [_SOUND] * 10 + [_SILENCE] * 20
    assert audible(features(piece)) == Kept(4, 68, 80)


@pytest.mark.parametrize("piece", [[_SOUND] * 9, [_SILENCE] * 9, [_SILENCE, _SOUND, _SILENCE], [_SOUND]])
def test_where_nothing_can_be_left_out_all_is_kept(piece: list[float]) -> None:
    kept = audible(features(piece))
    assert (kept.start, kept.stop) == (0, len(piece))
    assert not kept.left_out.any()
    assert all(0.0 <= place < 1.0 for place in kept.standing_in)


def test_every_feature_is_cut_at_the_same_frames() -> None:
    cut = Kept(5, 12, 20).of(features([_SOUND] * 20))
    assert cut.style.shape == (1, 128)
    assert cut.pitch.shape == (1, 1, 14)
    assert cut.energy.shape == (1, 14)
    assert cut.phonemes[0, 0].tolist() == list(range(5, 12))
    assert cut.source.shape == (1, 22, 7 * 120 + 1)
    assert (cut.pitch.min(), cut.pitch.max()) == (5, 11)
    assert (cut.source[0, 0, 0], cut.source[0, 0, -2], cut.source[0, 0, -1]) == (5, 11, 12)


@pytest.mark.parametrize("scale", [1, 2, 20, 120])
def test_the_frames_that_stand_in_are_silent_whatever_the_layers_pace(scale: int) -> None:
    kept = audible(features([_SILENCE] * 20 + [_SOUND] * 30 + [_SILENCE] * 40))
    layer = np.repeat(np.array([_SILENCE] * 20 + [_SOUND] * 30 + [_SILENCE] * 40), scale)
    layer = layer[kept.start * scale : kept.stop * scale]
    places = np.floor(kept.standing_in * len(layer)).astype(int)
    assert (layer[places] == _SILENCE).all()
    assert (places >= 2 * scale).all()
    assert (places < len(layer) - 2 * scale).all()
    # Upsampling by 10 and by 6 leaves patterns that are as long as that: no part of them is left out.
    if scale == 120:
        assert {*(places % 60)} >= {*range(1, 60, 3)}
