"""The compiled engine against a bare C++ loop around the same Verilated model, and its build time.

Both run the same network from the same state, in turns; seconds are those of the CPU.
"""

import resource
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from holdfast.sim.compiled.build import compile_model, compiled_flags
from holdfast.sim.compiled.bus import CompiledBus
from holdfast.sim.compiled.model import CompiledModel
from holdfast.sim.driver import Accelerator
from holdfast.sim.netlist.accelerator import accelerator_netlist
from holdfast.sim.registers import REGISTER, control_word
from holdfast.sim.verilate import compile_sources, link

from .networks import Network, fit

_ROUNDS = 5


def measure(network: Network, rows: int, cols: int) -> dict[str, Any]:
    """An entry of the JSON: speeds in simulated cycles per second, and seconds of the build.

    The build is from the netlist, without cache: Verilator and the C++ compiler.
    """
    program = fit(network.graph, rows, cols)
    netlist = accelerator_netlist(program.config)
    with tempfile.TemporaryDirectory(prefix="holdfast-") as temporary:
        folder = Path(temporary)
        began, before = time.perf_counter(), _children()
        objects = compile_model(netlist, folder)
        build, build_cpu = time.perf_counter() - began, _children() - before
        source = folder / "bare.cpp"
        source.write_text(Path(__file__).with_name("bare.cpp").read_text())
        bare = [*compile_sources([source], folder, compiled_flags(netlist)), *objects]
        link(bare, folder / "bare", ["-pthread"])

        model = CompiledModel(netlist)
        model.reset()
        bus = CompiledBus(model)
        host = Accelerator(bus)
        host.load(program)
        host.run(network.codes)
        cycles = host.counters()["cycles"]
        # The state behind the start write, as in every run.
        bus.write_word(REGISTER["control"], control_word(start=True, interrupt=True))
        started = model.snapshot()
        # What lies before the first port or register belongs to the instance.
        first = min(place.offset for place in model.native().places.values())
        (folder / "state").write_bytes(started.data.tobytes())
        left = model.run_until("interrupt", 1, 2 * cycles)
        assert left is not None and left <= cycles

        speeds: list[tuple[float, float]] = []
        for _ in range(_ROUNDS):
            before, began = model.cycles, time.process_time()
            host.run(network.codes)
            ours = (model.cycles - before) / (time.process_time() - began)
            command = ["./bare", "state", str(first), str(left)]
            seconds = float(subprocess.run(command, cwd=folder, check=True, capture_output=True,
                                           text=True).stdout)  # fmt: skip
            speeds.append((ours, left / seconds))
    ours, bare_speed = (statistics.median(column) for column in zip(*speeds, strict=True))
    return {
        "network": network.name,
        "cycles_per_s": round(ours),
        "bare_cycles_per_s": round(bare_speed),
        "vs_bare": round(ours / bare_speed, 3),
        "build_s": round(build, 1),
        "build_cpu_s": round(build_cpu, 1),
        "rounds": [[round(left), round(right)] for left, right in speeds],
    }


def _children() -> float:
    """Seconds of CPU of programs that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
