"""Children, and what they start, are gone with whoever started them."""

import signal
import subprocess
import sys

import pytest

from holdfast.base.processes import child, kill, run_tool
from tests.base.living import ROOT, gone, in_session

# A tool as compilers are: it starts others, one of which would leave its session's first behind.
TOOL = ["/bin/sh", "-c", "echo $$; sleep 600 & trap '' INT TERM HUP; sleep 600"]

PARENT = f"""
import sys, threading
from holdfast.base.processes import run_tool
threading.Thread(target=lambda: run_tool({TOOL!r}, capture=False)).start()
"""


def test_a_tool_runs_as_it_would_alone(tmp_path):
    done = run_tool(["/bin/sh", "-c", "pwd; cat; echo $A >&2; exit 7"], tmp_path, env={"A": "b c"})
    assert (done.returncode, done.stdout, done.stderr) == (7, f"{tmp_path}\n", "b c\n")
    assert run_tool(["/bin/sh", "-c", "kill -9 $$"]).returncode == -signal.SIGKILL
    assert run_tool(["no-such-program"]).returncode == 127


def test_arguments_are_given_as_they_are():
    odd = ["", " a  b", "$HOME", "'\"", "-x", "\n", "*"]
    code = "import sys; print(sys.argv[1:])"
    done = run_tool([sys.executable, "-c", code, *odd])
    assert done.stdout == f"{odd}\n"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_parent_leaves_nothing(number):
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE)
    session = int(parent.stdout.readline())
    assert len(in_session(session)) >= 2
    parent.send_signal(number)
    parent.wait()
    assert gone(session)


def test_the_block_ends_what_is_left_of_a_child():
    with child(TOOL, stdout=subprocess.PIPE) as process:
        session = int(process.stdout.readline())
        assert session == process.pid
    assert gone(session)
    with child(["/bin/sh", "-c", "sleep 600 >/dev/null & echo $$"], stdout=subprocess.PIPE) as left:
        session = int(left.stdout.readline())
        left.wait()
    assert gone(session)


def test_an_error_in_the_block_ends_the_child():
    with pytest.raises(KeyboardInterrupt), child(TOOL, stdout=subprocess.PIPE) as process:
        raise KeyboardInterrupt
    assert gone(process.pid)


def test_a_limit_of_time():
    with pytest.raises(subprocess.TimeoutExpired):
        run_tool(["sleep", "600"], timeout=0.2)


def test_children_of_threads_end_and_none_follows():
    code = f"""
import threading, time
from holdfast.base.processes import Ending, end_children, run_tool
said = []
def run():
    said.append(run_tool({TOOL!r}, capture=False).returncode)
    try:
        run_tool(["true"])
    except Ending:
        said.append("ending")
threads = [threading.Thread(target=run) for _ in range(3)]
for thread in threads:
    thread.start()
time.sleep(1)
end_children()
for thread in threads:
    thread.join()
print(sorted(map(str, said)))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == str(["-9"] * 3 + ["ending"] * 3), done.stderr
    for session in done.stdout.splitlines()[:3]:
        assert gone(int(session))


def test_no_child_holds_anothers_pipe():
    """Its watcher would wait for both."""
    with child(["sleep", "600"], stdout=subprocess.DEVNULL) as first:
        with child(["sleep", "600"], stdout=subprocess.DEVNULL):
            kill(first)
            with child(["true"]) as short:
                short.wait()
            assert gone(short.pid) and gone(first.pid)
