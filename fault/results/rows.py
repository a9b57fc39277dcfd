"""A campaign's results as arrays, and what each fault counts as."""

from collections.abc import Collection, Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from holdfast.fault.outcome.effects import EFFECTS
from holdfast.fault.sampling.plan import Plan

from .drawn import Drawn

FAILURES = ("benign", "sdc1", "stopped", "hang")
"""Effects that count as failures in the architectural vulnerability factor (AVF)."""

_KEPT = ["structure", "signal", "bit", "layer", "phase", "number", "image", "effect", "died",
         "detected", "false_alarm", "latency", "sdc5", "sdc10", "sdc20", "right", "path",
         "audited", "agrees", "fault"]  # fmt: skip


class Rows:
    """Columns as arrays; texts as indices into their names.

    Parameters
    ----------
    more : collection of str
        Columns to keep beside those that a summary needs.
    """

    def __init__(self, tables: Iterable[pa.Table], more: Collection[str] = ()):
        tables = list(tables)
        kept = [*_KEPT, *more]
        if tables and "stratum" in tables[0].column_names:
            kept.append("stratum")
        table = pa.concat_tables([t.select(kept) for t in tables]).unify_dictionaries()
        self.names: dict[str, list[str]] = {}
        self.columns: dict[str, NDArray] = {}
        for name in kept:
            column = table[name].combine_chunks()
            if pa.types.is_dictionary(column.type):
                self.names[name] = column.dictionary.to_pylist()
                column = column.indices
            elif name in ("right", "agrees"):
                if name == "right":
                    self.columns["labelled"] = column.is_valid().to_numpy(zero_copy_only=False)
                column = pc.fill_null(column, False)
            self.columns[name] = column.to_numpy(zero_copy_only=False)
        self.rows = table.num_rows

    def equals(self, column: str, value: str) -> NDArray[np.bool_]:
        names = self.names[column]
        if value not in names:
            return np.zeros(self.rows, bool)
        return self.columns[column] == names.index(value)

    def faults(self, structure: str) -> NDArray[np.intp]:
        """Rows of a structure, fault by fault and for each image by image."""
        rows = np.flatnonzero(self.equals("structure", structure))
        return rows[np.lexsort((self.columns["image"][rows], self.columns["number"][rows]))]

    def parts(
        self, structure: str, rows: NDArray[np.intp], plan: Plan | Drawn
    ) -> dict[str, NDArray[np.intp]]:
        """Rows of a structure by stratum, those strata left out that have none."""
        if plan.division is None:
            return {structure: rows}
        found = {n: rows[self.equals("stratum", n)[rows]] for n in plan.strata(structure)}
        return {name: some for name, some in found.items() if len(some)}

    def whole(self, plan: Plan | Drawn, images: int) -> Collection[str]:
        """Structures of which these are all faults that exist."""
        return plan.tried_whole({n: len(self.faults(n)) // images for n in plan.structures})

    def kinds(self) -> dict[str, NDArray[np.bool_]]:
        """Tells which rows count as what."""
        kinds = {effect: self.equals("effect", effect) for effect in EFFECTS}
        kinds["avf"] = np.logical_or.reduce([kinds[name] for name in FAILURES])
        for name in ("detected", "false_alarm", "sdc5", "sdc10", "sdc20"):
            kinds[name] = self.columns[name].astype(bool)
        kinds["undetected_sdc1"] = kinds["sdc1"] & ~kinds["detected"]
        golden = kinds["masked"] | kinds["latent"]
        kinds["corrected"] = kinds["detected"] & ~kinds["false_alarm"] & golden
        return kinds
