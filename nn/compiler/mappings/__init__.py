"""Says how a dataflow's array is told to compute a layer; a member is a file."""
