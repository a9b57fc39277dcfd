"""Long tests run with ``--all``, as CI does: ``nox -s tests -- --all``."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="Run the long tests as well.")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # Who names a test, or chooses by a mark, wants what is named.
    if config.getoption("--all") or config.getoption("-m") != "not slow":
        return
    if any("::" in argument for argument in config.args):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("long")]
