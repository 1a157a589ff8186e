"""The adapters against the recorded contracts of their packages, which are not installed here.

Where one is (in its image), its signatures are compared with the recording as well.
"""

import importlib
import inspect
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kuaimei.audio.encode import encode
from kuaimei.audio.pcm import EMPTY, Pcm
from kuaimei.errors import EngineError, SettingsError
from kuaimei.settings import Settings
from kuaimei.workers.engines import ENGINES, card
from kuaimei.workers.types import EngineRequest, Options, ReferenceAudio, TTSEngine
from tests.unit.workers.contracts import Calls, modules

TEXT = "今天的垃圾車三點來。你要記得喔！"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    made = Calls()
    for name, module in modules(made).items():
        monkeypatch.setitem(sys.modules, name, module)
    return made


@pytest.fixture
def reference(tmp_path: Path) -> ReferenceAudio:
    path = tmp_path / "reference.wav"
    path.write_bytes(encode(np.zeros(48_000, np.int16), 24_000, "wav"))
    return ReferenceAudio(path, "這是我的聲音。")


@asynccontextmanager
async def opened(name: str, folder: Path, model: str = "") -> AsyncIterator[TTSEngine]:
    stages: list[str] = []
    options = Options(Settings(home=folder), model=model, progress=stages.append)
    async with ENGINES[name].openers["fast"](options) as speaker:
        assert stages
        yield speaker


async def said(speaker: TTSEngine, **more: Any) -> Pcm:
    speech = EngineRequest(**{"text": TEXT, **more})
    return np.concatenate([EMPTY, *[pcm async for pcm in speaker.stream(speech)]])


