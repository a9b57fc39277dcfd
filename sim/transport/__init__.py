"""Ways to reach an accelerator: a protocol, its members, and the registry above them."""
