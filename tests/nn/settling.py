"""Float networks whose batch norms have seen images, with gammas of both signs."""

import torch

from holdfast.nn.networks.float import FloatNetwork


@torch.no_grad()
def settle(net: FloatNetwork, images: torch.Tensor, *, biases: bool = False) -> None:
    """Statistics of uint8 images, [N, C, H, W]; with ``biases`` random betas, too."""
    for module in net.layers.values():
        if hasattr(module, "bn"):
            module.bn.momentum = None
            module.bn.weight[:] = torch.linspace(-1, 1.5, len(module.bn.weight))
            if biases:
                module.bn.bias.normal_()
    net(images.float() / 255)
