"""One fault again, with waveforms of the golden and of the faulty run and where they part.

again = replay(build, program, images, "stem/i0/c1234/array__pe_3_4__weight[5]", folder)
again.divergence        # registers that differ first, with cycle and both values
"""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from holdfast.fault.model.fault import Fault
from holdfast.fault.outcome.classify import FaultResult
from holdfast.nn.compiler.program import Program
from holdfast.nn.graph.guard_modes import GUARD_OFF, GuardSettings
from holdfast.sim.cocotb.build import Build
from holdfast.sim.vcd import samples

from .layerwise import inject, simulate_work
from .observation import DRAIN, LOOK, PERIOD, Divergence, Work


@dataclass(frozen=True)
class Replay:
    """Says what a repeated fault did.

    Attributes
    ----------
    divergence : tuple of Divergence
        Every register other than the flipped one that differs in the first cycle in which one does;
        empty if none ever does.
    golden, faulty : Path
        Waveforms of the layer without and with the fault, equal in time up to the flip.
    begin : int
        Nanoseconds at which cycle 0 begins in both.
    """

    result: FaultResult
    divergence: tuple[Divergence, ...]
    golden: Path
    faulty: Path
    begin: int

    @property
    def waveforms(self) -> str:
        """Returns where the waveforms are, as a sentence."""
        return f"Waveforms: {self.golden} and {self.faulty}; cycle 0 at {self.begin} ns."


def replay(
    build: Build,
    program: Program,
    images: Tensor,
    identifier: str,
    folder: Path,
    guard: GuardSettings = GUARD_OFF,
) -> Replay:
    """Repeats a fault, with waveforms.

    Parameters
    ----------
    build : Build
        From ``build_cocotb(netlist, waves=True)``.
    images : int8 [N, C, H, W]
    identifier : str
        The fault's id.
    folder : Path
        Where ``golden.vcd`` and ``faulty.vcd`` go; hundreds of megabytes for a large layer.

    Raises
    ------
    HoldfastError
        The fault does not exist.
    """
    fault = Fault.parse(identifier, in_layer=True)
    (result,) = inject(build, program, images, [fault], guard)
    image = images[fault.image : fault.image + 1]
    reference = {fault.image: guard.golden(program.graph).run(image)}
    paths = {name: folder / f"{name}.vcd" for name in ("golden", "faulty")}
    clean = Work(fault.layer, fault.image, ())
    (runs,) = simulate_work(build, program, reference, [clean], guard, waves=paths["golden"])
    cycles = runs.golden.cycles
    alone = Work(fault.layer, fault.image, (fault,), limit=2 * cycles + 1000)
    list(simulate_work(build, program, reference, [alone], guard, waves=paths["faulty"]))
    begin = runs.golden.begin
    names = [ff.name for ff in build.netlist.flip_flops]
    last = cycles + DRAIN
    divergence = _first_divergence(paths["golden"], paths["faulty"], names, fault, begin, last)
    return Replay(result, divergence, paths["golden"], paths["faulty"], begin)


def _first_divergence(
    golden: Path, faulty: Path, names: list[str], fault: Fault, begin: int, last: int
) -> tuple[Divergence, ...]:
    """Registers that differ in the first cycle from the flip to ``last`` in which one does."""
    moments = [begin + c * PERIOD + LOOK for c in range(fault.cycle, last)]
    values: list[dict[str, int]] = [{}, {}]
    streams = (samples(golden, names, moments), samples(faulty, names, moments))
    for (moment, left), (_, right) in zip(*streams, strict=False):
        values[0].update(left)
        values[1].update(right)
        suspects = set(left) | set(right)
        different = sorted(n for n in suspects if values[0].get(n) != values[1].get(n))
        if fault.site.signal in different:
            different.remove(fault.site.signal)
        if different:
            cycle = (moment - begin) // PERIOD
            return tuple(
                Divergence(name, cycle, values[0][name], values[1][name]) for name in different
            )
    return ()
