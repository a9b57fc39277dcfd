"""From real scales to the integer graph: batch norm folded, multipliers and shifts chosen."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.nn.graph.graph import (
    ACC_BITS_LIMIT,
    AddNode,
    AvgPoolNode,
    ConcatNode,
    ConvNode,
    DenseNode,
    Graph,
    InputNode,
    MaxPoolNode,
    ModelError,
    Node,
    ShortcutNode,
)
from holdfast.nn.networks.spec import Layer, Network

__all__ = ["Encoding", "Weights", "image_encoding", "integer_graph", "normalize"]

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Encoding:
    """How a tensor is stored: real value = scale * (code - zero_point)."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class Weights:
    """A convolution or dense layer, batch norm included: y = gain * (codes * x) + offset.

    Parameters
    ----------
    codes : int8 [C_out, C_in / groups, kh, kw]
    gain : float64 [C_out]
        Weight scale times batch norm's gamma / sigma; may be negative or zero.
    offset : float64 [C_out]
        Bias, or batch norm's beta - mean * gamma / sigma.
    """

    codes: NDArray[np.int8]
    gain: Reals
    offset: Reals


def normalize(factor: float, bits: int) -> tuple[int, int]:
    """Multiplier in [2^(bits - 1), 2^bits) and shift with factor = multiplier / 2^shift, nearly.

    A factor too small for any code to change is (0, 0); with bits = 0 the multiplier is 1.

    Raises
    ------
    ModelError
        The factor is negative, not finite or too large, or with bits = 0 no power of two up to 1.
    """
    if not 0 <= factor < math.inf:
        raise ModelError(
            f"requantization factor {factor} must be finite and not negative: "
            "a scale or weight is too large, or none."
        )
    if factor == 0:
        return 0, 0
    mantissa, exponent = math.frexp(factor)
    if bits == 0:
        power = round(math.log2(factor))
        if power > 0 or not math.isclose(factor, 2.0**power, rel_tol=1e-9):
            raise ModelError(
                f"requantization factor {factor} must be 1, 1/2, 1/4, ... "
                "where there is no multiplier."
            )
        return 1, -power
    multiplier, shift = round(math.ldexp(mantissa, bits)), bits - exponent
    if multiplier == 1 << bits:
        multiplier, shift = multiplier >> 1, shift - 1
    if shift < 0:
        raise ModelError(
            f"requantization factor {factor} must be below 2^{bits} "
            f"for a multiplier of {bits} bits."
        )
    return (multiplier, shift) if shift < ACC_BITS_LIMIT + bits else (0, 0)


def image_encoding(act_bits: int) -> Encoding:
    """How the contract stores the image."""
    return Encoding(1 / ((1 << act_bits) - 1), -(1 << act_bits - 1))


def integer_graph(
    spec: Network,
    weights: Mapping[str, Weights],
    encodings: Mapping[str, Encoding],
    *,
    act_bits: int,
    weight_bits: int,
    multiplier_bits: int = 16,
    rounding: str = "half_up",
) -> Graph:
    """The integer graph of a network; its guard bounds are open (see guard_bounds.py).

    Parameters
    ----------
    weights : by name of the convolutions and dense layers
    encodings : by name of the tensors, ``image`` (see :func:`image_encoding`) included

    Raises
    ------
    ModelError
        The network cannot be expressed in the contract.
    """
    low, high = -(1 << act_bits - 1), (1 << act_bits - 1) - 1
    shapes = spec.shapes()
    image = encodings["image"]
    _check_scale("image", image.scale)
    nodes: dict[str, Node] = {
        "image": InputNode(
            name="image",
            shape=spec.input_shape,
            scale=image.scale,
            zero_point=image.zero_point,
            lo=low,
            hi=high,
        )
    }
    for layer in spec.layers:
        sources = [nodes[name] for name in layer.inputs]
        first, encoding = sources[0], encodings[layer.name]
        _check_scale(layer.name, encoding.scale)
        common: dict[str, Any] = {
            "name": layer.name,
            "inputs": layer.inputs,
            "shape": shapes[layer.name],
            "scale": encoding.scale,
            "zero_point": encoding.zero_point,
            "lo": low,
            "hi": high,
        }
        if layer.activation != "none":
            common["lo"] = max(low, encoding.zero_point)
        if layer.activation == "relu6":
            common["hi"] = min(high, encoding.zero_point + round(min(6 / encoding.scale, 1 << 8)))
        if layer.op in ("conv", "dense"):
            nodes[layer.name] = _convolution(
                layer, weights[layer.name], first, encoding, common, act_bits, multiplier_bits
            )
        elif layer.op == "add":
            nodes[layer.name] = _add(sources, encoding, common, multiplier_bits)
        elif layer.op == "avgpool":
            factor = first.scale / encoding.scale / layer.kernel**2
            multiplier, shift = normalize(factor, multiplier_bits or 8)
            nodes[layer.name] = AvgPoolNode(
                **common,
                kernel=layer.kernel,
                stride=layer.stride,
                padding=layer.padding,
                multiplier=multiplier,
                shift=shift,
            )
        elif layer.op == "maxpool":
            nodes[layer.name] = MaxPoolNode(
                **common, kernel=layer.kernel, stride=layer.stride, padding=layer.padding
            )
        elif layer.op == "shortcut":
            nodes[layer.name] = ShortcutNode(**common, stride=layer.stride)
        elif layer.op == "concat":
            nodes[layer.name] = ConcatNode(**common)
        else:
            raise ModelError(f"layer {layer.name!r} has the unsupported operation {layer.op!r}.")
    graph = Graph(
        spec.name,
        act_bits,
        weight_bits,
        multiplier_bits,
        rounding,
        spec.classes,
        list(nodes.values()),
    )
    graph.validate()
    return graph


