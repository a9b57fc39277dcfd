"""The host's side: AXI4, or a serial line."""
