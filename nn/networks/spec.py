"""Networks as lists of layers."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from holdfast.base.errors import HoldfastError
from holdfast.nn.operators.layer import LayerSpec, Shape
from holdfast.nn.operators.registry import operator

__all__ = ["LayerSpec", "Network", "Shape", "TensorGroup", "narrowed", "tensor_groups", "weighted"]


@dataclass
class Network:
    """Holds a network under construction or finished: layers in execution order, the last one the
    logits.

    The methods append a layer and return its name, so that a network reads from top to bottom.
    """

    name: str
    input_shape: Shape = (3, 32, 32)
    layers: list[LayerSpec] = field(default_factory=list)

    def conv(
        self,
        name: str,
        source: str,
        channels: int,
        kernel: int,
        stride: int = 1,
        activation: str = "relu",
        dilation: int = 1,
        groups: int = 1,
        padding: int | None = None,
        offset: int = 0,
        norm: str = "batch",
    ) -> str:
        """Adds a convolution; padded so that stride 1 keeps height and width."""
        if padding is None:
            padding = dilation * (kernel // 2)
        return self.append(
            LayerSpec(
                name,
                "conv",
                (source,),
                channels,
                kernel,
                stride,
                padding,
                dilation,
                groups,
                offset,
                activation,
                norm,
            )
        )

    def dense(self, name: str, source: str, channels: int, activation: str = "none") -> str:
        """Adds a dense layer over the whole input map."""
        return self.append(
            LayerSpec(name, "dense", (source,), channels, activation=activation, norm="bias")
        )

    def add(self, name: str, a: str, b: str, activation: str = "relu") -> str:
        """Adds the sum of two maps of equal shape."""
        return self.append(LayerSpec(name, "add", (a, b), activation=activation))

    def pool(
        self, op: str, name: str, source: str, kernel: int, stride: int, padding: int = 0
    ) -> str:
        """Adds an ``avgpool`` or ``maxpool``."""
        return self.append(LayerSpec(name, op, (source,), 0, kernel, stride, padding))

    def relu(self, name: str, source: str, activation: str = "relu") -> str:
        """Adds a ReLU or ReLU6 alone: the average of one pixel, with an encoding of its own."""
        return self.append(LayerSpec(name, "avgpool", (source,), activation=activation))

    def shortcut(self, name: str, source: str, channels: int, stride: int) -> str:
        """Adds ResNet's option A: every stride-th pixel, new channels zero and at the end."""
        return self.append(LayerSpec(name, "shortcut", (source,), channels, stride=stride))

    def concat(self, name: str, *sources: str) -> str:
        """Adds a concatenation: the channels of all sources, one after the other."""
        return self.append(LayerSpec(name, "concat", sources))

    def append(self, layer: LayerSpec) -> str:
        """Appends a layer of any operation."""
        self.layers.append(layer)
        return layer.name

    def shapes(self) -> dict[str, Shape]:
        """Returns the shape (C, H, W) of every tensor, ``image`` included."""
        shapes: dict[str, Shape] = {"image": self.input_shape}
        for layer in self.layers:
            shapes[layer.name] = operator(layer).output_shape(
                layer, [shapes[name] for name in layer.inputs]
            )
        return shapes

    @property
    def classes(self) -> int:
        """Returns the number of classes."""
        return self.layers[-1].channels


def narrowed(spec: Network, width: float) -> Network:
    """Returns the network with ``width`` times the channels in every layer but the last, at least
    one.

    Halves are rounded up. The name says the width.

    Raises
    ------
    HoldfastError
        The width is not from 1/64 to 4, or layers that are added or concatenated would not fit.
    """
    if not 1 / 64 <= width <= 4:
        raise HoldfastError(f"width must be from 1/64 to 4, not {width:g}.")
    if width == 1:
        return spec

    def scaled(channels: int) -> int:
        return max(1, math.floor(channels * width + 0.5))

    layers = [
        replace(
            layer,
            channels=scaled(layer.channels) if layer.channels else 0,
            groups=scaled(layer.groups) if layer.groups > 1 else 1,
        )
        for layer in spec.layers[:-1]
    ]
    net = Network(f"{spec.name}_w{width:g}", spec.input_shape, [*layers, spec.layers[-1]])
    shapes = net.shapes()
    for layer in net.layers:
        sizes = [shapes[name][0] for name in layer.inputs]
        unequal = operator(layer).equal_channels and len(set(sizes)) > 1
        if unequal or sizes[0] % layer.groups:
            raise HoldfastError(
                f"width {width:g} does not fit {spec.name}: {layer.name} would get "
                f"{' and '.join(map(str, sizes))} channels."
            )
    return net


@dataclass(frozen=True)
class TensorGroup:
    """Tensors that share scale and zero point.

    Attributes
    ----------
    key : str
        Name of its first tensor.
    non_negative : bool
        No tensor of the group is ever below zero.
    """

    key: str
    non_negative: bool


def tensor_groups(spec: Network) -> dict[str, TensorGroup]:
    """Returns the group of every tensor, ``image`` included.

    What passes its inputs' encoding on, such as max pooling, belongs to their group.
    """
    keys = {"image": "image"}
    non_negative = {"image": True}
    for layer in spec.layers:
        inputs = [keys[name] for name in layer.inputs]
        non_negative[layer.name] = layer.activation != "none" or (
            not operator(layer).weighted and all(non_negative[name] for name in layer.inputs)
        )
        if not operator(layer).passes_encoding:
            keys[layer.name] = layer.name
            continue
        keys[layer.name] = inputs[0]
        keys = {name: inputs[0] if key in inputs else key for name, key in keys.items()}
    return {
        name: TensorGroup(key, all(non_negative[other] for other in keys if keys[other] == key))
        for name, key in keys.items()
    }


def weighted(spec: Network) -> Iterator[LayerSpec]:
    """Returns the convolutions and dense layers, in execution order."""
    return (layer for layer in spec.layers if operator(layer).weighted)
