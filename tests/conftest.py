"""Long tests run with ``--all``, as CI does: ``nox -s tests -- --all``."""

import os
from collections import Counter

import pytest

from holdfast.base.pool import ONE_THREAD

# Two workers of pytest share two cores, and small tensors are no work for threads.
os.environ.update(ONE_THREAD)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="Run the long tests as well.")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the long tests, of which ``keep`` parameter sets are run."""
    # Who names a test, or chooses by a mark, wants what is named.
    if config.getoption("--all") or config.getoption("-m") != "not slow":
        return
    if any("::" in argument for argument in config.args):
        return
    kept: Counter[str] = Counter()
    chosen, left = [], []
    for item in items:
        mark = item.get_closest_marker("long")
        function = item.nodeid.partition("[")[0]
        kept[function] += not item.get_closest_marker("slow")
        enough = mark is not None and kept[function] > mark.kwargs.get("keep", 0)
        (left if enough else chosen).append(item)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = chosen
