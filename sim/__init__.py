"""Running it: tools, netlists, Verilator builds, cocotb testbenches and the compiled engine."""

import base.start  # noqa: F401 (before all that takes seconds)
