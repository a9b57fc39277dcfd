"""The residual networks that come with Holdfast."""

from collections.abc import Callable

from .spec import Network


def _residual(name: str, blocks: int, shortcut: Callable[..., str]) -> Network:
    """Three stacks of 16, 32 and 64 channels, the second and third at stride 2."""
    net = Network(name)
    x = net.conv("stem", "image", 16, 3)
    for stack, channels in enumerate((16, 32, 64)):
        for block in range(blocks):
            stride = 2 if stack > 0 and block == 0 else 1
            prefix = f"block{stack * blocks + block + 1}"
            y = net.conv(f"{prefix}_conv1", x, channels, 3, stride)
            y = net.conv(f"{prefix}_conv2", y, channels, 3, activation="none")
            if stride == 2:
                x = shortcut(net, f"{prefix}_shortcut", x, channels)
            x = net.add(f"{prefix}_add", y, x)
    x = net.pool("avgpool", "pool", x, 8, 8)
    net.dense("logits", x, 10)
    return net


def _project(net: Network, name: str, source: str, channels: int) -> str:
    return net.conv(name, source, channels, 1, 2, activation="none")


def _subsample(net: Network, name: str, source: str, channels: int) -> str:
    return net.shortcut(name, source, channels, 2)


def resnet8() -> Network:
    """MLPerf Tiny image classification (Banbury et al. 2021), shortcuts normalized as well."""
    return _residual("resnet8", 1, _project)


def resnet20() -> Network:
    """He et al. 2016, section 4.2, option A."""
    return _residual("resnet20", 3, _subsample)
