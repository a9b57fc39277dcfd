"""The one description of what software and hardware share: registers, descriptor, parameters,
addresses.

The bus is 32 bits wide and byte addressed. Address bits 24..22 choose a region, the rest is the
offset in it. Memories are seen one byte per code or weight, lane 0 lowest, in words padded to a
power of two of bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import Any
from zlib import crc32

from .config import AcceleratorConfig
from .window import REGION_BITS

MAGIC = 0x484F4C44
ADDRESS_BITS = REGION_BITS + 3
ADD_SHIFT_BITS = 5


class Region(IntEnum):
    """Holds what address bits 24..22 choose; activation bank k is region ACTIVATIONS + k."""

    REGISTERS = 0
    PROGRAM = 1
    PARAMETERS = 2
    WEIGHTS = 3
    ACTIVATIONS = 4


class Status(IntEnum):
    """Says why the last run ended."""

    OK = 0
    BAD_DESCRIPTOR = 1
    ACTIVATION_ADDRESS = 2
    WEIGHT_ADDRESS = 3
    PARAMETER_ADDRESS = 4
    OUTPUT_ADDRESS = 5
    RESIDUAL_ADDRESS = 6
    ACCUMULATOR_ADDRESS = 7
    PROGRAM_ADDRESS = 8
    PROGRAM_CHECK = 16
    PARAMETER_CHECK = 17
    WEIGHT_CHECK = 18
    DESCRIPTOR_CHECK = 19
    SCHEDULE_CHECK = 20
    LANE_CHECK = 21
    STATIONARY_CHECK = 22


FIRST_CHECK = Status.PROGRAM_CHECK
"""From here on, what a protection found; only accelerators that have it end with it."""

STATUS_MEANINGS = {
    Status.OK: "ended well",
    Status.BAD_DESCRIPTOR: "holds a value that this accelerator does not support",
    Status.ACTIVATION_ADDRESS: "reads beyond the {act_depth} words of its input bank",
    Status.WEIGHT_ADDRESS: "reads beyond the {weight_depth} words of weights",
    Status.PARAMETER_ADDRESS: "reads beyond the {param_depth} channels of parameters",
    Status.OUTPUT_ADDRESS: "writes beyond the {act_depth} words of its output bank",
    Status.RESIDUAL_ADDRESS: "reads beyond the {act_depth} words of its residual bank",
    Status.ACCUMULATOR_ADDRESS: "has more pixels than the {acc_depth} accumulators",
    Status.PROGRAM_ADDRESS: "lies outside the {program_depth} descriptors",
    Status.PROGRAM_CHECK: "differs from its check word",
    Status.PARAMETER_CHECK: "met channel parameters whose parity is wrong",
    Status.WEIGHT_CHECK: "met a row of weights whose parity is wrong",
    Status.DESCRIPTOR_CHECK: "changed while it ran",
    Status.LANE_CHECK: "met parameters that changed in a lane",
    Status.STATIONARY_CHECK: "met weights that changed in the array",
    Status.SCHEDULE_CHECK: "did not do what its signature says",
}
"""What descriptor ``index`` of the status register did; with names of `AcceleratorConfig`."""


@dataclass(frozen=True)
class Field:
    """Places bits of a descriptor: ``width`` bits from bit ``offset`` of word ``word``."""

    name: str
    word: int
    offset: int
    width: int
    signed: bool
    meaning: str


def _bits(width: int, meaning: str, signed: bool = False, default: int | None = 0) -> Any:
    return field(default=default, metadata={"width": width, "signed": signed, "meaning": meaning})


@dataclass(frozen=True)
class Descriptor:
    """Holds the work of one run of the array, in the order of the words; fields not given are zero.

    The last word must hold nothing that the sequencer checks: the check is done while that word is
    read.
    """

    magic: int | None = _bits(
        16, "the configuration's signature, or the descriptor is refused", default=None
    )
    hold_weights: int = _bits(1, "one weight tile serves all reduction tiles of an output tile")
    maximum: int = _bits(1, "accumulate by maximum instead of sum")
    residual: int = _bits(1, "add a residual tensor")
    input_bank: int = _bits(2, "bank read by the feeder")
    output_bank: int = _bits(2, "bank written")
    residual_bank: int = _bits(2, "bank of the residual, not the input's")
    stride: int = _bits(3, "pixels between kernel positions, both directions")
    dilation: int = _bits(3, "pixels between kernel taps, both directions")
    sub_block: int = _bits(4, "first channel block inside the first input word")
    out_lane: int = _bits(5, "lane of the first output channel in its word")
    input_base: int = _bits(16, "word address of pixel (origin_y, origin_x), modulo 2**16")
    input_step: int = _bits(16, "words from one output tile's input channels to the next's")
    step_x: int = _bits(16, "words from one output column's input to the next's")
    step_y: int = _bits(16, "words from one output row's input to the next's")
    step_kx: int = _bits(16, "words between kernel columns")
    step_ky: int = _bits(16, "words between kernel rows")
    blocks: int = _bits(13, "channel blocks in a reduction; 1 with hold_weights")
    origin_y: int = _bits(10, "input row of the first kernel row of output row 0", signed=True)
    origin_x: int = _bits(
        10, "input column of the first kernel column of output column 0", signed=True
    )
    kernel_h: int = _bits(5, "kernel rows")
    kernel_w: int = _bits(5, "kernel columns")
    in_h: int = _bits(9, "input rows")
    in_w: int = _bits(9, "input columns")
    co_tiles: int = _bits(14, "tiles of output channels")
    out_h: int = _bits(9, "output rows")
    out_w: int = _bits(9, "output columns")
    param_base: int = _bits(14, "channel address of the first output channel's parameters")
    weight_base: int = _bits(20, "word address of the first weight tile")
    out_step: int = _bits(12, "words from one output pixel to the next")
    out_base: int = _bits(16, "word address of output pixel 0")
    lane_mask: int = _bits(16, "output lanes that are written")
    res_lane: int = _bits(5, "lane of the first residual channel in its word")
    res_base: int = _bits(16, "word address of residual pixel 0")
    res_tiles: int = _bits(
        14, "output tiles that have a residual; it is its zero point in further ones"
    )
    pad_value: int = _bits(8, "code inserted outside the input", signed=True)
    zero_in: int = _bits(8, "input zero point (guard replacement)", signed=True)
    input_lo: int = _bits(8, "input guard's lower bound", signed=True)
    input_hi: int = _bits(8, "input guard's upper bound", signed=True)
    zero_out: int = _bits(8, "zero point of the requantized output", signed=True)
    lo: int = _bits(8, "lower clamp", signed=True)
    hi: int = _bits(8, "upper clamp", signed=True)
    res_zero: int = _bits(8, "residual's zero point", signed=True)
    add_zero: int = _bits(8, "zero point after the residual add", signed=True)
    add_lo: int = _bits(8, "lower clamp after the residual add", signed=True)
    add_hi: int = _bits(8, "upper clamp after the residual add", signed=True)
    add_shift: int = _bits(ADD_SHIFT_BITS, "shift of the residual add")
    add_multiplier_a: int = _bits(24, "multiplier of the convolution's output in the residual add")
    add_multiplier_b: int = _bits(24, "multiplier of the residual")
    res_step_x: int = _bits(16, "words from one residual column to the next")
    res_step_y: int = _bits(16, "words from one residual row to the next")

    @property
    def pixels(self) -> int:
        """Returns output pixels."""
        return self.out_h * self.out_w

    @property
    def reductions(self) -> int:
        """Returns reduction tiles of each output tile."""
        return self.kernel_h * self.kernel_w * self.blocks

    @property
    def weight_tiles(self) -> int:
        """Weight tiles that are loaded."""
        return self.co_tiles * (1 if self.hold_weights else self.reductions)

    def pack(self, config: AcceleratorConfig) -> list[int]:
        """Returns the descriptor's words; ``magic`` is the signature of the configuration.

        Raises
        ------
        ValueError
            A value does not fit its width.
        """
        words = [0] * DESCRIPTOR_WORDS
        for bits in DESCRIPTOR:
            value = getattr(self, bits.name)
            value = config.signature if value is None else int(value)
            low = -(1 << (bits.width - 1)) if bits.signed else 0
            high = (1 << (bits.width - bits.signed)) - 1
            if not low <= value <= high:
                raise ValueError(
                    f"descriptor field {bits.name} must be {low} to {high}, not {value}"
                )
            words[bits.word] |= (value & ((1 << bits.width) - 1)) << bits.offset
        return words


def _placed() -> Iterator[Field]:
    """Places the fields in order into 32-bit words; no field crosses a word."""
    word = offset = 0
    for entry in fields(Descriptor):
        width = entry.metadata["width"]
        if offset + width > 32:
            word, offset = word + 1, 0
        yield Field(entry.name, word, offset, **entry.metadata)
        offset += width


DESCRIPTOR = tuple(_placed())
"""The bits of a `Descriptor`, in the order of the words."""

DESCRIPTOR_WORDS = DESCRIPTOR[-1].word + 1
# A descriptor occupies a power of two of words in program memory.
DESCRIPTOR_STRIDE = 1 << (DESCRIPTOR_WORDS - 1).bit_length()


def parameter_words(
    config: AcceleratorConfig,
    bias: int,
    multiplier: int,
    shift: int,
    guard_lo: int = 0,
    guard_hi: int = 0,
) -> list[int]:
    """Returns four bus words of an output channel: bias; multiplier and shift; bounds; unused."""
    saturate = 1 << (config.guard_bits - 1)
    low, high = (min(max(v, -saturate), saturate - 1) & 0xFFFF for v in (guard_lo, guard_hi))
    return [bias & 0xFFFFFFFF, multiplier | shift << 24, low | high << 16, 0]


@dataclass(frozen=True)
class Register:
    """Describes a 32-bit register at byte ``offset``."""

    name: str
    offset: int
    access: str
    meaning: str


REGISTERS = (
    Register("id", 0x00, "r", "0x484F4C44, 'HOLD'"),
    Register("control", 0x04, "rw", "start of a run, switches of guard and interrupt"),
    Register("status", 0x08, "r", "what the accelerator does, and how the last run ended"),
    Register("first", 0x0C, "rw", "index of the first descriptor"),
    Register("count", 0x10, "rw", "descriptors to run"),
    Register("cycles", 0x14, "r", "clock cycles of the last run"),
    Register("guard_output", 0x18, "rw", "output guard violations; any write clears"),
    Register("guard_input", 0x1C, "rw", "input guard violations; any write clears"),
    Register("ready", 0x20, "rw", "descriptors below this index may run; 0xFFFF after reset"),
    Register("array", 0x24, "r", "rows, cols, act_bits, weight_bits, one byte each"),
    Register(
        "widths",
        0x28,
        "r",
        "acc_bits, multiplier_bits, rounding, guard (1 learnt bounds, 2 fixed), one byte each",
    ),
    Register("interface", 0x2C, "r", "signature of the configuration; above it, of this interface"),
    Register("stream", 0x30, "r", "cycles in which the array took a pixel"),
    Register("stall_weights", 0x34, "r", "cycles waiting for the next weight tile"),
    Register("stall_memory", 0x38, "r", "cycles waiting for an accumulator to be written"),
    Register("stall_writeback", 0x3C, "r", "cycles between output tiles"),
    Register("stall_drain", 0x40, "r", "cycles filling and draining the pipeline"),
    Register("stall_fetch", 0x44, "r", "cycles fetching and checking descriptors"),
    Register("stall_host", 0x48, "r", "cycles waiting for ready"),
)

COUNTERS = tuple(r.name for r in REGISTERS if r.name == "stream" or r.name.startswith("stall_"))
"""Where the cycles of a run went; they add up to ``cycles``."""

CONTROL = {"start": 0, "guard_output": 1, "guard_input": 2, "guard_zero": 3, "interrupt": 4}

STATUS_BITS = {"busy": (0, 1), "done": (1, 1), "refused": (2, 1), "code": (8, 8), "index": (16, 16)}
"""First bit and width of the parts of the status register. ``refused``: a write during the run;
``code``: a `Status`; ``index``: the current, at the end the last descriptor."""


INTERFACE = (
    crc32(
        repr(
            [
                *((r.name, r.offset, r.access) for r in REGISTERS),
                *((f.name, f.word, f.offset, f.width, f.signed) for f in DESCRIPTOR),
                (CONTROL, STATUS_BITS, *((s.name, int(s)) for s in Status if s < FIRST_CHECK)),
                (REGION_BITS, *((r.name, int(r)) for r in Region)),
            ]
        ).encode()
    )
    & 0xFFFF
)
"""16 bits that tell this layout of registers, descriptors and addresses from others."""
