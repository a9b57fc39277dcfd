"""The one description of what software and hardware share: registers, descriptor, parameters,
addresses.

The bus is 32 bits wide and byte addressed. Address bits 24..22 choose a region, the rest is the
offset in it. Memories are seen one byte per code or weight, lane 0 lowest, in words padded to a
power of two of bytes.
"""

from dataclasses import dataclass
from enum import IntEnum
from zlib import crc32

from .config import AcceleratorConfig
from .window import REGION_BITS, word_stride

__all__ = [
    "ADDRESS_BITS",
    "ADD_SHIFT_BITS",
    "CONTROL",
    "COUNTERS",
    "DESCRIPTOR",
    "DESCRIPTOR_STRIDE",
    "DESCRIPTOR_WORDS",
    "INTERFACE",
    "MAGIC",
    "REGION_BITS",
    "REGISTERS",
    "STATUS_BITS",
    "STATUS_MEANINGS",
    "Field",
    "Region",
    "Register",
    "Status",
    "pack_descriptor",
    "parameter_words",
    "word_stride",
]

MAGIC = 0x484F4C44
ADDRESS_BITS = REGION_BITS + 3
ADD_SHIFT_BITS = 5


class Region(IntEnum):
    """What address bits 24..22 choose; activation bank k is region ACTIVATIONS + k."""

    REGISTERS = 0
    PROGRAM = 1
    PARAMETERS = 2
    WEIGHTS = 3
    ACTIVATIONS = 4


class Status(IntEnum):
    """Why the last run ended."""

    OK = 0
    BAD_DESCRIPTOR = 1
    ACTIVATION_ADDRESS = 2
    WEIGHT_ADDRESS = 3
    PARAMETER_ADDRESS = 4
    OUTPUT_ADDRESS = 5
    RESIDUAL_ADDRESS = 6
    ACCUMULATOR_ADDRESS = 7
    PROGRAM_ADDRESS = 8


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
}
"""What descriptor ``index`` of the status register did; with names of `AcceleratorConfig`."""


@dataclass(frozen=True)
class Field:
    """Bits of a descriptor: ``width`` bits from bit ``offset`` of word ``word``."""

    name: str
    word: int
    offset: int
    width: int
    signed: bool
    meaning: str


def _fields(*rows: tuple[str, int, bool, str]) -> tuple[Field, ...]:
    """Place fields in order into 32-bit words; no field crosses a word."""
    word, offset, placed = 0, 0, []
    for name, width, signed, meaning in rows:
        if offset + width > 32:
            word, offset = word + 1, 0
        placed.append(Field(name, word, offset, width, signed, meaning))
        offset += width
    return tuple(placed)


