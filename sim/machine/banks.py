"""Says where tensors lie in the activation banks while a program runs.

Banks are int8 arrays [bank, word, lane] of what the memories hold.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.roles import Role
from holdfast.nn.compiler.lanes import part_words
from holdfast.nn.compiler.program import Program, Step
from holdfast.sim.netlist.netlist import Netlist

Codes = NDArray[np.int8]


def banks_before(program: Program, step: Step, golden: Mapping[str, Codes]) -> Codes:
    """Returns the banks when a step starts, after an inference from zeroed memories.

    Parameters
    ----------
    golden : Mapping
        Golden codes [C, H, W] of every node, the image's among them.
    """
    cfg = program.config
    banks = np.zeros((cfg.act_banks, cfg.act_depth, cfg.word_lanes), np.int8)
    image = program.graph.nodes[0].name
    place = program.places[image]
    banks[place.bank, place.base : place.base + place.size] = program.input_words(golden[image])
    for earlier in program.steps[: program.steps.index(step)]:
        store(program, earlier, golden, banks)
    return banks


def store(program: Program, step: Step, golden: Mapping[str, Codes], banks: Codes) -> None:
    """Puts what a step computes into the banks."""
    place = program.places[step.target]
    words = program.tensor_words(step.target, golden[step.target])
    pixels = words.reshape(place.height * place.width, -1)
    lanes = written(program, step)
    target = banks[place.bank, place.base : place.base + place.size]
    target.reshape(pixels.shape)[:, lanes] = pixels[:, lanes]


def written(program: Program, step: Step) -> slice:
    """Lanes of a pixel of the target that a step writes: all, but in a concatenation."""
    words = part_words(program.graph, program.config, step)
    lanes = program.config.word_lanes
    return slice(words.start * lanes, words.stop * lanes)


def tensor(program: Program, name: str, banks: Codes) -> Codes:
    """Returns codes [C, H, W] of a stored tensor; of a packed image, its words as they lie."""
    place = program.places[name]
    words = banks[place.bank, place.base : place.base + place.size]
    return program.tensor_codes(name, words)


def words_of(
    netlist: Netlist, config: AcceleratorConfig, banks: Codes
) -> dict[str, NDArray[np.int64]]:
    """Returns what the memories of the netlist hold: unsigned words by memory, from banks."""
    codes = banks.astype(np.int64) & (1 << config.act_bits) - 1
    return {name: codes[bank, :, lane] for name, bank, lane in _lanes(netlist)}


def banks_of(netlist: Netlist, config: AcceleratorConfig, words: Mapping[str, ArrayLike]) -> Codes:
    """Returns the inverse of `words_of`; other memories are left aside."""
    banks = np.zeros((config.act_banks, config.act_depth, config.word_lanes), np.int64)
    for name, bank, lane in _lanes(netlist):
        banks[bank, :, lane] = words[name]
    return signed(banks, config.act_bits)


def _lanes(netlist: Netlist) -> Iterator[tuple[str, int, int]]:
    """Name, bank and lane of every activation memory."""
    for name in netlist.names(Role.ACTIVATION_WORDS):
        place = netlist.held[name].place
        yield name, int(place["bank"]), int(place["lane"])


def signed(codes: NDArray[np.int64], bits: int) -> Codes:
    """Returns codes of some bits as integers."""
    return ((codes ^ 1 << bits - 1) - (1 << bits - 1)).astype(np.int8)


def check_written(program: Program, step: Step, banks: Codes, golden: Mapping[str, Codes]) -> None:
    """Assert that a step has left the golden model's codes where it writes."""
    channels = program.channels(step)
    result = tensor(program, step.target, banks)
    wrong = np.count_nonzero(result[channels] != golden[step.target][channels])
    assert not wrong, f"{step.name} differs from the golden model in {wrong} codes"


def stored_after(program: Program, step: Step) -> list[str]:
    """Lists the tensors that are still read once a step has ended, by later steps or by the host.

    In the order in which they are computed; the step's own target is the last.
    """
    index = program.steps.index(step)
    image = program.graph.nodes[0].name
    known = dict.fromkeys([image, *(earlier.target for earlier in program.steps[: index + 1])])
    needed = {name for other in program.steps[index + 1 :] for name in other.reads}
    needed.add(program.graph.nodes[-1].name)
    return [*(name for name in known if name in needed and name != step.target), step.target]
