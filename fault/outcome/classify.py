"""What a fault did: from the difference in one layer to its effect on the classification.

Each fault has exactly one effect. The window of *latent* is the layer.

================  ==========================================================================
``hang``          no interrupt within twice the golden cycles + 1000, or the port does not answer
``stopped``       the run ended with an error status
``sdc1``          the class differs
``benign``        the last tensor differs, its class does not
``latent``        the last tensor is golden, but something that differs is left that can be read
                  before it is written (see below)
``masked``        the last tensor is golden and nothing of that kind is left
================  ==========================================================================

The layer's output is carried through the rest of the network by the golden model, together with
other stored tensors that the fault changed; a layer whose output is golden is not followed further.

What can be read before it is written, once a layer has ended: words of the descriptors, parameters
and weights that the program uses; words of tensors that a later step or the host reads; and the
registers whose unit says that the next layer depends on them (`gen.roles.Kind.live`). All other
registers are dead while the accelerator is idle: reset, run or the host's writes before a start set
them first; a test flips every bit of them.
Counters and status are what the host reads, not state of the network: they are reported, and do not
make a fault latent.

A masked fault died (*died*):

===================  =======================================================================
``never_read``       in a memory: the word differs to the end of the layer, which does not read
                     it; in a register: it differs to the end, and nothing else ever did
``overwritten``      the bit was set anew before anything else differed
``array``            other registers differed, but no accumulator or requantizer; or a word of
                     the input whose difference did not reach the output
``requantization``   a difference reached accumulators or requantizer and not the output
``later_layer``      the layer's output differed, the last tensor did not
===================  =======================================================================

Registers and accumulators are watched for ``trace_cycles`` after the flip, a pixel's way through
the pipeline; what a register held for longer does afterwards is not told apart. Nor is a read
before the flip from one after it for words of the layer's input (they count as ``array``) and of
the accumulators (``never_read`` if the word still differs).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from holdfast.fault.injection.cocotb_bench import GoldenRun, Observation
from holdfast.fault.model.space import FaultSpace, Site, weight_word
from holdfast.gen.layout import DESCRIPTOR, DESCRIPTOR_STRIDE, DESCRIPTOR_WORDS
from holdfast.gen.roles import Held, Role
from holdfast.gen.units.lane_setup import lane_parameters
from holdfast.nn.compiler.program import Program, Step
from holdfast.nn.graph.golden import (
    Golden,
    Result,
    classes,
    confidences,
)
from holdfast.sim.machine.banks import live_after, signed, tensor

__all__ = ["DIED", "EFFECTS", "FaultResult", "banks_after", "classify", "holds_constants",
           "of_guard"]  # fmt: skip

EFFECTS = ("masked", "latent", "benign", "sdc1", "stopped", "hang")
DIED = ("never_read", "overwritten", "array", "requantization", "later_layer")
_BATCH = 32


@dataclass(frozen=True)
class FaultResult:
    """One fault on one image.

    Attributes
    ----------
    effect : str
        One of :data:`EFFECTS`.
    died : str
        One of :data:`DIED` if masked, else empty.
    detected : bool
        A guard that is on counted more than in the golden run: in the layer, or in a later one
        that the difference went through. False with the guard off.
    false_alarm : bool
        Detected, but the bit is the guard's own: its registers and its bounds, wherever they are
        held. No word that it protects was corrupt.
    corrected : bool
        Detected, no false alarm, and the last tensor is golden: the guard has replaced a corrupt
        word by what the network computes with.
    sdc5 : bool
        The faulty class is not among the golden five first.
    sdc10, sdc20 : bool
        The confidence of the golden class moves by more than 10 or 20 % of itself.
    guard_output, guard_input : int
        Counters after the layer.
    cycles : int
        Of the layer.
    status : int
        Status of the run, `gen.layout.Status`.
    """

    id: str
    layer: str
    image: int
    cycle: int
    signal: str
    structure: str
    address: int | None
    bit: int
    effect: str
    died: str = ""
    detected: bool = False
    false_alarm: bool = False
    corrected: bool = False
    sdc5: bool = False
    sdc10: bool = False
    sdc20: bool = False
    guard_output: int = 0
    guard_input: int = 0
    cycles: int = 0
    status: int = 0


@dataclass
class _Outcome:
    """What the end of the network looks like."""

    effect: str = ""
    alarms: bool = False
    attributes: dict[str, bool] = field(default_factory=dict)


def classify(
    program: Program,
    space: FaultSpace,
    golden: Golden,
    reference: Result,
    run: GoldenRun,
    observations: Sequence[Observation],
) -> list[FaultResult]:
    """Results of the faults of one layer and image.

    Parameters
    ----------
    golden : Golden
        With the guard as in the simulation.
    reference : Result
        Its run on this image alone, all nodes kept.
    """
    step = next(step for step in program.steps if step.name == run.layer)
    stored = [*live_after(program, step), step.target]
    order = [node.name for node in program.graph.nodes]
    stored.sort(key=order.index)
    clean = {name: tensor(program, name, run.banks) for name in stored}
    differing: list[dict[str, NDArray[np.int8]]] = []
    for observation in observations:
        banks = banks_after(program, space, run, observation)
        codes = {name: tensor(program, name, banks) for name in stored}
        differing.append({n: c for n, c in codes.items() if not np.array_equal(c, clean[n])})

    outcomes = [_Outcome() for _ in observations]
    follow = []
    for index, observation in enumerate(observations):
        if not observation.ended:
            outcomes[index].effect = "hang"
        elif observation.status:
            outcomes[index].effect = "stopped"
        elif step.target in differing[index]:
            follow.append(index)
    for alone in (True, False):
        chosen = [index for index in follow if (len(differing[index]) == 1) == alone]
        for begin in range(0, len(chosen), _BATCH):
            part = chosen[begin : begin + _BATCH]
            changes = [differing[index] for index in part]
            result = _carry(golden, step, stored, clean, changes, reference, alone)
            for index, outcome in zip(part, _judge(golden, reference, result), strict=True):
                outcomes[index] = outcome

    return [
        _result(program, space, golden, step, run, observation, outcome, step.target in changes)
        for observation, outcome, changes in zip(observations, outcomes, differing, strict=True)
    ]


def banks_after(
    program: Program, space: FaultSpace, run: GoldenRun, observation: Observation
) -> NDArray[np.int8]:
    """The activation memories after a faulty run."""
    banks = run.banks.copy()
    for name, words in observation.memories.items():
        held = space[name].held
        if held.role is Role.ACTIVATION_WORDS:
            addresses, values = np.array(words, np.int64).T
            codes = signed(values, program.config.act_bits)
            banks[int(held.place["bank"]), addresses, int(held.place["lane"])] = codes
    return banks


def _carry(
    golden: Golden,
    step: Step,
    stored: Sequence[str],
    clean: Mapping[str, NDArray[np.int8]],
    changes: Sequence[Mapping[str, NDArray[np.int8]]],
    reference: Result,
    alone: bool,
) -> Result:
    """The rest of the network for a batch of faults; ``alone``: only the layer's output changed."""
    count = len(changes)

    def stack(name: str) -> Tensor:
        return torch.from_numpy(np.stack([change.get(name, clean[name]) for change in changes]))

    if alone:
        return golden.run_from(step.target, stack(step.target), reference.outputs)
    images = torch.arange(count)
    values = {n: v.expand(count, -1, -1, -1) for n, v in reference.outputs.items()}
    total = Result(values)
    # In the order of the graph, so that a stored tensor replaces what an earlier one would
    # make of it: the layers between them have already run.
    for name in stored:
        result = golden.run_from(name, stack(name), total.outputs, images)
        total.outputs.update(result.outputs)
        total.output_violations.update(result.output_violations)
        total.input_violations.update(result.input_violations)
    return total


