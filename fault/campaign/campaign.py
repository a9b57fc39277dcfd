"""A campaign as a function: settings in, results out.

    settings = CampaignSettings(graph, config, images, faults=20_000)
    result = run_campaign(prepare(settings), Path("build/campaign/mine"))
    result.runs["off"].summary.total["sdc1"]     # {"value": ..., "low": ..., "high": ...}

The same call goes on where an earlier one was interrupted. An `Observer` is told how far it is.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from holdfast.base.checked import with_check
from holdfast.base.errors import HoldfastError
from holdfast.base.files import write_atomically, write_json
from holdfast.fault.injection.session import check_injectable
from holdfast.fault.model.models.base import FaultModel
from holdfast.fault.model.models.upset import UpsetModel
from holdfast.fault.model.space import FaultSpace
from holdfast.fault.peers.shortcuts import EXACT, Shortcuts
from holdfast.fault.results.environment import Environment
from holdfast.fault.results.rates import FailureRates, check_exact
from holdfast.fault.results.rates import failure_rates as failure_rates_in
from holdfast.fault.results.rates_files import files
from holdfast.fault.results.record import Summary
from holdfast.fault.results.report import report
from holdfast.fault.results.summary import compare, failure_rates, stratum_samples, summarize
from holdfast.fault.sampling.plan import Plan
from holdfast.fault.sampling.sampler import Filters
from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.data.images import ImageSet
from holdfast.nn.graph.graph import Graph
from holdfast.nn.graph.guard_modes import GUARD_OFF, GUARDS, named_guard
from holdfast.nn.graph.pixels import pixel_codes
from holdfast.sim.machine.schedule import Schedule
from holdfast.sim.netlist.accelerator import accelerator_netlist
from holdfast.sim.tools import find_tools

from .golden_runs import golden_runs
from .manifest import manifest, settings
from .pilot import divided
from .prior import Ended, PriorCampaign
from .spec import CampaignSpec, UnitStatistics
from .stopping import next_look, raised
from .store import Store
from .workers import run_units


@dataclass(frozen=True)
class CampaignSettings:
    """Holds what a campaign injects, and how.

    Attributes
    ----------
    images : ImageSet
        Every fault is injected into each of them.
    guards : tuple of str
        Names of guard settings; the same faults are injected under each, and all are compared with
        the first.
    faults, minimum : int
        Faults to draw, and the least in each structure.
    margin : float
        Error margin that decides the number of faults instead; 0: none.
    confidence : float
        Of all intervals.
    stop_at : float
        Half width of the interval of ``metric`` at which the campaign stops early; 0: it does not.
    pilot : Path or None
        Finished campaign that says where faults are drawn, for the share ``metric``.
    audit : float
        Share of the faults that plain RTL computes again.
    unit : int
        Faults of a work unit.
    against : tuple of Path
        Finished campaigns to compare with.
    rates : Mapping
        Raw rates in FIT per 2**20 bits, by ``flip-flop`` and ``memory``; empty: none.
    environment : Environment or None
        Upset rates, to turn shares into failure rates.
    scheduler : str
        Address of a Dask scheduler that is used instead of local processes.
    command : str
        What the report says repeats the campaign.
    """

    graph: Graph
    config: AcceleratorConfig
    images: ImageSet
    guards: tuple[str, ...] = ("off",)
    faults: int = 20_000
    minimum: int = 200
    margin: float = 0.0
    confidence: float = 0.95
    stop_at: float = 0.0
    filters: Filters = field(default_factory=Filters)
    model: FaultModel = field(default_factory=UpsetModel)
    shortcuts: Shortcuts = EXACT
    patterns: bool = False
    pilot: Path | None = None
    metric: str = "sdc1"
    seed: int = 1
    audit: float = 0.001
    unit: int = 1000
    against: tuple[Path, ...] = ()
    rates: Mapping[str, float] = field(default_factory=dict)
    environment: Environment | None = None
    processes: int = 2
    scheduler: str = ""
    command: str = ""


class Observer:
    """Is told how far a campaign is; this one keeps it to itself."""

    def doing(self, what: str) -> AbstractContextManager[Any]:
        """Accompanies a step that takes seconds."""
        return nullcontext()

    def damaged(self, what: str) -> None:
        """Is told of a unit that has to be computed again."""

    def computing(
        self, guard: str, faults: int
    ) -> AbstractContextManager[Callable[[UnitStatistics], None]]:
        """Accompanies the faults of a guard setting; called with what has been computed so far."""
        return nullcontext(lambda total: None)

    def ended(self, run: "GuardRun") -> None:
        """Is told the results of a guard setting."""


@dataclass(frozen=True)
class Prepared:
    """A campaign that has been checked and planned; the specification is of the first guard."""

    settings: CampaignSettings
    spec: CampaignSpec
    plan: Plan
    others: Mapping[str, PriorCampaign]


@dataclass(frozen=True)
class GuardRun:
    """Results under one guard setting; ``written`` says whether the folder could be written."""

    guard: str
    folder: Path
    summary: Summary
    tables: list[pa.Table]
    written: bool
    rates: FailureRates | None = None


@dataclass(frozen=True)
class CampaignResult:
    """Results of a campaign.

    Attributes
    ----------
    runs : Mapping
        By guard setting.
    pairs : Mapping
        `fault.results.summary.compare` with the first setting, by each other one.
    against : Mapping
        `PriorCampaign.compared`, by the name of the folder.
    """

    runs: Mapping[str, GuardRun]
    pairs: Mapping[str, Mapping[str, Mapping[str, Any]]]
    against: Mapping[str, Mapping[str, Any]]

    @property
    def disagrees(self) -> bool:
        """Tells whether plain RTL disagrees with any fault that it computed again."""
        return any(run.summary.audit.disagreements for run in self.runs.values())


def prepare(given: CampaignSettings, observer: Observer | None = None) -> Prepared:
    """Checks and plans a campaign.

    Raises
    ------
    HoldfastError
        Settings do not fit each other, the network, the accelerator or the images.
    """
    observer = observer or Observer()
    graph, config = given.graph, given.config
    if given.patterns and given.shortcuts.alone:
        raise HoldfastError("patterns are of whole sums, as the hardware requantizes them.")
    if given.patterns and given.pilot:
        raise HoldfastError(
            "patterns are fitted from draws in proportion, not from those of a pilot."
        )
    program = compile_graph(graph, config)
    for name in given.guards:
        check_injectable(program, named_guard(name, config))
        guarded = GUARDS[name] != GUARD_OFF
        given.shortcuts.check(program, given.model.single, guarded, given.audit)
    find_tools()
    codes = pixel_codes(given.images.images, graph.act_bits)
    with observer.doing(f"Generating the {config.rows}x{config.cols} accelerator"):
        netlist = accelerator_netlist(config)
    space = FaultSpace.of(netlist)
    if given.environment is not None:
        if not given.model.single:
            raise HoldfastError("failure rates are of single upsets, not of other faults.")
        check_exact(given.shortcuts.cycles, given.shortcuts.requantize)
        given.environment.check(space)
    plan = Plan(space, Schedule(program), given.model, given.filters, given.shortcuts.sampler)
    labels = given.images.labels
    spec = CampaignSpec(
        program=program,
        netlist=netlist,
        guard=GUARDS[given.guards[0]],
        codes=codes,
        labels=None if labels is None else np.asarray(labels, np.int64),
        model=given.model,
        filters=given.filters,
        counts={},
        size=given.unit,
        seed=given.seed,
        audit=given.audit,
        shortcuts=given.shortcuts,
        patterns=given.patterns,
        metric=given.metric,
    )
    if given.pilot is not None:
        with observer.doing("Reading the pilot"):
            pilot = PriorCampaign.load(given.pilot)
            plan.division = divided(plan, pilot, manifest(spec, plan), given.metric)
    faults = plan.faults(given.margin, given.confidence) if given.margin else given.faults
    counts = plan.allocate(faults, given.minimum)
    spec = replace(spec, counts=counts, division=plan.division)
    spec.check_size()
    others = {str(folder): PriorCampaign.load(folder) for folder in given.against}
    if len({folder.name for folder in given.against}) < len(others):
        raise HoldfastError(
            "two campaigns to compare with have folders of one name, which names the result."
        )
    return Prepared(given, spec, plan, others)


def run_campaign(
    prepared: Prepared, folder: Path, observer: Observer | None = None
) -> CampaignResult:
    """Computes what is missing in a campaign's folder, and its results.

    Raises
    ------
    HoldfastError
        Another campaign lies there, or another process works on it; a disk is full; processes or
        the scheduler die.
    """
    observer, given, plan = observer or Observer(), prepared.settings, prepared.plan
    first, *rest = given.guards
    runs = {
        name: _run(prepared, name, folder / f"guard_{name}" if rest else folder, observer)
        for name in given.guards
    }
    written = all(run.written for run in runs.values())
    before, spec = runs[first].tables, prepared.spec
    pairs = {
        name: compare(before, runs[name].tables, plan, len(spec.codes), given.confidence)
        for name in rest
    }
    own = Ended(manifest(spec, plan), runs[first].summary, before)
    against = {
        name: other.compared(own, given.confidence) for name, other in prepared.others.items()
    }
    if written and rest:
        write_json(folder / "comparison.json", {"first": first, "second": pairs})
        for run in runs.values():
            page = report(run.summary, given.command, {first: pairs}, run.rates)
            write_atomically(run.folder / "report.html", page.encode())
    if written:
        for name, found in against.items():
            write_json(folder / f"against_{Path(name).name}.json", found)
    return CampaignResult(runs, pairs, against)


def _run(prepared: Prepared, guard: str, folder: Path, observer: Observer) -> GuardRun:
    """One guard setting's campaign, from where its folder stands to its report."""
    given, plan = prepared.settings, prepared.plan
    spec = replace(prepared.spec, guard=GUARDS[guard])
    whole = plan.tried_whole(spec.counts)
    level = raised(given.confidence) if given.stop_at else given.confidence
    last = max(unit.number for unit in spec.units()) + 1
    look = 1 if given.stop_at else last
    with observer.doing("Looking at what is there"):
        named = manifest(spec, plan).to_json()
    with Store(folder, named) as store:
        spec = replace(spec, golden=folder.resolve() / "golden", campaign=store.campaign)
        while True:
            rows = {u: spec.faults(u) * len(spec.codes) for u in spec.units_until(look, whole)}
            todo = store.missing(rows)
            for found in store.damaged:
                observer.damaged(found)
            store.damaged.clear()
            if todo:
                with observer.doing("Golden runs: compiling and running the accelerator"):
                    golden_runs(spec)
                total = UnitStatistics()
                faults = sum(rows[unit] for unit in todo)
                with observer.computing(guard, faults) as tell, store.adding() as add:
                    for unit, content, spent in run_units(
                        spec, todo, given.processes, given.scheduler
                    ):
                        add(unit, content)
                        total.add(spent)
                        tell(total)
            tables = list(store.tables(rows.items()))
            summary = summarize(tables, plan, len(spec.codes), level)
            share = summary.total[given.metric]
            if look >= last or (share["high"] - share["low"]) / 2 <= given.stop_at:
                break
            samples, sizes = stratum_samples(tables, plan, len(spec.codes), given.metric)
            look = next_look(samples, sizes, spec.counts, spec.size, look, given.stop_at, level)
        if given.stop_at:
            summary = replace(summary, confidence=given.confidence, level=level)
        fit = None
        if given.rates:
            fit = failure_rates(summary, plan, given.rates) | {"per_megabit": dict(given.rates)}
        summary = replace(summary, settings=settings(spec, plan), versions=store.versions, fit=fit)
        rates = None
        if given.environment is not None:
            rates = failure_rates_in(given.environment, tables, summary, whole)
        if store.writable:
            for name, content in files(rates) if rates else ():
                store.write(name, content)
            store.write(
                "summary.json", json.dumps(with_check(summary.to_json()), indent=1).encode()
            )
            store.write("report.html", report(summary, given.command, {}, rates).encode())
    run = GuardRun(guard, folder, summary, tables, store.writable, rates)
    observer.ended(run)
    return run
