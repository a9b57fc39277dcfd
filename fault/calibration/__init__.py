"""Error models from campaigns."""
