"""Tells what any word of any memory holds in any cycle of the golden run, without running it."""

from collections.abc import Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from holdfast.fault.model.space import check_row, weight_word
from holdfast.gen.layout import DESCRIPTOR_STRIDE
from holdfast.gen.protection.parameter_parity import memory_fields
from holdfast.gen.protection.weight_parity import row_parity
from holdfast.gen.roles import Held, Role
from holdfast.nn.compiler.program import Step
from holdfast.sim.machine.banks import store
from holdfast.sim.protected import descriptor_words, parameter_words

from .layer_outputs import LayerOutputs


class GoldenWords:
    """Knows the memory words of one image's golden run."""

    def __init__(self, layers: LayerOutputs, held: Mapping[str, Held]):
        self._layers, self._held = layers, held
        self._program, self._schedule = layers.program, layers.schedule
        self._stored: dict[str, NDArray[np.int8]] = {}

    def at(self, name: str, address: int, cycle: int) -> int | None:
        """Returns what a word holds in a cycle, unsigned; None where it is a partial maximum."""
        current = self._schedule.at(cycle)
        held = self._held[name]
        role, place = held.role, held.place
        if role is Role.ACTIVATION_WORDS:
            bank, lane = int(place["bank"]), int(place["lane"])
            step = current.step
            runs = [run for run in self._schedule.runs[: current.index + 1] if run.step is step]
            written = False
            for run in runs:
                if bank == run.descriptor.output_bank:
                    written |= 0 <= int(run.write_cycles(np.array([address]), lane)[0]) < cycle
            banks = self._layers.values(current).banks
            if written:
                banks = self._after(step)
            return int(banks[bank, address, lane]) & (1 << self._layers.config.act_bits) - 1
        if role is Role.ACCUMULATOR_WORDS:
            if current.maximum:
                return None
            lane = int(place["lane"])
            if address >= current.pixels:
                return 0
            reads = current.start + address + current.timing.accumulate + lane
            tile = int(np.searchsorted(reads + current.timing.total, cycle))
            first = tile - tile % current.reductions
            tiles = np.arange(first, tile)
            values = self._layers.values(current)
            loaded = tiles // current.reductions if current.hold else tiles
            products = values.activations[tiles, address].astype(np.int64)
            products *= values.weights[loaded, :, lane]
            return int(products.sum()) & (1 << self._layers.config.acc_bits) - 1
        chunk = self._program.chunks[0]
        if weights := weight_word(self._layers.config, held, address):
            row = weights[1] - chunk.weight_base
            inside = 0 <= row < len(chunk.weights)
            value = int(chunk.weights[row, weights[0]]) if inside else 0
            return value & (1 << self._layers.config.weight_bits) - 1
        if (checked := check_row(self._layers.config, held, address)) is not None:
            row = checked - chunk.weight_base
            return int(self._checks[row]) if 0 <= row < len(self._checks) else 0
        if role is Role.PARAMETER_WORDS:
            row = address - chunk.param_base
            inside = 0 <= row < len(chunk.parameters)
            return int(self._parameters[str(place["field"])][row]) if inside else 0
        assert role is Role.PROGRAM_WORDS, name
        number, part = divmod(address, DESCRIPTOR_STRIDE)
        words = self._descriptors
        inside = number < len(words) and part < words.shape[1]
        return int(words[number, part]) if inside else 0

    def overwritten(self, name: str, address: int, cycle: int) -> bool:
        """Tells whether a word is written in a cycle or later."""
        current = self._schedule.at(cycle)
        runs = self._schedule.runs[current.index :]
        role, place = self._held[name].role, self._held[name].place
        if role is Role.ACTIVATION_WORDS:
            bank, lane = int(place["bank"]), int(place["lane"])
            for run in runs:
                if bank == run.descriptor.output_bank:
                    if run.write_cycles(np.array([address]), lane)[0] >= cycle:
                        return True
        elif role is Role.ACCUMULATOR_WORDS:
            offset = address + current.timing.accumulate + int(place["lane"]) + current.timing.total
            for run in runs:
                # The last reduction's total is not stored.
                storing = np.arange(len(run.start)) % run.reductions != run.reductions - 1
                if address < run.pixels and (run.start[storing] + offset >= cycle).any():
                    return True
        return False

    @cached_property
    def _parameters(self) -> dict[str, NDArray[np.int64]]:
        """Words of the parameter memories, [channel]."""
        slots = parameter_words(self._layers.config, self._program.chunks[0].parameters)
        found = {}
        for memory, fields in memory_fields(self._layers.config).items():
            found[memory] = np.zeros(len(slots), np.int64)
            position = 0
            for field in fields:
                bits = slots[:, field.slot].astype(np.int64) >> field.offset
                found[memory] |= (bits & (1 << field.width) - 1) << position
                position += field.width
        return found

    @cached_property
    def _checks(self) -> NDArray[np.int8]:
        """Check bits of the rows of weights."""
        return row_parity(self._program.chunks[0].weights, self._layers.config)

    @cached_property
    def _descriptors(self) -> NDArray[np.uint32]:
        return descriptor_words(self._program, *self._program.parts[0])

    def _after(self, step: Step) -> NDArray[np.int8]:
        if step.name not in self._stored:
            first = next(run for run in self._schedule.runs if run.step is step)
            banks = self._layers.values(first).banks.copy()
            store(self._program, step, self._layers.golden, banks)
            self._stored[step.name] = banks
        return self._stored[step.name]
