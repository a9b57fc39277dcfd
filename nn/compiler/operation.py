"""Describes what the array and the lanes compute for a node, whatever its kind."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from holdfast.base.errors import HoldfastError
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.layout import Descriptor
from holdfast.gen.protection.range_guard import fixed_bound
from holdfast.nn.graph.graph import AvgPoolNode, ConvNode, Graph, MaxPoolNode, ShortcutNode

from .lanes import PackedImage
from .program import Step

Channel = tuple[int, int, int, int, int]
"""Bias, multiplier, shift and both bounds of a channel, as `gen.layout.parameter_words` has them.
"""


@dataclass(frozen=True)
class Operation:
    """Holds what a step computes before its residual add.

    Attributes
    ----------
    fields : Descriptor
        Window (kernel, stride, dilation, origin of output pixel 0), codes and clamps.
    channels : tuple of Channel
        Of the outputs.
    unused : Channel
        Of the columns behind the last output.
    weight : int8 [outputs, inputs / groups, kh, kw] or None
        None where output channel c is input channel c: weights of 1.
    """

    fields: Descriptor
    channels: tuple[Channel, ...]
    unused: Channel
    weight: NDArray[np.int8] | None = None
    groups: int = 1

    def inputs(self, output: int, count: int) -> range:
        """Returns the input channels, of so many, that an output channel is made of."""
        if self.weight is None:
            return range(output, min(output + 1, count))
        width = self.weight.shape[1]
        group = output // (len(self.channels) // self.groups)
        return range(group * width, (group + 1) * width)

    def weights(self, outputs: range, inputs: Sequence[int]) -> NDArray[np.int8]:
        """Returns weights [output, input, kh, kw], zero where there is none.

        Outputs may lie behind the last one; an input of -1 is a lane without a channel.
        """
        lanes = np.array(inputs)
        kernel = (1, 1) if self.weight is None else self.weight.shape[2:]
        result = np.zeros((len(outputs), len(lanes), *kernel), np.int8)
        for index, output in enumerate(outputs):
            if self.weight is None:
                result[index, lanes == output] = 1
            elif output < len(self.channels):
                first = self.inputs(output, 0).start
                inside = (lanes >= first) & (lanes < first + self.weight.shape[1])
                result[index, inside] = self.weight[output, lanes[inside] - first]
        return result


def step_operation(
    graph: Graph, config: AcceleratorConfig, step: Step, packed: PackedImage | None
) -> Operation:
    """Returns what a step computes.

    Raises
    ------
    HoldfastError
        The accelerator has no multiplier, or one too narrow, for a layer's.
    """
    node, source = graph[step.nodes[0]], graph[step.source]
    highest, (low, high) = 1 << config.guard_bits - 1, graph.codes
    unused = (0, 0, 0, -highest, highest - 1)
    # Layers without a scale of their own leave zero point and codes as they are.
    channels = [(-source.zero_point, 1, *unused[2:])] * source.shape[0]
    fields = Descriptor(
        kernel_h=1, kernel_w=1, stride=1, dilation=1, pad_value=source.zero_point,
        zero_in=source.zero_point, input_lo=low, input_hi=high, zero_out=source.zero_point,
        lo=low, hi=high,
    )  # fmt: skip
    weight, groups = None, 1
    if isinstance(node, AvgPoolNode | MaxPoolNode):
        fields = replace(
            fields, kernel_h=node.kernel, kernel_w=node.kernel, stride=node.stride,
            origin_y=-node.padding, origin_x=-node.padding,
        )  # fmt: skip
    if isinstance(node, ConvNode | AvgPoolNode):
        fields = replace(fields, zero_out=node.zero_point, lo=node.lo, hi=node.hi)
    match node:
        case ConvNode():
            weight, groups, origin = node.weight, node.groups, node.offset - node.padding
            fields = replace(
                fields, kernel_h=weight.shape[2], kernel_w=weight.shape[3], stride=node.stride,
                origin_y=origin, origin_x=origin, dilation=node.dilation,
                input_lo=node.input_lo, input_hi=node.input_hi,
            )  # fmt: skip
            if packed and step.source == graph.nodes[0].name:
                weight = weight.transpose(0, 3, 1, 2).reshape(len(weight), -1, weight.shape[2], 1)
                fields = replace(fields, kernel_w=1, origin_x=origin + packed.padding)
            arrays = (node.bias, node.multiplier, node.shift, node.guard_lo, node.guard_hi)
            channels = list(zip(*(array.tolist() for array in arrays), strict=True))
        case AvgPoolNode():
            shift = node.shift if config.multiplier_bits else _folded_shift(node)
            bias = -source.zero_point * node.kernel**2
            channels = [(bias, node.multiplier, shift, *unused[3:])] * source.shape[0]
        case MaxPoolNode():
            fields = replace(fields, pad_value=low, maximum=1)
        case ShortcutNode():
            fields = replace(fields, stride=node.stride)
            channels += [unused] * (node.shape[0] - source.shape[0])
    if node.shape[1:] == (1, 1):
        fields = replace(fields, stride=1)
    multiplier = max(multiplier for _, multiplier, *_ in channels)
    if config.multiplier_bits and multiplier >> config.multiplier_bits:
        raise HoldfastError(
            f"layer {node.name} has a multiplier of {multiplier}, "
            f"the accelerator holds {config.multiplier_bits} bits."
        )
    fitted = [_fitted(channel, fields.zero_out, config) for channel in (*channels, unused)]
    return Operation(fields, tuple(fitted[:-1]), fitted[-1], weight, groups)


def _folded_shift(node: AvgPoolNode) -> int:
    """Returns the shift that does without the multiplier, which must be a power of two."""
    power = max(0, node.multiplier.bit_length() - 1)
    if node.multiplier != 1 << power or node.shift < power:
        raise HoldfastError(
            f"layer {node.name} has a multiplier of {node.multiplier} and a shift of "
            f"{node.shift}, an accelerator without multipliers needs a power of two of at "
            "most 2**shift."
        )
    return node.shift - power


def _fitted(channel: Channel, zero: int, config: AcceleratorConfig) -> Channel:
    """Adapts parameters to an accelerator without a multiplier or without learnt bounds."""
    bias, multiplier, shift, low, high = channel
    if config.guard and not config.learnt_bounds:
        bound = fixed_bound(config.act_bits)
        low, high = zero - bound, zero + bound - 1
    return bias, multiplier if config.multiplier_bits else 0, shift, low, high
