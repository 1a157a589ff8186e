"""`kuaimei analyse` as a person runs it, on speech of the real Kokoro."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile  # type: ignore[import-untyped]

from kuaimei.audio.encode import encode
from kuaimei.audio.pcm import ASR_RATE, Pcm

pytestmark = [pytest.mark.models, pytest.mark.timeout(600)]

Run = Callable[..., "subprocess.CompletedProcess[str]"]

TEXT = "請問臺灣最高的山是哪一座？我想去看看。"


@pytest.fixture(scope="module")
def recordings(spoken: Callable[[str], Pcm], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A sentence, and a piece of it that is too short; in two formats."""
    folder = tmp_path_factory.mktemp("spoken")
    pcm = spoken(TEXT)
    soundfile.write(folder / "whole.wav", pcm, ASR_RATE, "PCM_16")
    (folder / "short.mp3").write_bytes(encode(pcm[: ASR_RATE // 2], ASR_RATE, "mp3"))
    return folder / "whole.wav", folder / "short.mp3"


def test_scores_come_with_their_reasons(kuaimei: Run, recordings: tuple[Path, Path]) -> None:
    (whole,) = json.loads(kuaimei("analyse", str(recordings[0]), "--transcript", TEXT, "--json").stdout)
    assert (whole["state"], whole["reason"], whole["transcript"]) == ("scored", None, TEXT)
    assert set(whole["scores"]) == {"confidence", "stability", "affability"}
    assert whole["features"]["rate_syl_s"] == pytest.approx(17 / whole["features"]["speech_s"], rel=0.01)
    assert len(whole["contours"]["f0_hz"]) == pytest.approx(100 * whole["audio_s"], abs=1)
    told = kuaimei("analyse", *map(str, recordings), "--no-transcript").stdout
    assert told.count("█") > 3
    assert "tremor_st" in told
    assert "no scores: it is too short" in told
