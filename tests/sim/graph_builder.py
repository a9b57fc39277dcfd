"""Builds a random graph node by node."""

import random

import numpy as np

from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.graph.graph import (
    AddNode,
    AvgPoolNode,
    ConcatNode,
    ConvNode,
    DenseNode,
    InputNode,
    MaxPoolNode,
    Node,
    ShortcutNode,
    accumulator_bound,
)
from tests import reference


class Builder:
    """Adds nodes and knows the tensor that each makes of one random image."""

    def __init__(self, config: AcceleratorConfig, seed: int, shape: tuple[int, int, int]):
        self.config = config
        self.random = random.Random(seed)
        self.numpy = np.random.default_rng(seed)
        self.low, self.high = reference.code_range(config.act_bits)
        self.nodes: list[Node] = []
        self.tensors: dict[str, np.ndarray] = {}
        zero = self.random.choice([self.low, 0, self.code()])
        image = InputNode(
            name="image", shape=shape, scale=1 / 255, zero_point=zero, lo=self.low, hi=self.high
        )
        self.codes = self.numpy.integers(self.low, self.high + 1, shape)
        self._keep(image, self.codes)

    def code(self) -> int:
        return self.random.randint(self.low, self.high)

    def node(self, name: str) -> Node:
        return next(node for node in self.nodes if node.name == name)

    def _name(self, kind: str) -> str:
        return f"{kind}{len(self.nodes)}"

    def _keep(self, node: Node, tensor: np.ndarray) -> str:
        self.nodes.append(node)
        self.tensors[node.name] = tensor
        return node.name

    def clamp(self, zero: int) -> dict[str, int]:
        """Bounds of a layer: none, ReLU or ReLU6."""
        choice = self.random.randrange(3)
        if choice == 0 or zero > (self.low + self.high) // 2:
            return {"lo": self.low, "hi": self.high}
        six = self.random.randint((zero + self.high + 1) // 2, self.high)
        return {"lo": zero, "hi": self.high if choice == 1 else six}

    def conv(
        self,
        source: str,
        channels: int,
        kernel: tuple[int, int] = (3, 3),
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        groups: int = 1,
        like: str = "",
        kind: type[ConvNode] = ConvNode,
        offset: int = 0,
    ) -> str:
        """A convolution whose output has the scale and zero point of ``like``, or its own."""
        cfg, rng = self.config, self.numpy
        before, x = self.node(source), self.tensors[source]
        top = (1 << cfg.weight_bits - 1) - 1
        weight = rng.integers(-top, top + 1, (channels, x.shape[0] // groups, *kernel))
        zero = (
            self.node(like).zero_point if like else self.random.choice([self.low, 0, self.code()])
        )
        limit = (1 << cfg.acc_bits - 1) - 1

        def fits(bias: np.ndarray) -> np.ndarray:
            magnitude = np.abs(weight).sum((1, 2, 3))
            return np.abs(bias) + (magnitude << cfg.act_bits - 1) <= limit

        while not fits(self._zero_bias(before, weight)).all():
            weight[rng.random(weight.shape) < 0.3] = 0
        bias = self._zero_bias(before, weight)
        arguments = (stride, padding, dilation, groups, before.zero_point, offset)
        acc = reference.convolve(x, weight, bias, *arguments)
        deviation = np.maximum(acc.std((1, 2)), 1.0) if acc[0].size > 1 else np.full(channels, 30.0)
        ratio = (self.high - self.low) / 4 / deviation * rng.uniform(0.5, 2.0, channels)
        multiplier, shift = self._scale(ratio)
        effective = multiplier / 2.0**shift
        middle = (self.high + self.low) / 2 - zero
        more = np.round(middle / np.maximum(effective, 1e-9) - acc.mean((1, 2))).astype(np.int64)
        bias = np.where(fits(bias + more), bias + more, bias)
        acc = reference.convolve(x, weight, bias, *arguments)
        v = reference.requantize(acc, multiplier, shift, zero, cfg.rounding, cfg.multiplier_bits)
        widest = 1 << cfg.guard_bits - 1
        v = np.clip(v.astype(np.float64), -widest, widest - 1).reshape(channels, -1)
        low, high = self.random.choice([(0, 1), (0.1, 0.9), (0.3, 0.6)])
        clamp = self.clamp(zero)
        tight = self.random.choice([0, 0.2])
        node = kind(
            name=self._name("dense" if kind is DenseNode else "conv"),
            inputs=(source,),
            shape=acc.shape,
            scale=self.node(like).scale if like else self.random.uniform(0.01, 0.1),
            zero_point=zero,
            **clamp,
            weight=weight.astype(np.int8),
            bias=bias,
            multiplier=multiplier,
            shift=shift,
            guard_lo=np.floor(np.quantile(v, low, axis=1)).astype(np.int64),
            guard_hi=np.ceil(np.quantile(v, high, axis=1)).astype(np.int64),
            # The guard's bounds hold the zero point: unused lanes of a word carry it.
            input_lo=min(int(np.quantile(x, tight)), before.zero_point),
            input_hi=max(int(np.quantile(x, 1 - tight)), before.zero_point),
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            offset=offset,
        )
        assert int(accumulator_bound(node, cfg.act_bits).max()) <= limit
        y = reference.requantize(acc, multiplier, shift, zero, cfg.rounding, cfg.multiplier_bits)
        return self._keep(node, reference.clamp(y, node.lo, node.hi))

    @staticmethod
    def _zero_bias(before: Node, weight: np.ndarray) -> np.ndarray:
        return -before.zero_point * weight.sum((1, 2, 3))

    def _scale(self, ratio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Multiplier and shift per channel; any of the many pairs that stand for the ratio."""
        cfg = self.config
        if cfg.multiplier_bits == 0:
            shift = np.clip(np.round(-np.log2(ratio)), 0, cfg.max_shift).astype(np.int64)
            return np.ones_like(shift), shift
        top = (1 << cfg.multiplier_bits) - 1
        largest = np.floor(np.log2(top / ratio)).astype(np.int64)
        less = self.numpy.integers(0, cfg.multiplier_bits, ratio.shape)
        shift = np.clip(largest - less, 0, cfg.max_shift)
        return np.clip(np.round(ratio * 2.0**shift), 1, top).astype(np.int64), shift

    def dense(self, source: str, channels: int) -> str:
        return self.conv(source, channels, self.tensors[source].shape[1:], kind=DenseNode)

    def add(self, a: str, b: str) -> str:
        cfg = self.config
        wide = max(cfg.multiplier_bits, 8)
        multipliers = [self.random.randint(1, (1 << wide) - 1) for _ in range(2)]
        shift = max(0, sum(multipliers).bit_length() - 1 + self.random.randint(-1, 1))
        zero = self.random.choice([self.low, 0, self.code()])
        node = AddNode(
            name=self._name("add"),
            inputs=(a, b),
            shape=self.tensors[a].shape,
            scale=0.05,
            zero_point=zero,
            **self.clamp(zero),
            multiplier_a=multipliers[0],
            multiplier_b=multipliers[1],
            shift=shift,
        )
        zeros = [self.node(name).zero_point for name in (a, b)]
        result = reference.add(
            self.tensors[a], self.tensors[b], *zeros, *multipliers, shift,
            zero, node.lo, node.hi, cfg.rounding,
        )  # fmt: skip
        return self._keep(node, result)

    def average(
        self, source: str, kernel: int, stride: int, padding: int = 0, rectify: bool = False
    ) -> str:
        cfg = self.config
        largest = 1 - self.low + abs(self.node(source).zero_point)
        while (kernel**2 * largest).bit_length() + 1 > cfg.acc_bits:
            kernel, padding = kernel - 1, min(padding, (kernel - 1) // 2)
        ratio = np.array([self.random.uniform(0.7, 3) / kernel**2])
        multiplier, shift = (int(v[0]) for v in self._scale(ratio))
        if cfg.multiplier_bits == 0:
            power = self.random.randint(0, 7)
            multiplier, shift = 1 << power, shift + power
        zero = self.code()
        clamp = {"lo": zero, "hi": self.high} if rectify else self.clamp(zero)
        result = reference.average_pool(
            self.tensors[source], kernel, stride, padding, multiplier, shift,
            self.node(source).zero_point, zero, clamp["lo"], clamp["hi"], cfg.rounding,
        )  # fmt: skip
        node = AvgPoolNode(
            name=self._name("average"), inputs=(source,), shape=result.shape, scale=0.03,
            zero_point=zero, **clamp, kernel=kernel, stride=stride, padding=padding,
            multiplier=multiplier, shift=shift,
        )  # fmt: skip
        return self._keep(node, result)

    def _pass(self, kind: type[Node], name: str, sources: list[str], tensor, **fields) -> str:
        """An operation that keeps scale and zero point."""
        before = self.node(sources[0])
        node = kind(
            name=self._name(name), inputs=tuple(sources), shape=tensor.shape, scale=before.scale,
            zero_point=before.zero_point, lo=self.low, hi=self.high, **fields,
        )  # fmt: skip
        return self._keep(node, tensor)

    def maximum(self, source: str, kernel: int, stride: int, padding: int = 0) -> str:
        tensor = reference.max_pool(self.tensors[source], kernel, stride, padding)
        fields = {"kernel": kernel, "stride": stride, "padding": padding}
        return self._pass(MaxPoolNode, "maximum", [source], tensor, **fields)

    def shortcut(self, source: str, stride: int, channels: int) -> str:
        zero = self.node(source).zero_point
        tensor = reference.shortcut(self.tensors[source], stride, channels, zero)
        return self._pass(ShortcutNode, "shortcut", [source], tensor, stride=stride)

    def concat(self, sources: list[str]) -> str:
        tensor = reference.concat([self.tensors[name] for name in sources])
        return self._pass(ConcatNode, "concat", sources, tensor)
