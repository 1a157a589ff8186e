"""The listener that voices are learned through is as sure of the words as the recogniser it was made from."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from kuaimei.audio.pcm import ASR_RATE, Pcm, to_float
from kuaimei.audio.resample import resample
from kuaimei.engines.asr.whisper import SCRIPT_PROMPTS
from kuaimei.engines.asr.whisper_decoder import load_whisper
from kuaimei.settings import Settings
from kuaimei.text.error_rate import units
from kuaimei.voices.training.asr_loss import ASR_LOSS_MODEL, write_asr_loss_spec
from tests.integration.training.torch_program import need_torch, run_with_torch

pytestmark = pytest.mark.models

SAID, OTHER = "今天下午我們一起去公園散步好不好", "明天晚上你們自己到學校唱歌行不行"

PROGRAM = """
import json, sys
from pathlib import Path
import numpy as np, torch
from kuaimei.training.asr_loss import AsrLoss, load_whisper_scorer
torch.set_num_threads(1)
facts, sound = json.loads(sys.argv[1]), torch.from_numpy(np.load(sys.argv[2])).requires_grad_()
scorer = load_whisper_scorer(Path(facts["weights"]), sound.device)
loss = AsrLoss(scorer, facts["before"], facts["lines"])
losses = [loss(sound, line) for line in range(2)]
losses[0].backward()
print(json.dumps([*map(float, losses), float(sound.grad.abs().max())]))
"""


def test_the_listener_is_as_sure_as_the_recogniser(tmp_path: Path, spoken: Callable[..., Pcm]) -> None:
    folder = Settings().weights_dir / ASR_LOSS_MODEL
    facts = write_asr_loss_spec(folder, [SAID, OTHER], "zh")
    need_torch()
    if facts is None:
        pytest.skip("learning voices is not set up here: run make setup without SLIM=1")
    # Where sound ends with the window, the recogniser goes on by itself now and then.
    pcm = np.pad(spoken(SAID, "zf_xiaoxiao"), (0, ASR_RATE // 2))
    whisper = load_whisper(folder, 2)
    draft = whisper.decode(whisper.encode(pcm, "zh", least_s=0.0), SCRIPT_PROMPTS["zh"])
    assert units(draft.text, "zh") == units(SAID, "zh")
    # The first line is put to it exactly as the recogniser wrote it.
    written = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(draft.text, add_special_tokens=False)
    facts["lines"][0] = [*written.ids, facts["lines"][0][-1]]
    np.save(tmp_path / "sound.npy", to_float(resample(pcm, 16_000, 24_000)))
    printed = run_with_torch(PROGRAM, json.dumps(facts), str(tmp_path / "sound.npy"))
    said, other, slope = json.loads(printed)
    assert said == pytest.approx(-draft.log_probability, abs=0.1)
    assert other > said + 2.0
    assert slope > 0.0
