"""Labels of utterances that are kept find what was measured of them."""

from pathlib import Path

import pytest

from kuaimei.analysis.labels import read_labels
from kuaimei.cli.label_data import gather
from kuaimei.settings import AnalysisSettings, Settings
from kuaimei.store import open_store
from tests.support.store.analysing import SAID, analysing, voice
from tests.support.store.talking import eventually, take_turn


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With analysis."""
    return settings.model_copy(update={"analysis": AnalysisSettings()})


async def test_features_come_from_the_store_with_their_session(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_store(settings) as store, analysing(store, settings):
        recorder = store.recorder("sess_a", voice="zf_a")
        take_turn(recorder, 1, SAID, voice(), "好的。", voice(1.6, 220.0, 24_000))
        await recorder.close()
        assert await store.flush()

        async def measured() -> bool:
            return len(await store.analyses.features([u.id for u in await store.utterances("sess_a")])) == 2

        await eventually(measured)
        heard = (await store.utterances("sess_a"))[0]
        kept = (await store.analyses.features([heard.id]))[heard.id]
    path = tmp_path / "labels.csv"
    path.write_text(
        f"utterance,confidence,rater\n{heard.id},4,amy\n{heard.id},5,ben\nutt_gone,2,amy\n", encoding="utf-8"
    )
    (sample,) = await gather(settings, read_labels(path))
    assert sample.features == kept
    assert sample.ratings == {"confidence": 4.5}
    assert sample.group == "sess_a"
    assert "1 utterances are not stored or not analysed" in " ".join(capsys.readouterr().err.split())
