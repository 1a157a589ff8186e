"""Voices learned for a measurement, as the server learns them; the learning process is made of orders."""

from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kuaimei.errors import AudioError, EngineError
from kuaimei.evaluation.runs import training
from kuaimei.evaluation.runs.training import VoiceTrainer
from kuaimei.evaluation.training_cache import CachedTraining, TrainingCache
from kuaimei.settings import Settings
from kuaimei.voices.types import Step
from tests.support.voices.running_library import TEXT, kept, living, speech


@pytest.fixture(autouse=True)
def watched_closely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to wait a second to learn that a step is done."""
    monkeypatch.setattr(training, "_LOOK_S", 0.02)


STEPS: tuple[Step, ...] = ("predicted", "style", "decoder")


async def fitted(fitter: VoiceTrainer, *steps: Step, seconds: float = 3.0) -> dict[Step, CachedTraining]:
    async with aclosing(fitter.fit("amy", speech(2.0, seconds), TEXT, steps)) as results:
        return {step: learned async for step, learned in results}


async def test_each_step_is_learned_kept_and_nothing_else_stays(settings: Settings, tmp_path: Path) -> None:
    notes: list[str] = []
    async with living(settings, learn="none") as runtime:
        runtime.order(style=[["progress", 0.2], ["progress", 0.7], ["done", 0.6]], decoder=[["done", 0.8]])
        fitter = VoiceTrainer(runtime.library, TrainingCache(tmp_path / "kept"), notes.append)
        found = await fitted(fitter, *STEPS)
        assert list(found) == list(STEPS)
        predicted, style, decoder = (found[step] for step in STEPS)
        assert np.allclose(style.style, predicted.style + 1.0)
        assert np.allclose(decoder.style, style.style + 1.0)
        assert predicted.took_s == 0.0
        assert style.took_s > 0.0
        assert (predicted.decoder, style.decoder) == (None, None)
        assert decoder.decoder is not None
        assert np.load(decoder.decoder)["change"].tolist() == [1, 1, 1]
        assert [run["step"] for run in runtime.runs] == ["style", "decoder"]
        assert any(note.startswith("amy: ") for note in notes)
        assert await runtime.library.voices("local") == []
        assert kept(runtime.store_home) == []


async def test_what_was_learned_before_is_not_learned_again(settings: Settings, tmp_path: Path) -> None:
    async with living(settings, learn="none") as runtime:
        fitter = VoiceTrainer(runtime.library, TrainingCache(tmp_path / "kept"), lambda note: None)
        first = await fitted(fitter, "predicted", "style")
        again = await fitted(fitter, "predicted", "style")
        assert len(runtime.runs) == 1
        assert (again["style"].style == first["style"].style).all()
        await fitted(fitter, "style", seconds=4.0)  # another recording
        assert len(runtime.runs) == 2


async def test_a_step_that_fails_says_why_and_leaves_no_voice(settings: Settings, tmp_path: Path) -> None:
    async with living(settings, learn="none") as runtime:
        runtime.order(style=[["fail", "the reference is too odd"]])
        fitter = VoiceTrainer(runtime.library, TrainingCache(tmp_path / "kept"), lambda note: None)
        with pytest.raises(EngineError, match=r"amy: style was not trained: the reference is too odd"):
            await fitted(fitter, *STEPS)
        assert await runtime.library.voices("local") == []
        assert list(await fitted(fitter, "predicted")) == ["predicted"]  # what was reached is there


@pytest.mark.parametrize(
    ("voices", "told"),
    [
        ({"python": "/nowhere"}, "KUAIMEI_VOICES__PYTHON"),
        ({"python": "", "environment": "off"}, "SLIM=1"),
        ({"python": "", "environment": "cpu"}, "kuaimei setup"),  # nobody is making it here
    ],
)
async def test_without_the_environment_nothing_is_learned(
    settings: Settings, tmp_path: Path, voices: dict[str, Any], told: str
) -> None:
    async with living(settings, learn="none", **voices) as runtime:
        fitter = VoiceTrainer(runtime.library, TrainingCache(tmp_path / "kept"), lambda note: None)
        assert told in fitter.unavailable_reason
        with pytest.raises(EngineError, match=told):
            await fitted(fitter, "style")


async def test_silence_is_refused(settings: Settings, tmp_path: Path) -> None:
    async with living(settings, learn="none") as runtime:
        fitter = VoiceTrainer(runtime.library, TrainingCache(tmp_path / "kept"), lambda note: None)
        with pytest.raises(AudioError):
            async with aclosing(fitter.fit("amy", np.zeros(72_000, np.int16), "", STEPS)) as results:
                assert [step async for step, _ in results] == []
