"""Networks of two kinds of cells, as architecture search finds them."""

from dataclasses import dataclass

from holdfast.base.errors import HoldfastError
from holdfast.base.text import shown

from .spec import Network

Edge = tuple[str, int]
"""A primitive and the node that it reads; 0 and 1 are the outputs of the cell before the last and
of the last, 2 is the first inner node."""

RAW = ("conv_1x1", "max_pool_3x3")
"""Primitives that do not begin with a ReLU; a skip connection does where it has a stride."""


@dataclass(frozen=True)
class Genotype:
    """Lists the two edges of each inner node, of the normal cell and of the cell of stride 2.

    A node is the sum of its edges; the output of a cell is the concatenation of its inner nodes.
    """

    normal: tuple[tuple[Edge, Edge], ...]
    reduce: tuple[tuple[Edge, Edge], ...]


def cell_network(
    name: str,
    genotype: Genotype,
    channels: int,
    cells: int = 8,
    image: tuple[int, int, int] = (3, 32, 32),
) -> Network:
    """Returns stem, cells, average over the map, dense layer to 10 classes.

    The cells after a third and two thirds have stride 2 and twice the channels. Every cell takes
    its inputs through a ReLU, a 3x3 convolution and batch norm.

    Parameters
    ----------
    channels : int
        Channels of an inner node of the first cell.

    Raises
    ------
    HoldfastError
        The genotype has an unknown primitive.
    """
    net = Network(name, image)
    before = last = net.conv("stem", "image", 3 * channels, 3)
    stride = 1
    for index in range(cells):
        previous_stride, stride = stride, 2 if index in (cells // 3, 2 * cells // 3) else 1
        channels *= stride
        cell = _Cell(net, f"cell{index + 1}", genotype, channels, stride, index == cells - 1)
        cell.enter(before, previous_stride)
        cell.enter(last, 1)
        before, last = last, cell.finish()
    side = net.shapes()[last][1]
    net.dense("logits", net.pool("avgpool", "pool", last, side, side), 10)
    return net


class _Cell:
    """One cell. A node may be read as it is, after a ReLU, or both: only what is read is made."""

    def __init__(
        self, net: Network, name: str, genotype: Genotype, channels: int, stride: int, last: bool
    ) -> None:
        self.net, self.name, self.channels, self.stride = net, name, channels, stride
        self.inner = genotype.reduce if stride == 2 else genotype.normal
        self.last = last
        self.raw: list[str] = []
        self.rectified: list[str] = []
        count = len(self.inner) + 2
        edges = [edge for pair in self.inner for edge in pair]
        reads_raw = {source for op, source in edges if self._raw(op, source)}
        reads_rectified = {source for op, source in edges if not self._raw(op, source)}
        # the next cells begin with a ReLU, the average at the end does not
        (reads_raw if last else reads_rectified).update(range(2, count))
        self.alone = [source not in reads_raw for source in range(count)]
        self.beside = [source in reads_raw and source in reads_rectified for source in range(count)]

    def _edge_stride(self, source: int) -> int:
        return self.stride if source < 2 else 1

    def _raw(self, op: str, source: int) -> bool:
        return op in RAW or (op == "skip_connect" and self._edge_stride(source) == 1)

    def _activation(self) -> str:
        """Activation of the next node: a ReLU, if nothing reads it without one."""
        return "relu" if self.alone[len(self.raw)] else "none"

    def _node(self, tensor: str) -> None:
        beside = self.beside[len(self.raw)]
        self.raw.append(tensor)
        self.rectified.append(self.net.relu(f"{tensor}_relu", tensor) if beside else tensor)

    def enter(self, source: str, stride: int) -> None:
        """Takes the output of an earlier cell in."""
        name = f"{self.name}_input{len(self.raw)}"
        self._node(
            self.net.conv(name, source, self.channels, 3, stride, activation=self._activation())
        )

    def finish(self) -> str:
        """Makes the inner nodes and returns the cell's output."""
        for first, second in self.inner:
            name = f"{self.name}_node{len(self.raw)}"
            a, b = self._edge(f"{name}_a", *first), self._edge(f"{name}_b", *second)
            self._node(self.net.add(name, a, b, activation=self._activation()))
        return self.net.concat(self.name, *(self.raw if self.last else self.rectified)[2:])

    def _edge(self, name: str, op: str, source: int) -> str:
        net, channels, stride = self.net, self.channels, self._edge_stride(source)
        x = self.raw[source] if self._raw(op, source) else self.rectified[source]
        match op:
            case "relu_conv_bn_3x3":
                return net.conv(name, x, channels, 3, stride, "none")
            case "relu_conv_bn_5x5":
                return net.conv(name, x, channels, 5, stride, "none")
            case "conv_1x1":
                return net.conv(name, x, channels, 1, stride, "none", norm="bias")
            case "sep_conv_3x3" | "sep_conv_5x5":
                x = self._separable(f"{name}1", x, int(op[-1]), stride, "relu")
                return self._separable(f"{name}2", x, int(op[-1]), 1, "none")
            case "dil_conv_3x3" | "dil_conv_5x5":
                return self._separable(name, x, int(op[-1]), stride, "none", 2)
            case "max_pool_3x3":
                return net.pool("maxpool", name, x, 3, stride, 1)
            case "skip_connect":
                return x if stride == 1 else self._halves(name, x)
        raise HoldfastError(f"the genotype of {net.name} has the unknown primitive {shown(op)}.")

    def _separable(
        self, name: str, x: str, kernel: int, stride: int, activation: str, dilation: int = 1
    ) -> str:
        """Depthwise, then pointwise; batch norm only after both."""
        c = self.channels
        x = self.net.conv(
            f"{name}_depthwise", x, c, kernel, stride, "none", dilation, groups=c, norm="none"
        )
        return self.net.conv(f"{name}_pointwise", x, c, 1, activation=activation)

    def _halves(self, name: str, x: str) -> str:
        """Half of the channels from the even pixels, half from the odd ones."""
        halves = [
            self.net.conv(f"{name}_{part}", x, self.channels // 2, 1, 2, "none", offset=offset)
            for offset, part in enumerate(("even", "odd"))
        ]
        return self.net.concat(name, *halves)
