"""What a campaign that was read says of its strata: as much of a plan as weighs its faults."""

from collections.abc import Collection, Mapping

from .record import Summary


class Drawn:
    """Stands in for the plan of a campaign that has ended.

    Parameters
    ----------
    whole : collection of str
        Structures of which all faults were tried.
    """

    def __init__(self, summary: Summary, whole: Collection[str]):
        self.structures = tuple(summary.structures)
        self.total = summary.population
        self.division = self if summary.sampling else None
        entries = summary.sampling.strata if summary.sampling else summary.structures
        self.sizes = {name: entry.population for name, entry in entries.items()}
        self._whole = frozenset(whole)

    def strata(self, structure: str) -> list[str]:
        """Names of a structure's strata."""
        return [name for name in self.sizes if name.partition(".")[0] == structure]

    def unused(self, stratum: str) -> bool:
        """Tells whether a stratum is of unused words."""
        return stratum.endswith(".0")

    def tried_whole(self, counts: Mapping[str, int]) -> frozenset[str]:
        """Returns the structures of which all faults were tried."""
        return self._whole
