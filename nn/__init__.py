"""What the hardware computes: data, networks, quantization, integer graph, golden model."""