DESCRIPTOR = _fields(
    ("magic", 16, False, "the configuration's signature, or the descriptor is refused"),
    ("hold_weights", 1, False, "one weight tile serves all reduction tiles of an output tile"),
    ("maximum", 1, False, "accumulate by maximum instead of sum"),
    ("residual", 1, False, "add a residual tensor"),
    ("input_bank", 2, False, "bank read by the feeder"),
    ("output_bank", 2, False, "bank written"),
    ("residual_bank", 2, False, "bank of the residual, not the input's"),
    ("stride", 3, False, "pixels between kernel positions, both directions"),
    ("dilation", 3, False, "pixels between kernel taps, both directions"),
    ("sub_block", 4, False, "first channel block inside the first input word"),
    ("out_lane", 5, False, "lane of the first output channel in its word"),
    ("input_base", 16, False, "word address of pixel (origin_y, origin_x), modulo 2**16"),
    ("input_step", 16, False, "words from one output tile's input channels to the next's"),
    ("step_x", 16, False, "words from one output column's input to the next's"),
    ("step_y", 16, False, "words from one output row's input to the next's"),
    ("step_kx", 16, False, "words between kernel columns"),
    ("step_ky", 16, False, "words between kernel rows"),
    ("blocks", 13, False, "channel blocks in a reduction; 1 with hold_weights"),
    ("origin_y", 10, True, "input row of the first kernel row of output row 0"),
    ("origin_x", 10, True, "input column of the first kernel column of output column 0"),
    ("kernel_h", 5, False, "kernel rows"),
    ("kernel_w", 5, False, "kernel columns"),
    ("in_h", 9, False, "input rows"),
    ("in_w", 9, False, "input columns"),
    ("co_tiles", 14, False, "tiles of output channels"),
    ("out_h", 9, False, "output rows"),
    ("out_w", 9, False, "output columns"),
    ("param_base", 14, False, "channel address of the first output channel's parameters"),
    ("weight_base", 20, False, "word address of the first weight tile"),
    ("out_step", 12, False, "words from one output pixel to the next"),
    ("out_base", 16, False, "word address of output pixel 0"),
    ("lane_mask", 16, False, "output lanes that are written"),
    ("res_lane", 5, False, "lane of the first residual channel in its word"),
    ("res_base", 16, False, "word address of residual pixel 0"),
    (
        "res_tiles",
        14,
        False,
        "output tiles that have a residual; it is its zero point in further ones",
    ),
    ("pad_value", 8, True, "code inserted outside the input"),
    ("zero_in", 8, True, "input zero point (guard replacement)"),
    ("input_lo", 8, True, "input guard's lower bound"),
    ("input_hi", 8, True, "input guard's upper bound"),
    ("zero_out", 8, True, "zero point of the requantized output"),
    ("lo", 8, True, "lower clamp"),
    ("hi", 8, True, "upper clamp"),
    ("res_zero", 8, True, "residual's zero point"),
    ("add_zero", 8, True, "zero point after the residual add"),
    ("add_lo", 8, True, "lower clamp after the residual add"),
    ("add_hi", 8, True, "upper clamp after the residual add"),
    ("add_shift", ADD_SHIFT_BITS, False, "shift of the residual add"),
    ("add_multiplier_a", 24, False, "multiplier of the convolution's output in the residual add"),
    ("add_multiplier_b", 24, False, "multiplier of the residual"),
    ("res_step_x", 16, False, "words from one residual column to the next"),
    ("res_step_y", 16, False, "words from one residual row to the next"),
)
"""In the order of the words. The last word must hold nothing that the sequencer checks: the check
is done while that word is read."""

DESCRIPTOR_WORDS = DESCRIPTOR[-1].word + 1
# A descriptor occupies a power of two of words in program memory.
DESCRIPTOR_STRIDE = 1 << (DESCRIPTOR_WORDS - 1).bit_length()


def pack_descriptor(config: AcceleratorConfig, **values: int) -> list[int]:
    """Descriptor words from field values; fields not named are zero, ``magic`` is filled in.

    Raises
    ------
    ValueError
        An unknown field, or a value that does not fit its width.
    """
    values = {"magic": config.signature, **values}
    words = [0] * DESCRIPTOR_WORDS
    for field in DESCRIPTOR:
        value = int(values.pop(field.name, 0))
        low = -(1 << (field.width - 1)) if field.signed else 0
        high = (1 << (field.width - field.signed)) - 1
        if not low <= value <= high:
            raise ValueError(f"descriptor field {field.name} must be {low} to {high}, not {value}")
        words[field.word] |= (value & ((1 << field.width) - 1)) << field.offset
    if values:
        raise ValueError(f"unknown descriptor fields {sorted(values)}")
    return words


def parameter_words(
    config: AcceleratorConfig,
    bias: int,
    multiplier: int,
    shift: int,
    guard_lo: int = 0,
    guard_hi: int = 0,
) -> list[int]:
    """The four bus words of one output channel: bias; multiplier and shift; bounds; unused."""
    saturate = 1 << (config.guard_bits - 1)
    low, high = (min(max(v, -saturate), saturate - 1) & 0xFFFF for v in (guard_lo, guard_hi))
    return [bias & 0xFFFFFFFF, multiplier | shift << 24, low | high << 16, 0]


@dataclass(frozen=True)
class Register:
    """A 32-bit register at byte ``offset``."""

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
                (CONTROL, STATUS_BITS, *((s.name, int(s)) for s in Status)),
                (REGION_BITS, *((r.name, int(r)) for r in Region)),
            ]
        ).encode()
    )
    & 0xFFFF
)
"""16 bits that tell this layout of registers, descriptors and addresses from others."""