def _check_scale(name: str, scale: float) -> None:
    if not 0 < scale < math.inf:
        raise ModelError(f"scale of layer {name!r} must be finite and above 0, not {scale}.")


def _convolution(
    layer: Layer,
    weights: Weights,
    source: Node,
    encoding: Encoding,
    common: dict[str, Any],
    act_bits: int,
    multiplier_bits: int,
) -> ConvNode:
    channels = len(weights.gain)
    for what, values in (("gain", weights.gain), ("offset", weights.offset)):
        if not np.isfinite(values).all():
            channel = int(np.flatnonzero(~np.isfinite(values))[0])
            raise ModelError(
                f"{what} of layer {layer.name!r} must be finite, not {values[channel]} in channel "
                f"{channel}."
            )
    # the multiplier is unsigned, so a negative gain moves into the weights
    codes = np.where(weights.gain[:, None, None, None] < 0, -weights.codes, weights.codes)
    with np.errstate(over="ignore"):
        factors = np.abs(weights.gain) * source.scale / encoding.scale
    reach = np.abs(codes.astype(np.int64)).sum((1, 2, 3)) << act_bits
    bias, multiplier, shift = (np.zeros(channels, np.int64) for _ in range(3))
    for c in range(channels):
        if factors[c] == 0 or (multiplier_bits > 0 and int(reach[c]) * float(factors[c]) < 0.5):
            # no input moves this channel by half a code: a constant
            codes[c] = 0
            factors[c] = 1
        multiplier[c], shift[c] = normalize(float(factors[c]), multiplier_bits)
        offset = float(weights.offset[c]) / encoding.scale / float(factors[c])
        if not abs(offset) < 1 << ACC_BITS_LIMIT:
            raise ModelError(
                f"offset of layer {layer.name!r} is {offset:.4g} accumulator steps in channel {c}, "
                f"at most 2^{ACC_BITS_LIMIT} are possible: its weights are too small beside it."
            )
        bias[c] = round(offset) - source.zero_point * int(codes[c].sum(dtype=np.int64))
    guard = 1 << act_bits + 7
    fields = {
        **common,
        "weight": codes.astype(np.int8),
        "bias": bias,
        "multiplier": multiplier,
        "shift": shift,
        "guard_lo": np.full(channels, -guard),
        "guard_hi": np.full(channels, guard - 1),
        "input_lo": -(1 << act_bits - 1),
        "input_hi": (1 << act_bits - 1) - 1,
    }
    if layer.op == "dense":
        return DenseNode(**fields)
    return ConvNode(
        **fields,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
        offset=layer.offset,
    )


def _add(
    sources: list[Node], encoding: Encoding, common: dict[str, Any], multiplier_bits: int
) -> AddNode:
    """Both multipliers share one shift, chosen so that the larger one uses its full width."""
    bits = max(multiplier_bits, 8)
    a, b = (source.scale / encoding.scale for source in sources)
    multiplier, shift = normalize(max(a, b), bits)
    if multiplier == 0:
        return AddNode(**common, multiplier_a=0, multiplier_b=0, shift=0)
    one = Fraction(1 << shift)
    return AddNode(
        **common,
        multiplier_a=round(Fraction(a) * one),
        multiplier_b=round(Fraction(b) * one),
        shift=shift,
    )