def _judge(golden: Golden, reference: Result, result: Result) -> list[_Outcome]:
    """Effect and attributes of each fault of a batch, from the network's last tensor."""
    last = golden.graph.nodes[-1].name
    clean = reference.outputs[last].flatten(1)
    faulty = result.outputs[last].flatten(1)
    top = int(classes(clean))
    first = torch.argsort(clean[0].to(torch.int64), descending=True, stable=True)[:5].tolist()
    before = float(confidences(golden.graph, clean)[0, top])
    after = confidences(golden.graph, faulty)[:, top].tolist()
    alarms = torch.zeros(len(faulty), dtype=torch.bool)
    for kind in ("output_violations", "input_violations"):
        for name, counts in getattr(result, kind).items():
            alarms |= counts > getattr(reference, kind)[name]
    outcomes = []
    for index, chosen in enumerate(classes(faulty).tolist()):
        same = torch.equal(faulty[index], clean[0])
        moved = abs(after[index] - before)
        outcomes.append(
            _Outcome(
                "" if same else "benign" if chosen == top else "sdc1",
                bool(alarms[index]),
                {
                    "sdc5": chosen not in first,
                    "sdc10": moved > 0.1 * before,
                    "sdc20": moved > 0.2 * before,
                },
            )
        )
    return outcomes


