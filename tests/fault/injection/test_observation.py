"""What needs no simulator loads none: a process that lives on compiled code and tables."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.base.living import IMPORTABLE

ROOT = Path(__file__).parents[3]


def modules(*folders):
    """The modules in folders, by their names."""
    files = [path for folder in folders for path in sorted((ROOT / folder).glob("[!_]*.py"))]
    return [".".join(("holdfast", *p.relative_to(ROOT).with_suffix("").parts)) for p in files]


@pytest.mark.long(keep=1)
@pytest.mark.parametrize(
    ("name", "absent"),
    [
        ("holdfast.fault.campaign.workers", {"cocotb", "cocotb_tools"}),
        ("holdfast.fault.campaign.cluster", {"cocotb", "cocotb_tools"}),
        (modules("fault/results"), {"cocotb", "cocotb_tools"}),
        (modules("explore/measurements"), {"cocotb", "cocotb_tools"}),
        (modules("fault/campaign", "fault/calibration"), {"cocotb"}),
    ],
    ids=["worker", "cluster", "results", "measurements", "campaign"],
)
def test_no_simulator_is_loaded(name, absent):
    names = [name] if isinstance(name, str) else name
    assert names
    program = "import sys\n" + "".join(f"import {name}\n" for name in names)
    program += "print(*{name.partition('.')[0] for name in sys.modules})"
    environment = os.environ | {"PYTHONPATH": IMPORTABLE}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
        env=environment,
    )  # fmt: skip
    assert not absent.intersection(done.stdout.split())
