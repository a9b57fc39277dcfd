"""Residual networks; the first two come with Holdfast."""

from collections.abc import Callable

from .spec import Network


def _residual(
    name: str, stacks: tuple[int, ...], blocks: int, shortcut: Callable[..., str]
) -> Network:
    """Stacks of so many channels, at stride 2 but for the first."""
    net = Network(name)
    x = net.conv("stem", "image", stacks[0], 3)
    for stack, channels in enumerate(stacks):
        for block in range(blocks):
            stride = 2 if stack > 0 and block == 0 else 1
            prefix = f"block{stack * blocks + block + 1}"
            y = net.conv(f"{prefix}_conv1", x, channels, 3, stride)
            y = net.conv(f"{prefix}_conv2", y, channels, 3, activation="none")
            if stride == 2:
                x = shortcut(net, f"{prefix}_shortcut", x, channels)
            x = net.add(f"{prefix}_add", y, x)
    side = net.shapes()[x][1]
    x = net.pool("avgpool", "pool", x, side, side)
    net.dense("logits", x, 10)
    return net


def _project(net: Network, name: str, source: str, channels: int) -> str:
    return net.conv(name, source, channels, 1, 2, activation="none")


def _subsample(net: Network, name: str, source: str, channels: int) -> str:
    return net.shortcut(name, source, channels, 2)


def resnet8() -> Network:
    """Returns the network of MLPerf Tiny image classification (Banbury et al. 2021), shortcuts
    normalized as well.
    """
    return _residual("resnet8", (16, 32, 64), 1, _project)


def resnet20() -> Network:
    """Returns a network of He et al. 2016, section 4.2, option A."""
    return _residual("resnet20", (16, 32, 64), 3, _subsample)


def resnet18() -> Network:
    """Returns a network of He et al. 2016, four stages of 64 to 512 channels at 32x32; FTT-NAS
    calls it ResNet-20.
    """
    return _residual("resnet18", (64, 128, 256, 512), 2, _project)
