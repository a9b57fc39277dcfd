"""Breaking it: fault spaces, injection into the running RTL, effects, statistics, replay."""

import base.start  # noqa: F401 (before all that takes seconds)
