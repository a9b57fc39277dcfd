"""Running it: tools, netlists, Verilator builds, cocotb testbenches and the compiled engine."""

from holdfast.base import start  # noqa: F401 (before all that takes seconds)
