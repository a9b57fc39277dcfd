"""An edalize flow from a synthesized netlist to a bitstream: nextpnr and the family's packer.

flow = PlaceFlow.make(board, folder, seed=1)
flow.run(flow.placed)       # top.config, top.asc or top.routed.json, and report.json
flow.run(flow.bitstream)    # top.bit, top.bin or top.fs
"""

import contextlib
import io
import math
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from edalize.flows.edaflow import Edaflow, FlowGraph

from holdfast.base.errors import HoldfastError
from holdfast.base.processes import child
from holdfast.constraints.boards import Board
from holdfast.constraints.families.registry import nextpnr_family

from .eda_tools import SEARCH_PATH, program

NETLIST = "netlist.json"
REPORT = "report.json"
LOG = "next.log"

_NAME = "top"

MOST_ITERATIONS = 300
"""Of the router, which mostly needs 40."""

GROWN = 4
"""So many times the fewest conflicts: it goes round in circles."""

_ITERATION = re.compile(r"Info:\s+iter=(\d+) wires=\d+ overused=(\d+) ")
_FEW = 100
_TAIL_BYTES = 4096
_POLL_S = 2.0


class NotRouted(HoldfastError):
    """Tells of a placement that the router found no way through; another seed may have one."""


class NotInTime(HoldfastError):
    """All is routed, but the router goes on to look for faster ways that it does not find."""


class PlaceFlow(Edaflow):
    """Runs nextpnr, then the packer, in a folder that holds netlist and pins."""

    argtypes: list[str] = []

    placed: str
    bitstream: str

    def configure_flow(self, flow_options):
        options = self.edam["place"]
        self.commands.set_default_target(options["bitstream"])
        return FlowGraph.fromdict(
            {
                "nextpnr": {"fdto": options["nextpnr"]},
                options["packer"]: {"deps": ["nextpnr"], "fdto": options["pack"]},
            }
        )

    def configure_tools(self, graph):
        super().configure_tools(graph)
        # edalize writes the native names.
        for command in self.commands.commands:
            for words in command.commands:
                if words:
                    words[0] = program(words[0])

    def run(self, args=None, said: Callable[[list[str]], None] | None = None):
        """Makes a file; nothing is done if it is there and newer than what it is made from.

        Parameters
        ----------
        said : function, optional
            Is called every two seconds with the last lines of the log.

        Raises
        ------
        NotInTime, NotRouted
            The router does not converge, because of the clock alone, or at all.
        HoldfastError
            A tool failed: names its log.
        """
        if shutil.which("make") is None:
            raise HoldfastError("make is missing; install it with `sudo apt install make`.")
        log = Path(self.work_root, LOG)
        # edalize's own runner cannot be stopped.
        least = math.inf
        with child(
            ["make", args],
            cwd=self.work_root,
            env=os.environ | {"PATH": SEARCH_PATH},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL_S)
                    break
                lines = _tail(log)
                if said is not None:
                    said(lines)
                for found in [*filter(None, map(_ITERATION.match, lines))][-1:]:
                    iteration, conflicts = int(found[1]), int(found[2])
                    least = min(least, conflicts)
                    if iteration > MOST_ITERATIONS and conflicts == 0:
                        raise NotInTime(f"the clock is not met in {iteration} iterations.")
                    if iteration > MOST_ITERATIONS or conflicts > GROWN * max(least, _FEW):
                        raise NotRouted(
                            f"the router found no way in {iteration} iterations, {conflicts} "
                            f"conflicts are left; {log} has them."
                        )
        if process.returncode:
            lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
            errors = [line for line in lines if line.startswith("ERROR: ")]
            reason = errors[0].removeprefix("ERROR: ") if errors else "no reason given"
            raise HoldfastError(
                f"making {args} failed: {reason.rstrip('.')}; {log} has the details."
            )

    @classmethod
    def make(cls, board: Board, folder: Path, seed: int, time_first: bool = True) -> "PlaceFlow":
        """Writes the flow's Makefile into a folder that holds `NETLIST` and the board's pin file.

        Parameters
        ----------
        time_first : bool
            Do all for the clock that the family's tools can.
        """
        family = nextpnr_family(board.family)
        options = ["--seed", str(seed), "--freq", f"{board.core_mhz:g}"]
        options += ["--timing-allow-fail", "--report", REPORT, *family.options(board, time_first)]
        placed, bitstream = (f"{_NAME}.{end}" for end in (family.placed, family.bitstream))
        place = {"arch": family.arch, "nextpnr_options": options} | family.place_settings(board)
        edam = {
            "name": _NAME,
            "files": [
                {"name": NETLIST, "file_type": "jsonNetlist"},
                {"name": board.pin_file.name, "file_type": family.pins},
            ],
            "place": {
                "nextpnr": place,
                "packer": family.packer_tool,
                "pack": family.pack_settings(board),
                "bitstream": bitstream,
            },
        }
        with contextlib.redirect_stdout(io.StringIO()):
            flow = cls(edam, folder)
            flow.configure()
        flow.placed, flow.bitstream = placed, bitstream
        return flow

    @staticmethod
    def programs(board: Board) -> list[str]:
        """Returns the native names of the tools: the placer and the packer."""
        family = nextpnr_family(board.family)
        return [family.placer.native, family.packer.native]


def _tail(log: Path) -> list[str]:
    """The last lines of a log."""
    if not log.is_file():
        return []
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        return stream.read().decode(errors="replace").splitlines()