async def test_f5(
    calls: Calls, reference: ReferenceAudio, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with opened("f5", tmp_path, "weights.safetensors") as speaker:
        assert (speaker.sample_rate, speaker.voices) == (24_000, ())
        assert len(await said(speaker, reference=reference, speed=1.2)) == 2 * 6000
        await said(speaker, reference=reference, mode="hq")
        with pytest.raises(EngineError, match="needs a reference recording"):
            await said(speaker)
    assert calls.named("F5TTS")[0]["ckpt_file"] == "weights.safetensors"
    first, second, slow, _ = calls.named("infer")
    assert (first["gen_text"], second["gen_text"]) == ("今天的垃圾车三点来。", "你要记得喔！")
    assert (first["ref_text"], first["speed"], first["nfe_step"], slow["nfe_step"]) == (
        "这是我的声音。",
        1.2,
        16,
        32,
    )
    assert capsys.readouterr().out == ""


async def test_cosyvoice(calls: Calls, reference: ReferenceAudio, tmp_path: Path) -> None:
    async with opened("cosyvoice", tmp_path) as speaker:
        assert len(await said(speaker, reference=reference)) == 2 * 6000
        assert len(await said(speaker, reference=reference, mode="hq")) == 6000
        assert len(await said(speaker, reference=reference, speed=1.5)) == 6000
        await said(speaker, reference=reference, instructions="開心地說")
        await said(speaker, reference=ReferenceAudio(reference.path))
    assert calls.named("AutoModel") == [{"model_dir": "FunAudioLLM/Fun-CosyVoice3-0.5B-2512"}]
    fast, hq, quick = calls.named("zero_shot")
    assert fast["prompt_text"] == "You are a helpful assistant.<|endofprompt|>这是我的声音。"
    assert (fast["stream"], hq["stream"], quick["stream"], quick["speed"]) == (True, False, False, 1.5)
    (told,) = calls.named("instruct2")
    assert told["instruct_text"] == "You are a helpful assistant. 开心地说<|endofprompt|>"
    (blind,) = calls.named("cross_lingual")
    assert blind["tts_text"].startswith("You are a helpful assistant.<|endofprompt|>今天")


async def test_xtts(
    calls: Calls, reference: ReferenceAudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COQUI_TOS_AGREED", raising=False)
    async with opened("xtts", tmp_path, "folder") as speaker:
        assert len(await said(speaker, reference=reference)) == 3 * 2400
        await said(speaker, reference=reference, text="Good morning.", speed=0.9)
    assert "COQUI_TOS_AGREED" not in os.environ
    assert calls.named("load_json")[0]["file_name"] == str(Path("folder/config.json"))
    assert calls.named("to") == [{"device": "cpu"}]
    assert len(calls.named("latents")) == 1
    chinese, english = calls.named("inference_stream")
    assert (chinese["language"], english["language"], english["speed"]) == ("zh-cn", "en", 0.9)
    assert chinese["text"] == "今天的垃圾车三点来。你要记得喔！"
    async with opened("xtts", tmp_path):
        assert os.environ.pop("COQUI_TOS_AGREED") == "1"
    assert calls.named("load_checkpoint")[1]["checkpoint_dir"] == "downloaded"


async def test_melo(calls: Calls, reference: ReferenceAudio, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="checkpoints_v2"):
        async with opened("melo", tmp_path):
            pass
    async with opened("melo", tmp_path, "checkpoints_v2") as speaker:
        assert (speaker.sample_rate, speaker.voices) == (22_050, ("ZH",))
        plain = await said(speaker, text="今天天氣很好。", voice="ZH", speed=1.1)
        assert len(plain) == pytest.approx(22_050 / 4, abs=2)
        assert len(await said(speaker, reference=reference)) == 2 * int(22_050 / 4)
    (first, *_) = calls.named("tts_to_file")
    assert (first["speaker_id"], first["speed"], first["output_path"]) == (1, 1.1, None)
    assert len(calls.named("extract_se")) == 1
    (converted, _) = calls.named("convert")
    assert converted["tgt_se"] == "colour of the reference"
    assert "zh.pth" in converted["src_se"]


async def test_breezy(calls: Calls, reference: ReferenceAudio, tmp_path: Path) -> None:
    async with opened("breezy", tmp_path) as speaker:
        assert speaker.sample_rate == 22_050
        assert len(await said(speaker, reference=reference, text="垃圾車來了，乜都沒有。")) == int(22_050 / 4)
    assert calls.named("CustomCosyVoice") == [{"model_dir": "MediaTek-Research/BreezyVoice-300M"}]
    (spoken,) = calls.named("no_normalize")
    assert spoken["tts_text"] == "垃[:ㄌㄜ4]圾[:ㄙㄜ4]車來了，乜[:ㄇㄧㄝ1]都沒有。"
    assert spoken["prompt_text"] == "這是我的聲音。"
    assert spoken["prompt_speech_16k"] == (str(reference.path), 16_000)


async def test_qwen_in_the_voice_of_a_reference(
    calls: Calls, reference: ReferenceAudio, tmp_path: Path
) -> None:
    async with opened("qwen", tmp_path) as speaker:
        assert (speaker.sample_rate, speaker.voices) == (24_000, ())
        assert len(await said(speaker, reference=reference)) == 2 * 6000
        await said(speaker, reference=ReferenceAudio(reference.path), text="Good morning to you.")
        with pytest.raises(EngineError, match="CustomVoice"):
            await said(speaker, reference=reference, instructions="sadly")
    (loaded,) = calls.named("from_pretrained")
    assert loaded == {"name": "Qwen/Qwen3-TTS-12Hz-0.6B-Base", "device_map": "cpu", "dtype": "float32"}
    with_words, without = calls.named("create_voice_clone_prompt")
    assert (with_words["ref_text"], with_words["x_vector_only_mode"]) == ("这是我的声音。", False)
    assert (without["ref_text"], without["x_vector_only_mode"]) == (None, True)
    *_, english = calls.named("generate_voice_clone")
    assert (english["language"], english["voice_clone_prompt"]) == ("English", ["prompt"])


async def test_qwen_in_voices_of_its_own(calls: Calls, reference: ReferenceAudio, tmp_path: Path) -> None:
    calls.speakers = ["vivian", "ryan"]
    async with opened("qwen", tmp_path, "Qwen/Qwen3-TTS-12Hz-1.7B-CustomVoice") as speaker:
        assert speaker.voices == ("vivian", "ryan")
        await said(speaker, text="今天天氣很好。", voice="ryan", instructions="悄悄地")
        with pytest.raises(EngineError, match="built-in voices only"):
            await said(speaker, reference=reference)
    (asked,) = calls.named("generate_custom_voice")
    assert (asked["speaker"], asked["instruct"], asked["language"]) == ("ryan", "悄悄地", "Chinese")


@pytest.mark.parametrize("name", ["f5", "cosyvoice", "xtts", "breezy", "qwen"])
async def test_an_engine_that_is_not_installed_says_where_it_is(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in modules(Calls()):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SettingsError, match=f"{name} is not installed here.*deploy/engines/{name}"):
        async with opened(name, tmp_path):
            pass


def test_weights_that_may_not_be_used_commercially_ask_first() -> None:
    asking = {name for name, one in ENGINES.items() if not one.licence.commercial}
    assert asking == {"f5", "xtts", "fish"}
    for name in asking:
        with pytest.raises(SettingsError, match="--accept-licence"):
            card(name)
        assert card(name, licence_accepted=True).name == name
    assert card("kokoro").licence.weights == "Apache-2.0"
    with pytest.raises(SettingsError, match="kokoro, f5, cosyvoice"):
        card("nothing")


RECORDED = [
    ("f5_tts.api", "F5TTS", "infer"),
    ("TTS.tts.models.xtts", "Xtts", "inference_stream"),
    ("TTS.tts.models.xtts", "Xtts", "get_conditioning_latents"),
    ("melo.api", "TTS", "tts_to_file"),
    ("openvoice.api", "ToneColorConverter", "convert"),
    ("qwen_tts", "Qwen3TTSModel", "generate_voice_clone"),
    ("qwen_tts", "Qwen3TTSModel", "generate_custom_voice"),
    ("qwen_tts", "Qwen3TTSModel", "create_voice_clone_prompt"),
]


@pytest.mark.parametrize(("module", "kind", "method"), RECORDED)
def test_the_recording_is_what_is_installed(module: str, kind: str, method: str) -> None:
    try:
        real = importlib.import_module(module)
    except ImportError as missing:
        pytest.skip(f"only in the engine's own image: {missing}")

    def parameters(where: Any) -> list[str]:
        return list(inspect.signature(getattr(getattr(where, kind), method)).parameters)

    assert parameters(modules(Calls())[module]) == parameters(real)


def test_no_adapter_imports_its_package_before_it_is_opened() -> None:
    assert set(modules(Calls())) & set(sys.modules) <= {"torch"}


@pytest.fixture(autouse=True)
def _untouched() -> Iterator[None]:
    yield
    assert "COQUI_TOS_AGREED" not in os.environ
