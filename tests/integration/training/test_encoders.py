"""What voices are learned through hears the same as the engines; in the environment that has torch."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kuaimei.audio.pcm import Pcm, to_float
from kuaimei.audio.resample import resample
from kuaimei.engines.speaker import open_encoder
from kuaimei.settings import Settings
from tests.integration.training.torch_program import need_torch, run_with_torch

pytestmark = pytest.mark.models

PROGRAM = """
import sys
import numpy as np, torch
from kuaimei.training.encoders import load_campplus, load_ge2e
torch.set_num_threads(1)
weights, sound, into = sys.argv[1:]
audio = torch.from_numpy(np.load(sound)).requires_grad_()
found = {}
for name, load in (("ge2e", load_ge2e), ("campplus", load_campplus)):
    encoder = load(f"{weights}/{name}")
    assert not any(p.requires_grad for p in encoder.parameters())
    embedding = encoder(audio)
    found[name] = embedding.detach().numpy()
    encoder, exact = encoder.double(), audio.detach().double().requires_grad_()
    (slope,) = torch.autograd.grad(encoder(exact)[:8].sum(), exact)
    step = 1e-6 * slope / slope.norm()
    with torch.no_grad():
        rise = (encoder(exact + step)[:8].sum() - encoder(exact - step)[:8].sum()) / 2
    found[f"{name}_rise"] = np.array([float(rise), 1e-6 * float(slope.norm())])
    nothing = torch.zeros(9000).double().requires_grad_()
    (slope,) = torch.autograd.grad(encoder(nothing)[:8].sum(), nothing)
    assert torch.isfinite(slope).all(), name
np.savez(into, **found)
"""


def test_the_two_forms_of_an_encoder_agree(tmp_path: Path, spoken: Callable[..., Pcm]) -> None:
    weights = Settings().weights_dir
    need_torch()
    missing = [name for name in ("ge2e", "campplus") if not (weights / name / "model.onnx").is_file()]
    if missing:
        pytest.skip(f"no weights of {' and '.join(missing)}: kuaimei models pull {' '.join(missing)}")
    pcm = resample(spoken("今天下午我們一起去公園散步，好不好？", "zf_xiaoxiao"), 16_000, 24_000)
    np.save(tmp_path / "sound.npy", to_float(pcm))
    run_with_torch(PROGRAM, str(weights), str(tmp_path / "sound.npy"), str(tmp_path / "out.npz"))

    found = np.load(tmp_path / "out.npz")
    for name in ("ge2e", "campplus"):
        embedding = open_encoder(weights / name).embed(pcm, 24_000)
        assert found[name] @ embedding > 0.98
        rise, promised = found[f"{name}_rise"]
        assert rise == pytest.approx(promised, rel=0.05)  # the gradient is the slope
