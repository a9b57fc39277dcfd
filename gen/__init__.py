"""What the hardware is: configuration, Amaranth units, descriptors, Verilog emission."""

import base.start  # noqa: F401 (before all that takes seconds)
