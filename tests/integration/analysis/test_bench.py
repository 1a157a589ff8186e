"""The bench and the gathering of labelled recordings, on real speech in files."""

from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile  # type: ignore[import-untyped]

from kuaimei.analysis.head import FEATURES
from kuaimei.analysis.labels import read_labels
from kuaimei.audio.pcm import ASR_RATE, Pcm
from kuaimei.cli.label_data import gather
from kuaimei.errors import SettingsError
from kuaimei.evaluation.runs import analysis
from kuaimei.evaluation.runs.analysis import Plan, examine
from kuaimei.evaluation.speech_transforms import widen_intonation
from kuaimei.evaluation.synthetic_speech import add_room_noise
from kuaimei.settings import Settings

pytestmark = pytest.mark.models

SAID = "我覺得這個計畫可以開始了。資料都準備好了，明天早上就送出去。"


@pytest.fixture(scope="module")
def clips(spoken: Callable[..., Pcm]) -> list[Pcm]:
    """Five speakers made of one: each livelier than the one before."""
    plain = spoken(SAID, "zf_xiaoxiao")[: 5 * ASR_RATE // 2]
    return [add_room_noise(widen_intonation(plain, ASR_RATE, step), ASR_RATE) for step in range(5)]


@pytest.fixture
def folder(clips: list[Pcm], tmp_path: Path) -> Path:
    for speaker, pcm in enumerate(clips):
        path = tmp_path / f"speaker{speaker}.wav"
        soundfile.write(path, pcm, ASR_RATE, "PCM_16")
        path.with_suffix(".txt").write_text(SAID[:13], encoding="utf-8")
    return tmp_path


async def test_the_bench_tells_everything(
    settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analysis, "METERS", ("own", "librosa"))
    done: dict[str, int] = {}
    notes: list[str] = []
    report = await examine(
        settings, Plan(folder, 0, 0), notes.append, lambda what, at, total: done.update({what: total - at})
    )
    found = report.figures
    assert any("GPL-3" in line for line in notes)
    assert found.clips == 5
    assert set(found.features) == set(FEATURES)
    melody = found.features["f0_sd_st"]
    assert melody.clips == 5
    for condition in ("gain", "rate", "noise", "mp3"):
        value = melody.icc[condition]
        assert value is not None, condition
        assert value > 0.75, condition
    assert report.figures.heard_snr_db[20] == pytest.approx(20.0, abs=4.0)
    assert {one.meter for one in report.agreement} == {"librosa"}
    assert set(report.ms_per_s) == {"own", "librosa"}
    assert all(ms > 0.0 for ms in report.ms_per_s.values())
    assert report.series == []
    assert set(done.values()) == {0}  # all that was begun was told to its end


async def test_few_recordings_are_refused(settings: Settings, folder: Path) -> None:
    (folder / "speaker3.wav").unlink()
    with pytest.raises(SettingsError, match="4 clips are too few to measure reliability"):
        await examine(settings, Plan(folder, 0, 0), lambda _: None, lambda *_: None)


async def test_labelled_recordings_are_measured(settings: Settings, folder: Path) -> None:
    labels = folder / "labels.csv"
    labels.write_text("file,affability,session\nspeaker0.wav,2,one\nspeaker4.wav,5,two\n", encoding="utf-8")
    flat, lively = await gather(settings, read_labels(labels))
    assert (flat.ratings, flat.group) == ({"affability": 2.0}, "one")
    assert lively.features["f0_sd_st"] > 1.3 * flat.features["f0_sd_st"]
    assert flat.features["rate_syl_s"] > 2.0  # the words beside it were counted
