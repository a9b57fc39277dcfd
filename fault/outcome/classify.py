"""Says what a fault did: from the difference in one layer to its effect on the classification.

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

The golden model propagates the layer's output through the rest of the network, together with other
stored tensors that the fault changed; where the output is golden, nothing is propagated.

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

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from holdfast.fault.analysis.memories import Effect
from holdfast.fault.analysis.propagation import Propagator
from holdfast.fault.injection.observation import GoldenLayer, Observation
from holdfast.fault.model.purpose import holds_constants, holds_tensor, of_guard
from holdfast.fault.model.space import FaultSpace
from holdfast.gen.roles import Role
from holdfast.nn.compiler.program import Program, Step
from holdfast.nn.graph.golden import Golden
from holdfast.nn.graph.reference import Reference
from holdfast.sim.machine.banks import signed, stored_after, tensor

from .verdict import Judgement, Verdict


@dataclass(frozen=True)
class FaultResult:
    """Says what one fault did on one image.

    Attributes
    ----------
    effect : str
        One of :data:`fault.outcome.effects.EFFECTS`.
    died : str
        One of :data:`fault.outcome.effects.DIED` if masked, else empty.
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


def classify(
    program: Program,
    space: FaultSpace,
    golden: Golden,
    reference: Reference,
    run: GoldenLayer,
    observations: Sequence[Observation],
    alarms: Collection[str] = (),
) -> list[FaultResult]:
    """Results of the faults of one layer and image.

    Parameters
    ----------
    golden : Golden
        With the guard as in the simulation.
    reference : Reference
        Its run on this image.
    alarms : collection of str
        Those that are on beside the range guard's.
    """
    step = next(step for step in program.steps if step.name == run.layer)
    stored = stored_after(program, step)
    clean = {name: tensor(program, name, run.banks) for name in stored}
    differing: list[dict[str, NDArray[np.int8]]] = []
    effects = []
    for observation in observations:
        banks = banks_after(program, space, run, observation)
        codes = {name: tensor(program, name, banks) for name in stored}
        changes = {n: c for n, c in codes.items() if not np.array_equal(c, clean[n])}
        differing.append(changes)
        spreads = observation.ending.clean and step.target in changes
        effects.append(Effect(step, _sparse(clean, changes)) if spreads else Effect())
    outcomes = Propagator(program, None, golden, reference).run(effects)
    verdict = Verdict(program.graph, reference)
    return [
        _result(
            program, space, golden, step, run, observation, verdict.of(outcome.output),
            outcome.alarmed or _raised(golden, run, observation, alarms), step.target in changes,
        )
        for observation, outcome, changes in zip(observations, outcomes, differing, strict=True)
    ]  # fmt: skip


def _sparse(
    clean: Mapping[str, NDArray[np.int8]], changes: Mapping[str, NDArray[np.int8]]
) -> dict[str, tuple[NDArray[np.int64], NDArray[np.int8]]]:
    """Flat indices and codes of what differs."""
    places = {n: np.flatnonzero(codes != clean[n]) for n, codes in changes.items()}
    return {n: (at, changes[n].ravel()[at]) for n, at in places.items()}


def banks_after(
    program: Program, space: FaultSpace, run: GoldenLayer, observation: Observation
) -> NDArray[np.int8]:
    """Returns the activation memories after a faulty run."""
    banks = run.banks.copy()
    for name, words in observation.memories.items():
        held = space[name].held
        if held.role is Role.ACTIVATION_WORDS:
            addresses, values = np.array(words, np.int64).T
            codes = signed(values, program.config.act_bits)
            banks[int(held.place["bank"]), addresses, int(held.place["lane"])] = codes
    return banks


def _raised(
    golden: Golden, run: GoldenLayer, observation: Observation, alarms: Collection[str]
) -> bool:
    """Tells whether an alarm that is on counted more than in the golden run.

    A flip of a counter raises it even where its guard is off and tells nobody.
    """
    end = observation.ending
    return (
        (golden.output_guard is not None and end.guard_output > run.guard_output)
        or (golden.input_guard is not None and end.guard_input > run.guard_input)
        or any(end.alarms.get(name, 0) > run.alarms.get(name, 0) for name in alarms)
    )


def _result(
    program: Program,
    space: FaultSpace,
    golden: Golden,
    step: Step,
    run: GoldenLayer,
    observation: Observation,
    judged: Judgement,
    detected: bool,
    propagated: bool,
) -> FaultResult:
    fault, end = observation.fault, observation.ending
    site = fault.site
    effect, died = judged.effect, ""
    if not end.clean:
        effect = "stopped" if end.ended else "hang"
    elif not effect:
        live = stored_after(program, step)
        if _latent(program, space, () if propagated else live, observation):
            effect = "latent"
        else:
            effect = "masked"
            died = "later_layer" if propagated else _died(program, space, step, observation)
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
        guard_output=end.guard_output,
        guard_input=end.guard_input,
        cycles=end.cycles,
        status=end.status,
        sdc5=judged.sdc5,
        sdc10=judged.sdc10,
        sdc20=judged.sdc20,
    )


def _latent(
    program: Program, space: FaultSpace, live: Sequence[str], observation: Observation
) -> bool:
    """Tells whether something that differs can be read before it is written.

    ``live``: tensors that are still read, unless the golden model has propagated them.
    """
    if any("layer" in space[name].held.live for name in observation.flip_flops):
        return True
    for name, words in observation.memories.items():
        held = space[name].held
        for address, _ in words:
            if held.role is Role.ACTIVATION_WORDS:
                if holds_tensor(program, live, held, address):
                    return True
            elif holds_constants(program, held, np.array([address])):
                return True
    return False


def _died(program: Program, space: FaultSpace, step: Step, observation: Observation) -> str:
    """Returns what ended a masked fault within its layer."""
    site = observation.fault.site
    if site.address is not None:
        words = observation.memories.get(site.signal, [])
        if site.address not in [address for address, _ in words]:
            return "overwritten"
        if space[site.signal].structure != "activation_memory":
            return "never_read"
        if holds_tensor(program, step.reads[:1], space[site.signal].held, site.address):
            return "array"
        if holds_tensor(program, step.reads[1:], space[site.signal].held, site.address):
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