def _result(
    program: Program,
    space: FaultSpace,
    golden: Golden,
    step: Step,
    run: GoldenRun,
    observation: Observation,
    outcome: _Outcome,
    output_changed: bool,
) -> FaultResult:
    fault, site = observation.fault, observation.fault.site
    effect, died = outcome.effect, ""
    if not effect:
        if _left(program, space, step, observation, output_changed):
            effect = "latent"
        else:
            effect = "masked"
            died = _died(program, space, step, observation, output_changed)
    # A flip of a counter raises it even where its guard is off and tells nobody.
    counted = golden.output_guard is not None and observation.guard_output > run.guard_output
    counted |= golden.input_guard is not None and observation.guard_input > run.guard_input
    detected = counted or outcome.alarms
    false_alarm = detected and of_guard(program, space, site)
    return FaultResult(
        id=str(fault),
        layer=fault.layer,
        image=fault.image,
        cycle=fault.cycle,
        signal=site.signal,
        structure=space[site.signal].structure,
        address=site.address,
        bit=site.bit,
        effect=effect,
        died=died,
        detected=detected,
        false_alarm=false_alarm,
        corrected=detected and not false_alarm and effect in ("masked", "latent"),
        guard_output=observation.guard_output,
        guard_input=observation.guard_input,
        cycles=observation.cycles,
        status=observation.status,
        **outcome.attributes,
    )


def _left(
    program: Program, space: FaultSpace, step: Step, observation: Observation, followed: bool
) -> bool:
    """Whether something that differs can be read before it is written.

    ``followed``: tensors do not count, the golden model has taken them to the network's end.
    """
    if any("layer" in space[name].held.live for name in observation.flip_flops):
        return True
    for name, words in observation.memories.items():
        held = space[name].held
        for address, _ in words:
            if held.role is Role.ACTIVATION_WORDS:
                if not followed and _is_live(program, step, held, address):
                    return True
            elif holds_constants(program, held, np.array([address])):
                return True
    return False


def _is_live(program: Program, step: Step, memory: Held, address: int) -> bool:
    """Whether a word of an activation memory belongs to a tensor that will still be read."""
    names = [*live_after(program, step), step.target]
    return _holds(program, names, memory, address)


def _holds(program: Program, names: Sequence[str], memory: Held, address: int) -> bool:
    """Whether a word of an activation memory belongs to one of some tensors."""
    bank = memory.place["bank"]
    places = [program.places[name] for name in names]
    return any(p.bank == bank and p.base <= address < p.base + p.size for p in places)


def holds_constants(program: Program, memory: Held, words: NDArray[np.int64]) -> bool:
    """Whether one of some words of descriptors, parameters or weights is written once and read by
    all runs.
    """
    # Chunks that take turns are written anew before every use.
    chunk = program.chunks[0] if program.resident else None
    if memory.role is Role.PROGRAM_WORDS:
        words, part = np.divmod(words, DESCRIPTOR_STRIDE)
        words, size = words[part < DESCRIPTOR_WORDS], len(program.descriptors)
    elif chunk and (first := weight_word(program.config, memory, 0)):
        words, size = words + first[1] - chunk.weight_base, len(chunk.weights)
    elif chunk and memory.role is Role.PARAMETER_WORDS:
        words, size = words - chunk.param_base, len(chunk.parameters)
    else:
        return False
    return bool(((words >= 0) & (words < size)).any())


def _died(
    program: Program, space: FaultSpace, step: Step, observation: Observation, followed: bool
) -> str:
    if followed:
        return "later_layer"
    site = observation.fault.site
    if site.address is not None:
        words = observation.memories.get(site.signal, [])
        if site.address not in [address for address, _ in words]:
            return "overwritten"
        if space[site.signal].structure != "activation_memory":
            return "never_read"
        if _holds(program, step.reads[:1], space[site.signal].held, site.address):
            return "array"
        if _holds(program, step.reads[1:], space[site.signal].held, site.address):
            return "requantization"
        return "never_read"
    if not observation.reached:
        return "never_read" if site.signal in observation.flip_flops else "overwritten"
    structures = {space[name].structure for name in observation.reached}
    structures.add(space[site.signal].structure)
    if structures & {"accumulators", "requantizer"}:
        return "requantization"
    datapath = {"pe_activation", "weight", "partial_sum", "skew"}
    datapath |= {"activation_memory", "weight_memory"}
    return "array" if structures & datapath else "overwritten"


def of_guard(program: Program, space: FaultSpace, site: Site) -> bool:
    """Whether a bit is the guard's own: settings, counters, flags and bounds."""
    state = space[site.signal]
    role, place = state.held.role, state.held.place
    if state.structure == "guard" or place.get("field") == "bounds":
        return True
    if role is Role.LANE_PARAMETERS:
        layout = lane_parameters(program.config)
        bounds = [layout[name] for name in layout.members if name.startswith("guard_")]
        return any(f.offset <= site.bit < f.offset + f.width for f in bounds)
    word: int | str = -1
    if role is Role.DESCRIPTOR_WORD:
        word = place["word"]
    elif role is Role.PROGRAM_WORDS and site.address is not None:
        word = site.address % DESCRIPTOR_STRIDE
    return any(
        f.word == word and f.offset <= site.bit < f.offset + f.width
        for f in DESCRIPTOR
        if f.name in ("input_lo", "input_hi")
    )
