"""The campaign: faults in whole inferences, with statistics, a store and a report."""

import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from holdfast.base import options
from holdfast.base.command import repeated, run
from holdfast.base.errors import HoldfastError
from holdfast.base.text import shown
from holdfast.fault.campaign.campaign import CampaignSettings, prepare, run_campaign
from holdfast.fault.campaign.console import ConsoleObserver
from holdfast.fault.campaign.pilot import METRICS, check_pilot
from holdfast.fault.campaign.prior import PriorCampaign
from holdfast.fault.model.registry import fault_model
from holdfast.fault.model.space import STRUCTURES
from holdfast.fault.peers.shortcuts import Shortcuts
from holdfast.fault.results.environment import Environment
from holdfast.fault.sampling.sampler import Filters, check_known
from holdfast.nn import options as shared
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.compiler.configuration import configuration
from holdfast.nn.compiler.program import Program
from holdfast.nn.data.choice import images_for
from holdfast.nn.graph.guard_modes import named_guard
from holdfast.nn.graph.shipped import load_network
from holdfast.sim.machine.schedule import Schedule

from . import options as given

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_CONFIDENCE = (0.01, 0.99999)


@app.command(
    epilog="Examples: holdfast campaign --faults 20000; "
    "holdfast campaign --margin 0.5% --confidence 95%; "
    "holdfast campaign --compare off,bound --faults 5000 --structures weight,partial_sum; "
    "holdfast campaign --replay 'c1234/array__pe_3_4__weight[5]'"
)
@options.grouped(
    {
        shared.SETUP: "images",
        shared.FAULTS: "faults margin minimum structures pattern pes layers phases bits "
        "stuck duration pilot metric",
        shared.RESULTS: "confidence patterns comparison against fit environment store replay",
        shared.RUN: "stop_at cycles requantize audit processes scheduler unit",
    }
)
def campaign(
    network: shared.Network = "resnet8",
    config: shared.Config = None,
    rows: shared.Rows = None,
    cols: shared.Cols = None,
    protection: shared.Protection = None,
    images: given.Images = 1,
    data: shared.Data = None,
    guard: shared.Guard = "off",
    faults: given.Faults = 20_000,
    margin: given.Margin = "",
    confidence: given.Confidence = "95%",
    stop_at: given.StopAt = "",
    minimum: given.Minimum = 200,
    structures: given.Structures = "",
    pattern: given.Pattern = "",
    pes: given.Pes = "",
    layers: given.Layers = "",
    phases: given.Phases = "",
    bits: given.Bits = 1,
    stuck: given.Stuck = None,
    duration: given.Duration = 0,
    cycles: given.Cycles = "all",
    requantize: given.Requantize = "sum",
    patterns: given.Patterns = False,
    pilot: given.Pilot = None,
    metric: given.Metric = "sdc1",
    seed: shared.Seed = 1,
    audit: given.Audit = "0.1%",
    comparison: given.Comparison = "",
    against: given.Against = "",
    fit: given.Fit = "",
    environment: given.EnvironmentFile = None,
    processes: given.Processes = 2,
    scheduler: given.Scheduler = "",
    unit: given.Unit = 1000,
    store: given.Store = None,
    replay: given.Replay = "",
) -> int:
    """Inject faults into whole inferences and estimate failure rates, exactly as RTL would."""
    level = options.share("--confidence", confidence)
    options.check_range(*_CONFIDENCE, **{"--confidence": level})
    options.check_choice(METRICS, **{"--metric": metric})
    shortcuts = Shortcuts(cycles, requantize)
    graph = load_network(network)
    chosen = configuration(graph, config, rows, cols, protection)
    guards = _guards(guard, comparison, stop_at)
    filters = Filters(
        options.words(structures), options.words(layers), options.words(phases), pattern,
        tuple(given.element(name) for name in options.words(pes)),
    )  # fmt: skip
    model = fault_model(bits, stuck, duration)
    _check(compile_graph(graph, chosen), guards, filters, shortcuts)
    if pilot is not None:
        check_pilot(PriorCampaign.load(pilot), seed, model=model.settings(), filters=filters)
    settings = CampaignSettings(
        guards=guards, faults=faults, minimum=minimum, margin=_share("--margin", margin),
        confidence=level, stop_at=_share("--stop-at", stop_at),
        audit=options.share("--audit", audit, zero=True), filters=filters,
        model=model, shortcuts=shortcuts, patterns=patterns,
        pilot=pilot, metric=metric, seed=seed,
        unit=unit, against=tuple(Path(name) for name in options.words(against)),
        rates=given.rates(fit),
        environment=Environment.read(environment) if environment else None,
        processes=processes, scheduler=scheduler,
        command=repeated("campaign"), graph=graph, config=chosen,
        # The last, since it takes its time.
        images=images_for(graph, data, images, seed),
    )  # fmt: skip
    told = ConsoleObserver()
    prepared = prepare(settings, told)
    folder = store or Path("build", "campaign", f"{graph.network}_{chosen.name}")
    if replay and shortcuts.alone:
        raise HoldfastError("--replay shows what the hardware does, without --requantize.")
    if replay:
        # Imported here: PyTorch and the simulator take a second.
        from holdfast.fault.campaign.replay_upset import replay_upset

        replay_upset(prepared.spec, replay, folder / "replay")
        return 0
    told.planned(prepared)
    result = run_campaign(prepared, folder, told)
    told.compared(result)
    return 1 if result.disagrees else 0


def _check(program: Program, guards: Sequence[str], filters: Filters, shortcuts: Shortcuts) -> None:
    """Raises a HoldfastError where a name does not exist."""
    for name in guards:
        named_guard(name, program.config)
    check_known("structure", filters.structures, STRUCTURES)
    shortcuts.sampler(Schedule(program), filters)


def _share(name: str, text: str) -> float:
    return options.share(name, text) if text else 0.0


def _guards(guard: str, comparison: str, stop_at: str) -> tuple[str, ...]:
    guards = options.words(comparison) or (guard,)
    if comparison and len(guards) < 2:
        raise HoldfastError(
            f"--compare needs two or more different settings, not {shown(comparison)}."
        )
    if stop_at and comparison:
        raise HoldfastError("--stop-at is for one setting; --compare needs the same faults in all.")
    return guards


if __name__ == "__main__":
    sys.exit(run(app))
