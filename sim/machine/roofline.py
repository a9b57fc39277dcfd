"""Says where a layer's cycles go: the share of the array's peak, and what keeps it from more.

parts = roofline(program, step, spent)
parts.share, parts.bound
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rich.table import Table

from holdfast.base.table import plain_table
from holdfast.gen.layout import COUNTERS
from holdfast.nn.compiler.program import Program, Step

_CAUSES = {
    "stall_weights": "weights",
    "stall_memory": "sums",
    "stall_writeback": "gaps",
    "stall_drain": "drain",
    "stall_fetch": "fetch",
    "stall_host": "host",
}


@dataclass(frozen=True)
class Roofline:
    """Cycles of a layer by what they are spent on; they add up to ``cycles``.

    Attributes
    ----------
    compute : float
        What the layer's multiplications take with every multiplier busy: its roof.
    unused : float
        Lost while pixels stream, because rows or columns of the array have no channel, or because
        the layer has no multiplications of the network: pooling and copies.
    stalls : dict of int
        Cycles without a pixel, by cause.
    """

    name: str
    macs: int
    cycles: int
    compute: float
    unused: float
    stalls: dict[str, int]

    @property
    def share(self) -> float:
        """Returns the share of the peak of all multipliers in all cycles."""
        return self.compute / self.cycles

    @property
    def bound(self) -> str:
        """Returns what most cycles are spent on."""
        parts = {"compute": self.compute, "array": self.unused, **self.stalls}
        return max(parts, key=lambda name: parts[name])


def roofline(program: Program, step: Step, spent: Mapping[str, int]) -> Roofline:
    """Returns a layer's cycles from its counters.

    Parameters
    ----------
    spent : Mapping
        Cycles by counter of `gen.layout.COUNTERS`, measured or from `cycles.step_cycles`.
    """
    compute = step.macs / (program.config.rows * program.config.cols)
    return Roofline(
        name=step.name,
        macs=step.macs,
        cycles=sum(spent[name] for name in COUNTERS),
        compute=compute,
        unused=spent["stream"] - compute,
        stalls={cause: spent[name] for name, cause in _CAUSES.items()},
    )


def total(layers: Iterable[Roofline]) -> Roofline:
    """Returns the sum of layers."""
    parts = list(layers)
    return Roofline(
        name="total",
        macs=sum(part.macs for part in parts),
        cycles=sum(part.cycles for part in parts),
        compute=sum(part.compute for part in parts),
        unused=sum(part.unused for part in parts),
        stalls={cause: sum(part.stalls[cause] for part in parts) for cause in _CAUSES.values()},
    )


def roofline_table(layers: Iterable[Roofline]) -> Table:
    """Layers and their total, in per cent of each row's cycles.

    ``peak``: all multipliers busy; ``idle``: streaming, but rows or columns without a channel;
    then waiting for weights and for accumulators (sums), gaps between output tiles, filling and
    draining the pipeline, fetching descriptors, waiting for the host.
    """
    parts = list(layers)
    columns = ("layer", "cycles", "peak", "idle", *_CAUSES.values(), "bound")
    table = plain_table("Where the cycles go, in % of each row's", *columns, left=("bound",))
    for part in (*parts, total(parts)):
        if part.name == "total":
            table.add_section()
        shares = [part.compute, part.unused, *part.stalls.values()]
        table.add_row(
            part.name,
            f"{part.cycles:,}",
            *(f"{100 * share / part.cycles:.1f}" for share in shares),
            part.bound,
        )
    return table
