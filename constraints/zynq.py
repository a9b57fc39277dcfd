"""Says what `zynq_driver` needs beside it: the register map, and networks as plain arrays."""

import io
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.base.errors import HoldfastError
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.layout import ADDRESS_BITS, CONTROL, COUNTERS, INTERFACE, MAGIC, REGISTERS
from holdfast.nn.compiler.program import Program
from holdfast.sim.driver import image_writes, network_writes, tensor_range


def registers_file(config: AcceleratorConfig, base: int, core_mhz: float) -> bytes:
    """``registers.json`` of an accelerator at a physical address."""
    facts = {
        "base": base,
        "range": 1 << ADDRESS_BITS,
        "core_mhz": core_mhz,
        "id": MAGIC,
        "interface": INTERFACE << 16 | config.signature,
        "registers": {register.name: register.offset for register in REGISTERS},
        "counters": ["cycles", *COUNTERS],
        "start_bit": CONTROL["start"],
    }
    return json.dumps(facts, indent=2).encode() + b"\n"


def network_file(program: Program) -> bytes:
    """Writes a network as an .npz file.

    Raises
    ------
    HoldfastError
        Its weights do not fit on chip.
    """
    if not program.resident or len(program.parts) > 1:
        raise HoldfastError(
            f"network {program.graph.network} does not fit the accelerator's memories at once."
        )
    writes = list(network_writes(program))
    arrays: dict[str, Any] = {
        "interface": INTERFACE << 16 | program.config.signature,
        "writes": len(writes),
        "count": len(program.descriptors),
        "levels": (1 << program.config.act_bits) - 1,
    }
    for number, (address, data) in enumerate(writes):
        arrays[f"address_{number}"] = address
        arrays[f"data_{number}"] = np.frombuffer(data, "<u4")
    arrays |= _image_map(program) | _output_map(program)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _image_bytes(program: Program, codes: NDArray[np.integer]) -> tuple[int, NDArray[np.int8]]:
    """Returns where an image goes, and the bytes written there."""
    ((address, data),) = image_writes(program, codes)
    return address, np.frombuffer(data, np.int8)


def _image_map(program: Program) -> dict[str, Any]:
    """For each byte of the image in memory: the pixel code that it holds, or -1, and a constant."""
    shape = program.graph.nodes[0].shape
    index = np.arange(np.prod(shape)).reshape(shape)
    address, constant = _image_bytes(program, np.zeros(shape, np.int8))
    same = constant == _image_bytes(program, np.ones(shape, np.int8))[1]
    # A code has 8 bits: the index is found digit by digit.
    digits = [_image_bytes(program, (index >> 6 * k & 63).astype(np.int8))[1] for k in range(4)]
    source = sum(digit.astype(np.int64) << 6 * k for k, digit in enumerate(digits))
    return {"input_address": address, "source": np.where(same, -1, source), "constant": constant}


def _output_map(program: Program) -> dict[str, Any]:
    """Returns where the logits lie, and which bytes of it they are."""
    name = program.graph.nodes[-1].name
    address, length = tensor_range(program, name)
    place = program.places[name]
    lanes = {channel: lane for lane, channel in enumerate(place.lanes) if channel >= 0}
    stride = length // place.size
    per_word = program.config.word_lanes
    order = [lanes[channel] for channel in range(len(lanes))]
    return {
        "output_address": address,
        "output_words": length // 4,
        "output_bytes": np.array([lane // per_word * stride + lane % per_word for lane in order]),
    }
