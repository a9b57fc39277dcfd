"""Error models at network level."""
