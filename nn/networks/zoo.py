"""Networks of the literature in their CIFAR forms, beside the two that are shipped."""

from collections.abc import Callable

from .genotype import Genotype, cell_network
from .resnets import resnet18
from .spec import Network


def _lenet5() -> Network:
    """LeCun et al. 1998, with ReLU and max pooling, on three channels."""
    net = Network("lenet5")
    x = net.conv("conv1", "image", 6, 5, padding=0)
    x = net.pool("maxpool", "pool1", x, 2, 2)
    x = net.conv("conv2", x, 16, 5, padding=0)
    x = net.pool("maxpool", "pool2", x, 2, 2)
    x = net.dense("dense1", x, 120, activation="relu")
    x = net.dense("dense2", x, 84, activation="relu")
    net.dense("logits", x, 10)
    return net


def _alexnet() -> Network:
    """Krizhevsky et al. 2012, five convolutions and three dense layers at 32x32."""
    net = Network("alexnet")
    x = net.conv("conv1", "image", 64, 3, 2)
    x = net.pool("maxpool", "pool1", x, 2, 2)
    x = net.conv("conv2", x, 192, 3)
    x = net.pool("maxpool", "pool2", x, 2, 2)
    x = net.conv("conv3", x, 384, 3)
    x = net.conv("conv4", x, 256, 3)
    x = net.conv("conv5", x, 256, 3)
    x = net.pool("maxpool", "pool3", x, 2, 2)
    x = net.dense("dense1", x, 4096, activation="relu")
    x = net.dense("dense2", x, 4096, activation="relu")
    net.dense("logits", x, 10)
    return net


def _vgg16() -> Network:
    """Simonyan and Zisserman 2015, with batch normalization and one dense layer."""
    net = Network("vgg16")
    x, number = "image", 0
    for stage, (channels, depth) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))):
        for _ in range(depth):
            number += 1
            x = net.conv(f"conv{number}", x, channels, 3)
        x = net.pool("maxpool", f"pool{stage + 1}", x, 2, 2)
    net.dense("logits", x, 10)
    return net


def _mobilenetv2() -> Network:
    """Sandler et al. 2018, at 32x32; every block of stride 1 has a shortcut."""
    net = Network("mobilenetv2")
    x, width = net.conv("stem", "image", 32, 3), 32
    plan = [(1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2)]
    plan += [(6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    number = 0
    for expansion, channels, depth, first_stride in plan:
        for repeat in range(depth):
            number += 1
            name, stride = f"block{number}", first_stride if repeat == 0 else 1
            inner = expansion * width
            y = net.conv(f"{name}_expand", x, inner, 1)
            y = net.conv(f"{name}_depthwise", y, inner, 3, stride, groups=inner)
            y = net.conv(f"{name}_project", y, channels, 1, activation="none")
            if stride == 1:
                if width != channels:
                    x = net.conv(f"{name}_shortcut", x, channels, 1, activation="none")
                y = net.add(f"{name}_add", y, x, activation="none")
            x, width = y, channels
    x = net.conv("head", x, 1280, 1)
    x = net.pool("avgpool", "pool", x, 4, 4)
    net.dense("logits", x, 10)
    return net


WFTT = Genotype(
    normal=(
        (("relu_conv_bn_3x3", 0), ("relu_conv_bn_5x5", 0)),
        (("conv_1x1", 1), ("dil_conv_3x3", 1)),
        (("sep_conv_3x3", 1), ("sep_conv_3x3", 0)),
        (("max_pool_3x3", 2), ("relu_conv_bn_5x5", 1)),
    ),
    reduce=(
        (("skip_connect", 0), ("relu_conv_bn_5x5", 1)),
        (("dil_conv_3x3", 2), ("sep_conv_3x3", 0)),
        (("max_pool_3x3", 1), ("conv_1x1", 3)),
        (("dil_conv_3x3", 4), ("skip_connect", 2)),
    ),
)
"""What FTT-NAS (Ning et al. 2021) found under weight faults, as in the authors' code."""


def _wfttnet() -> Network:
    """W-FTT-Net of Ning et al. 2021, with 20 channels."""
    return cell_network("wfttnet", WFTT, 20)


def spared_by_released_code(spec: Network) -> list[str]:
    """Convolutions that the released code of FTT-NAS never gives a fault.

    In MobileNet-V2 it misses the last convolution of every block with a shortcut, 14 of 57.
    """
    if not spec.name.startswith("mobilenetv2"):
        return []
    return [layer.inputs[0] for layer in spec.layers if layer.op == "add"]


ZOO: dict[str, Callable[[], Network]] = {
    "lenet5": _lenet5,
    "alexnet": _alexnet,
    "vgg16": _vgg16,
    "resnet18": resnet18,
    "mobilenetv2": _mobilenetv2,
    "wfttnet": _wfttnet,
}
