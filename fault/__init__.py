"""Breaking it: fault spaces, injection into the running RTL, effects, statistics, replay."""

from holdfast.base import start  # noqa: F401 (before all that takes seconds)
