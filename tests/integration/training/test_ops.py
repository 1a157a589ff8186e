"""The quick operations compute what the usual ones do, and so do their gradients; where there is torch."""

from tests.integration.training.torch_program import run_with_torch

PROGRAM = """
import torch
from torch.nn import functional
from kuaimei.training.ops import conv, snake, styled_norm, conv_by_matmul
torch.manual_seed(0)

def same(one, other, *inputs):
    assert one.shape == other.shape, (one.shape, other.shape)
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    weights = torch.randn_like(one)
    slopes = [torch.autograd.grad((y * weights).sum(), inputs, retain_graph=True) for y in (one, other)]
    for a, b in zip(*slopes):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)

for channels, taps, dilation, stride, padding in (
    (12, 7, 3, 1, None), (22, 12, 1, 6, 3), (1, 3, 1, 2, 1), (8, 1, 1, 1, None)
):
    x = torch.randn(90, channels, requires_grad=True)
    weight = torch.randn(4, channels, taps, requires_grad=True)
    pads = (taps - 1) * dilation // 2 if padding is None else padding
    plain = functional.conv1d(x.T[None], weight, None, stride, pads, dilation)[0].T
    shape = {"stride": stride, "dilation": dilation, "padding": padding}
    same(conv_by_matmul(x, weight, **shape), plain, x, weight)
    same(conv(x, weight, None, **shape), plain, x, weight)

x = torch.randn(40, 6, requires_grad=True)
gain, shift = torch.rand(6) + 0.5, torch.randn(6)
same(styled_norm(x, gain, shift), functional.instance_norm(x.T[None])[0].T * gain + shift, x)
alpha = torch.rand(1, 6, 1) + 0.5
same(snake(x, alpha), (x.T + torch.sin(alpha[0] * x.T) ** 2 / alpha[0]).T, x)
"""


def test_the_quick_operations_and_their_gradients_are_the_usual_ones() -> None:
    run_with_torch(PROGRAM)
