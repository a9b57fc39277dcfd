"""Processes that work on items: they die, they are replaced, they end at once."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from holdfast.base.errors import HoldfastError
from holdfast.base.pool import in_processes
from tests.base.living import IMPORTABLE, ROOT, gone


def squared(item):
    print("this is no message")
    return item * item


def dying(folder, item):
    """Dies twice on every third item."""
    marks = [folder / f"{item}-{number}" for number in range(2)]
    if item % 3 == 0:
        for mark in marks:
            if not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def failing(item):
    if item == 3:
        raise HoldfastError("no threes.")
    if item == 4:
        raise ZeroDivisionError
    return item


class Odd(Exception):
    """Cannot be unpickled."""

    def __init__(self, first, second):
        super().__init__(f"{first}{second}")


def oddly(item):
    raise Odd("odd", item)


def sleeping(folder, item):
    Path(folder, str(os.getpid())).touch()
    time.sleep(600)


@pytest.mark.parametrize(("count", "processes"), [(0, 2), (1, 3), (9, 1), (9, 4)])
def test_every_item_has_its_result(count, processes):
    found = dict(in_processes(squared, range(count), processes, "died"))
    assert found == {item: item**2 for item in range(count)}


def test_who_dies_is_replaced_and_loses_its_own_item_alone(tmp_path):
    found = [item for item, _ in in_processes(partial(dying, tmp_path), range(7), 2, "died", 6)]
    assert sorted(found) == list(range(7))


def test_who_dies_too_often_is_one_sentence(tmp_path):
    with pytest.raises(HoldfastError, match=r"^they died\.$"):
        list(in_processes(partial(dying, tmp_path), [3], 1, "they died.", 1))


def test_what_is_raised_comes_back():
    with pytest.raises(HoldfastError, match=r"^no threes\.$"):
        list(in_processes(failing, [3], 1, "died"))
    with pytest.raises(ZeroDivisionError) as raised:
        list(in_processes(failing, [4], 1, "died"))
    assert "in failing" in raised.value.__notes__[0]
    with pytest.raises(RuntimeError, match="odd5"):
        list(in_processes(oddly, [5], 1, "died"))


def test_much_is_given_to_one_that_is_killed_while_it_starts(monkeypatch):
    """What is larger than a pipe must not leave the giver waiting for ever."""
    monkeypatch.setattr("holdfast.base.pool._SERVE", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(HoldfastError, match="died"):
        list(in_processes(partial(max, b"x" * (1 << 24)), [b""], 1, "died", 3))


def test_leaving_the_loop_ends_them(tmp_path):
    results = in_processes(partial(sleeping, tmp_path), range(4), 2, "died")
    with contextlib.closing(results), pytest.raises(HoldfastError, match="died"):
        # Waits until both work, then kills one.
        import threading

        def kill_one():
            while len(list(tmp_path.iterdir())) < 2:
                time.sleep(0.02)
            os.kill(int(next(tmp_path.iterdir()).name), signal.SIGKILL)

        threading.Thread(target=kill_one, daemon=True).start()
        next(results)
    assert all(gone(int(path.name)) for path in tmp_path.iterdir())


SCRIPT = """
from functools import partial
from pathlib import Path
from holdfast.base.pool import in_processes
from tests.base.test_pool import doubled
with open("runs", "a") as file:
    file.write("x")
assert sorted(in_processes(doubled, range(4), 2, "died")) == [(n, 2 * n) for n in range(4)]
"""


def doubled(number):
    return 2 * number


def test_a_script_is_not_run_again_by_its_workers(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": IMPORTABLE}
    subprocess.run([sys.executable, "script.py"], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "runs").read_text() == "x"


PARENT = """
import sys
from functools import partial
from holdfast.base.pool import in_processes
from tests.base.test_pool import sleeping
list(in_processes(partial(sleeping, sys.argv[1]), range(4), 2, "died"))
"""


@pytest.mark.parametrize("working", [True, False])
def test_a_killed_parent_leaves_no_worker(tmp_path, working):
    """Neither one that works nor one that starts."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": IMPORTABLE},
    )
    try:
        limit = time.monotonic() + 60
        while len(list(tmp_path.iterdir())) < 2 if working else not _children(parent.pid):
            assert time.monotonic() < limit and parent.poll() is None
            time.sleep(0.01)
        workers = _children(parent.pid)
    finally:
        parent.kill()
        parent.wait()
    assert workers and all(gone(worker) for worker in workers)


def _children(parent):
    lines = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True)
    return [int(line) for line in lines.stdout.split()]
