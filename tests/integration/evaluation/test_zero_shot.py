"""An engine that is lent the recording: nothing is learned, the same judges hear it."""

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kuaimei.engines.scheduling import Scheduler
from kuaimei.errors import AudioError, EngineError
from kuaimei.evaluation import measure, synthesize
from kuaimei.evaluation.dnsmos import Dnsmos
from kuaimei.evaluation.panel import SpeakerEvaluator
from kuaimei.evaluation.references import EvaluationReference
from kuaimei.evaluation.report import VoiceReport
from kuaimei.evaluation.runs.zero_shot import ZeroShotRun
from kuaimei.voices.enrolment.pipeline import ReferenceExaminer
from tests.support.fake_encoders import PitchEncoder, Rating
from tests.support.fakes import FakeRecognizer, FakeSynthesizer
from tests.support.voices.running_library import TEXT, LoudVad, audio


@dataclass
class Lent(FakeSynthesizer):
    """Takes recordings of voices."""

    references: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    taken_back: list[str] = field(default_factory=list)

    def put_reference(self, voice_id: str, audio: bytes, transcript: str) -> None:
        self.references[voice_id] = (audio, transcript)

    def drop_voice(self, voice_id: str) -> None:
        self.references.pop(voice_id, None)
        self.taken_back.append(voice_id)


@pytest.fixture(autouse=True)
def little_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "HELD_OUT", {"zh": ("你好。", "再見。")})
    monkeypatch.setattr(measure, "LONG", {"zh": ("今天天氣很好。",)})
    monkeypatch.setattr(measure, "FIFTY", {"zh": "好。"})
    monkeypatch.setattr(synthesize, "_TIMES", 1)


def lending(speaker: Lent, note: Callable[[str], None] = lambda line: None) -> ZeroShotRun:
    ears = FakeRecognizer(text=TEXT, delay_s=0.0)
    panel = SpeakerEvaluator(
        {"eres2net": PitchEncoder("eres2net")}, Dnsmos(Rating([3, 3, 3]), Rating([3])), ears
    )
    examiner = ReferenceExaminer(LoudVad, ears, lambda: None, Scheduler("cores", 2))
    return ZeroShotRun(panel, "f5-tts", speaker, speaker, examiner, ("fast", "hq"), True, note)


async def judged(bench: ZeroShotRun, path: Path, transcript: str = "") -> list[VoiceReport]:
    async with aclosing(bench.judge(EvaluationReference("amy", path, transcript))) as findings:
        return [finding async for finding in findings]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "amy.flac"
    path.write_bytes(audio(3.0, 3.0, 3.0, 3.0))
    return path


async def test_the_engine_is_lent_one_half_and_its_words(recording: Path) -> None:
    speaker = Lent(delay_s=0.0)
    seen: list[tuple[bytes, str]] = []
    bench = lending(speaker, lambda line: seen.append(speaker.references["voice_judged"]))
    fast, hq = await judged(bench, recording)
    assert (fast.tier, hq.tier) == ("fast", "hq")
    assert {(one.engine, one.step, one.voice) for one in (fast, hq)} == {("f5-tts", "reference", "amy")}
    assert fast.similarity["eres2net"].floor is None
    assert fast.error_over_stock is None
    assert fast.characters == 10  # the long text is among it
    data, words = seen[0]
    assert data[:4] == b"RIFF"
    assert 4.0 < len(data) / 48_000 < 8.0  # half of it, at 24 kHz
    assert words == TEXT
    assert {req.voice_id for req in speaker.requests} == {"voice_judged"}
    assert {req.mode for req in speaker.requests} == {"fast", "hq"}
    assert speaker.taken_back == ["voice_judged"]


async def test_the_given_words_are_lent(recording: Path) -> None:
    speaker = Lent(delay_s=0.0)
    seen: list[str] = []
    bench = lending(speaker, lambda line: seen.append(speaker.references["voice_judged"][1]))
    await judged(bench, recording, f"{TEXT}。")
    assert seen[0] == f"{TEXT}。"


async def test_an_engine_that_fails_gives_the_recording_back(recording: Path) -> None:
    speaker = Lent(failure=EngineError("out of memory"))
    with pytest.raises(EngineError, match="out of memory"):
        await judged(lending(speaker), recording)
    assert speaker.references == {}


async def test_what_is_no_audio_is_not_lent(tmp_path: Path) -> None:
    path = tmp_path / "amy.wav"
    path.write_bytes(b"%PDF-1.7 nothing to hear")
    speaker = Lent()
    with pytest.raises(AudioError):
        await judged(lending(speaker), path)
    assert speaker.taken_back == []
