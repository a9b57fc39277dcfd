"""Many faults, resumable."""
