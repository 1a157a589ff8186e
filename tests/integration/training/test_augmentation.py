"""What the encoders hear of an utterance while a voice is learned; where there is torch."""

from tests.integration.training.torch_program import run_with_torch

PROGRAM = """
import torch
from kuaimei.training.augmentation import augmented
torch.manual_seed(0)
RATE = 24_000
speech = torch.randn(3 * RATE) * 0.1

# The number decides everything.
torch.testing.assert_close(augmented(speech, RATE, 5), augmented(speech, RATE, 5), rtol=0, atol=0)
heard = [augmented(speech, RATE, number) for number in range(40)]
assert len({len(one) for one in heard}) > 20
assert min(map(len, heard)) >= 0.7 * len(speech) - 1 and max(map(len, heard)) <= len(speech)

# About as loud, though never the same.
levels = torch.tensor([float(one.std()) for one in heard])
assert 0.05 < levels.min() and levels.max() < 0.2 and levels.std() > 0.005

# What is short is heard whole.
assert len(augmented(speech[:RATE], RATE, 3)) == RATE

# Noise stays well below, also where nothing is said.
silence = torch.zeros(2 * RATE)
assert torch.equal(augmented(silence, RATE, 1), torch.zeros_like(augmented(silence, RATE, 1)))

# It can be learned through.
speech.requires_grad_(True)
augmented(speech, RATE, 9).square().sum().backward()
assert torch.isfinite(speech.grad).all() and float((speech.grad != 0).float().mean()) > 0.65
"""


def test_an_utterance_is_heard_otherwise_each_time_and_the_same_for_the_same_number() -> None:
    run_with_torch(PROGRAM)
