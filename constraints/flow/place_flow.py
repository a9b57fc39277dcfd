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
import subprocess
from collections.abc import Callable
from pathlib import Path

from edalize.flows.edaflow import Edaflow, FlowGraph

from holdfast.base.errors import HoldfastError
from holdfast.base.processes import child
from holdfast.constraints.boards import Board

from .eda_tools import SEARCH_PATH, program

__all__ = ["LOG", "NETLIST", "REPORT", "NotInTime", "NotRouted", "PlaceFlow"]

NETLIST = "netlist.json"
REPORT = "report.json"
LOG = "next.log"

_NAME = "top"
_PLACER = {"ecp5": "nextpnr-ecp5", "ice40": "nextpnr-ice40", "gowin": "nextpnr-himbaechel"}
_PACKER = {"ecp5": "ecppack", "ice40": "icepack", "gowin": "gowinpack"}
_PINS = {"ecp5": "LPF", "ice40": "PCF", "gowin": "CST"}
_PLACED = {"ecp5": "config", "ice40": "asc", "gowin": "routed.json"}
_BITSTREAM = {"ecp5": "bit", "ice40": "bin", "gowin": "fs"}


MOST_ITERATIONS = 300
"""Of the router, which mostly needs 40."""

GROWN = 4
"""So many times the fewest conflicts: it goes round in circles."""

_ITERATION = re.compile(r"Info:\s+iter=(\d+) wires=\d+ overused=(\d+) ")
_FEW = 100
_TAIL_BYTES = 4096
_POLL_S = 2.0


class NotRouted(HoldfastError):
    """A placement that the router found no way through; another seed may have one."""


class NotInTime(HoldfastError):
    """All is routed, but the router goes on to look for faster ways that it does not find."""


class PlaceFlow(Edaflow):
    """nextpnr, then the packer, in a folder that holds netlist and pins."""

    argtypes: list[str] = []

    placed: str
    bitstream: str

    def configure_flow(self, flow_options):
        options = self.edam["place"]
        family = options["family"]
        place = {"arch": family, "nextpnr_options": options["nextpnr"]}
        pack: dict[str, object] = {}
        if family == "gowin":
            place |= {"device": options["part"], "device_family": options["device"]}
            pack |= {"device": options["device"]}
        if family == "ecp5":
            pack |= {"ecppack_options": ["--compress"]}
        self.commands.set_default_target(f"{_NAME}.{_BITSTREAM[family]}")
        return FlowGraph.fromdict(
            {
                "nextpnr": {"fdto": place},
                _PACKER[family]: {"deps": ["nextpnr"], "fdto": pack},
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
        """Make a file; nothing is done if it is there and newer than what it is made from.

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
            reason = next(
                (
                    line.removeprefix("ERROR: ")
                    for line in (
                        log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
                    )
                    if line.startswith("ERROR: ")
                ),
                "no reason given",
            )
            raise HoldfastError(
                f"making {args} failed: {reason.rstrip('.')}; {log} has the details."
            )

    @classmethod
    def make(cls, board: Board, folder: Path, seed: int, time_first: bool = True) -> "PlaceFlow":
        """Write the flow's Makefile into a folder that holds `NETLIST` and the board's pin file.

        Parameters
        ----------
        time_first : bool
            On the ECP5, place with more weight on time, and let the router take up what is too
            slow: it never ends where the clock cannot be met.
        """
        options = ["--seed", str(seed), "--freq", f"{board.core_mhz:g}"]
        options += ["--timing-allow-fail", "--report", REPORT]
        device = ""
        if board.family == "gowin":
            device = board.tools[0]
        else:
            options += board.tools
        if board.family == "ecp5":
            # With most block RAMs in use the default, router1, was not done after ten minutes.
            options += ["--router", "router2"]
            if time_first:
                options += ["--placer-heap-timingweight", "30", "--tmg-ripup"]
        edam = {
            "name": _NAME,
            "files": [
                {"name": NETLIST, "file_type": "jsonNetlist"},
                {"name": board.pin_file.name, "file_type": _PINS[board.family]},
            ],
            "place": {
                "family": board.family,
                "part": board.part,
                "device": device,
                "nextpnr": options,
            },
        }
        with contextlib.redirect_stdout(io.StringIO()):
            flow = cls(edam, folder)
            flow.configure()
        flow.placed = f"{_NAME}.{_PLACED[board.family]}"
        flow.bitstream = f"{_NAME}.{_BITSTREAM[board.family]}"
        return flow

    @staticmethod
    def programs(board: Board) -> list[str]:
        """Native names of the tools."""
        packer = {"gowinpack": "gowin_pack"}.get(_PACKER[board.family], _PACKER[board.family])
        return [_PLACER[board.family], packer]


def _tail(log: Path) -> list[str]:
    """The last lines of a log."""
    if not log.is_file():
        return []
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        return stream.read().decode(errors="replace").splitlines()
