"""Breaking it: fault spaces, injection into the running RTL, effects, statistics, replay."""
