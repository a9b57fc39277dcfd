"""Says what the hardware is: configuration, Amaranth units, descriptors, Verilog emission."""

from holdfast.base import start  # noqa: F401 (before all that takes seconds)
