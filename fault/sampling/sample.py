"""Drawing faults: stratified by structure, uniform over bits x cycles within one.

faults = sample(space, cycles, images=1, count=200, seed=0)
"""

import zlib
from collections.abc import Mapping

import numpy as np

from holdfast.base.errors import HoldfastError
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.space import FaultSpace


def allocate(space: FaultSpace, count: int, minimum: int = 20) -> dict[str, int]:
    """Returns faults for each structure: the minimum, and what remains of ``count`` in proportion
    to bits.

    The sum is ``count``, or what the minimum needs if that is more.
    """
    structures = space.structures
    rest = max(0, count - minimum * len(structures))
    shares = {name: rest * space.bits(name) / space.bits() for name in structures}
    counts = {name: minimum + int(shares[name]) for name in structures}
    left = minimum * len(structures) + rest - sum(counts.values())
    by_remainder = sorted(structures, key=lambda name: int(shares[name]) - shares[name])
    for name in by_remainder[:left]:
        counts[name] += 1
    return counts


def sample(
    space: FaultSpace,
    cycles: Mapping[str, int],
    images: int = 1,
    count: int = 200,
    minimum: int = 20,
    seed: int = 0,
    counts: Mapping[str, int] | None = None,
) -> list[Fault]:
    """Draws faults, with replacement.

    Parameters
    ----------
    cycles : Mapping
        Clock cycles of every layer to be hit. A layer is hit in proportion to its cycles, an image
        as often as any other.
    count, minimum : int
        As in :func:`allocate`.
    seed : int
        Non-negative. The draws of a structure depend on nothing but this seed and its own space:
        other structures and their counts do not change them, and a larger count continues a
        smaller one.
    counts : Mapping, optional
        Faults of every structure, instead of ``count`` and ``minimum``.

    Raises
    ------
    HoldfastError
        There is no layer, a negative seed, or a structure that the netlist does not have.
    """
    if not cycles:
        raise HoldfastError("faults need at least one layer to hit.")
    if seed < 0:
        raise HoldfastError(f"the seed must be 0 or more, not {seed}.")
    layers = list(cycles)
    ends = np.cumsum([cycles[layer] for layer in layers])
    faults = []
    chosen = allocate(space, count, minimum) if counts is None else counts
    for structure, number in chosen.items():
        if structure not in space.structures:
            raise HoldfastError(
                f"structure {structure} does not exist; known are {', '.join(space.structures)}."
            )
        generator = np.random.default_rng([seed, zlib.crc32(structure.encode())])
        limits = (space.bits(structure), int(ends[-1]), images)
        for _ in range(number):
            index, moment, image = (int(generator.integers(limit)) for limit in limits)
            position = int(np.searchsorted(ends, moment, side="right"))
            cycle = moment - int(ends[position]) + cycles[layers[position]]
            site = space.site(structure, index)
            faults.append(Fault((site,), cycle, layer=layers[position], image=image))
    return faults
