"""Faults in whole inferences, and what they did."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from holdfast.base.errors import HoldfastError
from holdfast.base.extras import needed
from holdfast.base.figures import Figure, intervals
from holdfast.base.leftovers import scratch
from holdfast.base.options import LAST_SEED, check_range, check_whole
from holdfast.base.statistics import Estimate
from holdfast.base.text import shown

from .design import Accelerator
from .given import check_kind, names_of, path_of

if TYPE_CHECKING:
    from holdfast.fault.campaign.campaign import CampaignSettings
    from holdfast.fault.campaign.prior import Ended, PriorCampaign
    from holdfast.nn.graph.graph import Graph

_SHOWN = ("sdc1", "avf")


@dataclass(frozen=True)
class Campaign:
    """Holds the results of a campaign.

    Attributes
    ----------
    summary : Mapping
        Everything that the report shows, as in ``summary.json``.
    results : sequence of pyarrow.Table
        A row for each fault and image.
    """

    summary: Mapping[str, Any]
    results: Sequence[pa.Table] = field(repr=False)
    _ended: "Ended | PriorCampaign" = field(repr=False)

    @property
    def sdc1(self) -> Estimate:
        """Tells how often an upset changes the class: a share of all bits and cycles."""
        return self.rate("sdc1")

    @property
    def avf(self) -> Estimate:
        """Tells how often an upset changes the output, or the run does not end as it should."""
        return self.rate("avf")

    def rate(self, effect: str, structure: str | None = None) -> Estimate:
        """Returns the share of upsets with an effect, with its interval.

        Parameters
        ----------
        effect : str
            Such as ``sdc1``, ``masked``, ``hang`` or ``detected``.
        structure : str, optional
            Of the upsets in this structure alone.

        Raises
        ------
        HoldfastError
            There is no such effect or structure.
        """
        shares = self.summary["total"]
        if structure is not None:
            shares = _known("structure", structure, self.summary["structures"])["shares"]
        return Estimate(**_known("effect", effect, shares))

    def table(self) -> pa.Table:
        """Returns shares by structure, and weighted by population; bounds are of the interval."""
        parts = [(n, p["bits"], p["faults"], p["shares"]) for n, p in self._structures.items()]
        whole = "total", self.summary["bits"], self.summary["faults"], self.summary["total"]
        return pa.Table.from_pylist(
            [
                {"structure": name, "bits": bits, "faults": faults}
                | {
                    f"{effect}{end}": shares[effect][key]
                    for effect in _SHOWN
                    for end, key in (("", "value"), ("_low", "low"), ("_high", "high"))
                }
                for name, bits, faults, shares in [*parts, whole]
            ]
        )

    def faults(self) -> pa.Table:
        """Returns a row for each fault and image: where, when, and what it did."""
        return pa.concat_tables(self.results).unify_dictionaries()

    def figure(self, *effects: str) -> Figure:
        """Returns a plot of shares by structure, which a notebook shows.

        Raises
        ------
        HoldfastError
            There is no such effect.
        """
        rows = [
            {"label": name, "series": effect, "faults": part["faults"]}
            | {key: 100 * value for key, value in _known("effect", effect, part["shares"]).items()}
            for name, part in self._structures.items()
            for effect in effects or _SHOWN
        ]
        return intervals("effects", "Effects of upsets by structure", rows)

    @property
    def _structures(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.summary["structures"]
        return found


@dataclass(frozen=True)
class Comparison:
    """Says how a share changes from one campaign to another.

    Attributes
    ----------
    difference : Estimate
        The second's share minus the first's.
    paired : bool
        Whether both injected the same faults, which makes the interval narrower.
    prevented, caused : int or None
        Faults that had the effect in the first campaign alone, and in the second alone; None where
        the faults are not the same.
    """

    difference: Estimate
    paired: bool
    prevented: int | None = None
    caused: int | None = None


def inject(
    network: "Graph",
    accelerator: Accelerator,
    faults: int = 20_000,
    *,
    seed: int = 1,
    images: int = 1,
    data: str | Path | None = None,
    structures: Sequence[str] = (),
    layers: Sequence[str] = (),
    minimum: int = 200,
    margin: float = 0.0,
    confidence: float = 0.95,
    processes: int = 2,
    folder: str | Path | None = None,
) -> Campaign:
    """Injects single-bit upsets into inferences, with the outcome that the RTL would have.

    Parameters
    ----------
    faults, minimum : int
        Upsets to draw, and the least in each structure.
    seed : int
        Of the draw, and of generated images.
    images : int
        Images that every fault is injected into.
    data : str, Path or None
        CIFAR-10; where there is none, images are generated.
    structures, layers : sequence of str
        Where upsets begin; empty: everywhere.
    margin : float
        Half width of the interval that decides the number of faults instead, as a share: 0.005 is
        half a percentage point; 0: none.
    confidence : float
        Of all intervals, as a share: 0.95.
    processes : int
        That compute at the same time.
    folder : str, Path or None
        Where the campaign is kept, so that it goes on after an interruption; None: nowhere.

    Returns
    -------
    Campaign
        Its estimates are shares from 0 to 1 of all bits times cycles, weighted by structure.

    Raises
    ------
    HoldfastError
        A value is out of its bounds or of another kind, or does not fit the network or the
        accelerator; a tool is missing; the folder holds another campaign, or cannot be written.
    RuntimeError
        Plain RTL, which computes one fault in a thousand again, disagrees with the campaign. This
        is a mistake of Holdfast.
    """
    with needed():
        from holdfast.fault.campaign.campaign import prepare, run_campaign
        from holdfast.fault.campaign.manifest import manifest
        from holdfast.fault.campaign.prior import Ended
        from holdfast.fault.sampling.plan import MOST_FAULTS
    check_whole(1, MOST_FAULTS, faults=faults)
    check_whole(0, MOST_FAULTS, minimum=minimum)
    check_whole(0, LAST_SEED, seed=seed)
    check_range(0, 1, margin=margin)
    check_range(0.01, 0.99999, confidence=confidence)
    check_whole(1, 256, processes=processes)
    check_kind(Accelerator, "an Accelerator", accelerator=accelerator)
    kept = path_of("folder", folder)
    settings = _settings(network, accelerator, images, data, seed, structures, layers)
    settings = replace(
        settings, faults=faults, minimum=minimum, margin=margin, confidence=confidence,
        processes=processes,
    )  # fmt: skip
    prepared = prepare(settings)
    with scratch() if kept is None else nullcontext(kept) as place:
        (run,) = run_campaign(prepared, place).runs.values()
    if run.summary.audit.disagreements:
        wrong = ", ".join(run.summary.audit.faults)
        raise RuntimeError(f"plain RTL disagrees with the campaign in {wrong}")
    ended = Ended(manifest(prepared.spec, prepared.plan), run.summary, run.tables)
    return Campaign(run.summary.to_json(), run.tables, ended)


def _settings(
    network: "Graph",
    accelerator: Accelerator,
    images: int,
    data: str | Path | None,
    seed: int,
    structures: Sequence[str],
    layers: Sequence[str],
) -> "CampaignSettings":
    from holdfast.fault.campaign.campaign import CampaignSettings
    from holdfast.fault.sampling.sampler import Filters
    from holdfast.nn.data.choice import images_for

    filters = Filters(names_of("structures", structures), names_of("layers", layers))
    config = accelerator.hardware(network)
    chosen = images_for(network, path_of("data", data), images, seed)
    return CampaignSettings(
        network, config, chosen, (accelerator.guard_setting(config),), seed=seed, filters=filters,
        command="holdfast.api.inject",
    )  # fmt: skip


def read(folder: str | Path) -> Campaign:
    """Reads a campaign that has ended, of this interface or of ``holdfast campaign``.

    Raises
    ------
    HoldfastError
        There is none, or it is damaged.
    """
    with needed():
        from holdfast.fault.campaign.prior import PriorCampaign
    check_kind(str | Path, "a path", folder=folder)
    found = PriorCampaign.load(Path(folder))
    return Campaign(found.summary.to_json(), found.tables, found)


def compare(first: Campaign, second: Campaign, effect: str = "sdc1") -> Comparison:
    """Compares the shares of an effect; fault by fault where both injected the same ones.

    Parameters
    ----------
    effect : str
        As in :meth:`Campaign.rate`, such as ``sdc1``, ``sdc5``, ``sdc10``, ``sdc20`` or ``avf``.

    Raises
    ------
    HoldfastError
        There is no such effect.
    """
    with needed():
        from holdfast.base.paired import independent
        from holdfast.fault.campaign.prior import paired
    check_kind(Campaign, "a Campaign", first=first, second=second)
    for campaign in (first, second):
        _known("effect", effect, campaign.summary["total"])
    pairs = paired(first._ended, second._ended, first.summary["confidence"], effect)
    if pairs is not None:
        total = pairs["total"]
        change = Estimate(**total["difference"])
        return Comparison(change, True, total["prevented"], total["caused"])
    found = independent(first.summary, second.summary, effect)["total"]
    return Comparison(Estimate(**found["difference"]), False)


def _known(what: str, name: str, known: Mapping[str, Any]) -> Any:
    if not isinstance(name, str) or name not in known:
        raise HoldfastError(f"there is no {what} {shown(name)}; known are {', '.join(known)}.")
    return known[name]
