"""What the hardware computes: data, networks, quantization, integer graph, golden model."""

import base.start  # noqa: F401 (before all that takes seconds)
