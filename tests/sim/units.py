"""What the unit testbenches share: cycles, packed vectors, descriptors as a port."""

import random
from collections.abc import Iterable
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, Timer

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.layout import DESCRIPTOR
from holdfast.sim.cocotb.build import parameters

PERIOD_NS = 10


def config() -> AcceleratorConfig:
    """The configuration that the test was given."""
    return AcceleratorConfig(**parameters()["config"])


def signed(value: int, width: int) -> int:
    """The two's complement reading of the lowest bits."""
    value &= (1 << width) - 1
    return value - (value >> width - 1 << width)


def pack(values: Iterable[int], width: int) -> int:
    """A vector as the port of an array: the first value lowest."""
    return sum((value & (1 << width) - 1) << index * width for index, value in enumerate(values))


def unpack(word: int, width: int, count: int) -> list[int]:
    """Inverse of `pack`, signed."""
    return [signed(word >> index * width, width) for index in range(count)]


def pack_layer(**fields: int) -> int:
    """The decoded descriptor as a port; fields not named are zero."""
    word = position = 0
    for field in DESCRIPTOR:
        word |= (fields.pop(field.name, 0) & (1 << field.width) - 1) << position
        position += field.width
    assert not fields, fields
    return word


def pack_token(valid: int = 0, start: int = 0, end: int = 0, first: int = 0, last: int = 0) -> int:
    return valid | start << 1 | end << 2 | first << 3 | last << 4


class Cycles:
    """Drives inputs at the middle of a cycle and samples outputs before it ends."""

    def __init__(self, dut: Any, *outputs: str):
        self.dut = dut
        self.outputs = outputs
        self.random = random.Random(1)
        self._held: dict[str, int] = {}

    @classmethod
    async def start(cls, dut: Any, *outputs: str, **inputs: int) -> "Cycles":
        """Start the clock, reset with all inputs 0, then drive ``inputs``."""
        cycles = cls(dut, *outputs)
        cocotb.start_soon(Clock(dut.clk, PERIOD_NS, unit="ns").start())
        for name in (n for n in parameters()["inputs"] if n not in ("clk", "rst")):
            getattr(dut, name).value = 0
        if "rst" in parameters()["inputs"]:
            dut.rst.value = 1
            for _ in range(2):
                await FallingEdge(dut.clk)
            dut.rst.value = 0
        await FallingEdge(dut.clk)
        cycles.set(**inputs)
        return cycles

    def set(self, **inputs: int) -> None:
        for name, value in inputs.items():
            if self._held.get(name) != value:
                handle = getattr(self.dut, name)
                handle.value = value & (1 << len(handle)) - 1
                self._held[name] = value

    async def step(self, **inputs: int) -> dict[str, int]:
        """One cycle with these inputs; the outputs that belong to it."""
        self.set(**inputs)
        await Timer(2, "ns")
        seen = {name: int(getattr(self.dut, name).value) for name in self.outputs}
        await FallingEdge(self.dut.clk)
        return seen
