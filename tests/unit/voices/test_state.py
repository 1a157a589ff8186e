import ast
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kuaimei import voices
from kuaimei.errors import StoreError
from kuaimei.store.voices import VoiceRow
from kuaimei.voices.serialization import encode_flac, read_flac, read_style, style_bytes
from kuaimei.voices.state import TrainingRecord, next_step, training_record_of, voice_from_row
from kuaimei.voices.styles.initial import initial_style, nearest_by_pitch
from kuaimei.voices.styles.prediction import load_styles
from kuaimei.voices.training.environment.state import EnvironmentState, Phase
from kuaimei.voices.types import Pitch

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def row(similarity: float | None) -> VoiceRow:
    return VoiceRow(
        id="voice_a",
        owner="local",
        name="a",
        created_at=NOW,
        language="zh",
        state="ready",
        stage="",
        error=None,
        transcript="好",
        duration_s=9.0,
        checks=[],
        pitch=None,
        consent={"speaker": "b", "statement": "c", "at": NOW.isoformat()},
        learning=TrainingRecord(step="style", state="waiting", target="decoder").model_dump(mode="json"),
        similarity=similarity,
    )


@pytest.mark.parametrize(("similarity", "label"), [(None, "similar"), (0.69, "similar"), (0.7, "cloned")])
def test_it_is_called_cloned_once_that_was_measured(similarity: float | None, label: str) -> None:
    voice = voice_from_row(row(similarity), 0.7)
    assert voice.label == label
    told = {"step", "state", "progress", "similarity", "eta_s", "error", "reason"}
    assert set(voice.learning.model_dump()) == told


@pytest.mark.parametrize(
    ("state", "learning", "reason", "error"),
    [
        ("making", "waiting", "why", None),
        ("waiting", "waiting", "why", None),
        ("unavailable", "unavailable", None, "why"),
        ("off", "unavailable", None, "why"),
        ("ready", "waiting", None, None),
    ],
)
def test_a_voice_that_waits_for_the_environment_says_so(
    state: Phase, learning: str, reason: str | None, error: str | None
) -> None:
    told = voice_from_row(row(None), 0.7, EnvironmentState(state, "why")).learning
    assert (told.state, told.reason, told.error) == (learning, reason, error)


def test_what_it_waits_for_is_not_kept() -> None:
    assert "reason" not in TrainingRecord(reason="why").model_dump(mode="json")


def test_what_is_kept_is_read_in_one_place_which_bears_what_other_versions_kept() -> None:
    """Elsewhere ``Course(**row.learning)`` would raise, and one voice would keep the server from starting."""
    unguarded = [
        f"{file.name}:{node.lineno}"
        for file in Path(voices.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg is None
        and isinstance(keyword.value, ast.Attribute)
        and keyword.value.attr in {"learning", "pitch", "consent", "checks"}
    ]
    assert unguarded == []


@pytest.mark.parametrize(
    "learning",
    [
        {"step": "style", "state": "waiting", "target": "decoder", "colour": "blue"},
        {"step": "vocoder", "state": "waiting"},
        {"state": "dreaming"},
        {"progress": 7},
        {"progress": "half"},
        {},
    ],
)
def test_what_another_version_wrote_costs_no_more_than_one_voice_its_learning(
    learning: dict[str, Any],
) -> None:
    written = replace(row(0.9), learning=learning, checks=[{"check": "noise", "new": 1}], pitch={"hz": 1})
    voice = voice_from_row(written, 0.7)
    assert (voice.id, voice.checks, voice.pitch) == ("voice_a", (), None)
    known = learning.get("step") == "style" or not learning
    assert (voice.learning.state == "failed") != known
    assert training_record_of(written).public() == voice.learning


def test_the_steps_follow_each_other() -> None:
    assert [next_step(step) for step in ("predicted", "style", "decoder")] == ["style", "decoder", "decoder"]


@pytest.mark.parametrize(
    ("mean_hz", "language", "name"),
    [
        (120.0, "zh", "zm_b"),
        (210.0, "zh", "zf_a"),
        (120.0, "en", "am_d"),
        (210.0, "en", "zf_a"),
        (0.0, None, "zf_a"),
    ],
)
def test_without_an_encoder_the_pitch_decides(mean_hz: float, language: str | None, name: str) -> None:
    stock = {one: np.zeros((510, 256), np.float32) for one in ("zf_a", "zm_b", "am_d")}
    pitch = Pitch(mean_hz=mean_hz, low_hz=1, high_hz=1, log_sd=0.1) if mean_hz else None
    assert nearest_by_pitch(stock, pitch, language) == name  # type: ignore[arg-type]


def test_learning_starts_with_the_prosody_of_the_nearest_voice_of_the_language() -> None:
    styles = load_styles()
    stock = {name: np.full((510, 256), number, np.float32) for number, name in enumerate(styles.names)}

    def start(voice: str | None) -> str:
        heard = None if voice is None else styles.embeddings[styles.names.index(voice)]
        style = initial_style(stock, heard, Pitch(mean_hz=110, low_hz=1, high_hz=1, log_sd=0.1), "zh")
        assert style.shape == (256,)
        if heard is not None:
            assert np.ptp(style[:128]) > 0.0  # predicted: no stock voice's
        return styles.names[int(style[-1])]

    assert start("zf_xiaobei") == "zf_xiaobei"
    assert start("zm_yunxi") == "zm_yunxi"
    assert start("am_adam").startswith("z")  # whoever sounds like that, it is Mandarin that is to be spoken
    assert start(None).startswith("zm_")


def test_files_come_back_as_they_were() -> None:
    pcm = np.arange(-5000, 5000, dtype=np.int16)
    assert np.array_equal(read_flac(encode_flac(pcm)), pcm)
    style = np.arange(256, dtype=np.float32)
    assert np.array_equal(read_style(style_bytes(style)), style)


WRONG = (np.zeros(255, np.float32), np.full(256, np.nan, np.float32))


@pytest.mark.parametrize("data", [b"", b"\x93NUMPY", *map(style_bytes, WRONG)])
def test_damaged_styles_are_refused(data: bytes) -> None:
    with pytest.raises(StoreError, match="style"):
        read_style(data)
    with pytest.raises(StoreError, match="damaged"):
        read_flac(data)
