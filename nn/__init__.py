"""Says what the hardware computes: data, networks, quantization, integer graph, golden model."""

from holdfast.base import start  # noqa: F401 (before all that takes seconds)
