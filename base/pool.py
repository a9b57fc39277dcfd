"""Working on items in processes of their own, which can be ended at any moment.

    with contextlib.closing(in_processes(function, items, 2, "processes died")) as results:
        for item, result in results:
            ...

Unlike those of `concurrent.futures`, the processes end at once when the loop is left, in whatever
way; one that dies is replaced and loses its own item alone, which is done again.
"""

import contextlib
import os
import pickle
import sys
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from multiprocessing import Pipe, spawn
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol, TypeVar

from .errors import HoldfastError
from .processes import child

Item = TypeVar("Item")
Result = TypeVar("Result")

ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), "1")
"""The environment of processes that share the cores: none computes in threads of its own."""

_SERVE = "import sys; sys.path[:] = sys.argv[1:]; from holdfast.base.pool import serve; serve()"


class Queue(Protocol[Item]):
    """Holds what is to be done, as a deque does."""

    def __len__(self) -> int: ...

    def popleft(self) -> Item:
        """Takes what is next."""

    def appendleft(self, item: Item) -> None:
        """Puts back what was taken last."""


def in_processes(
    function: Callable[[Item], Result],
    items: Sequence[Item] | Queue[Item],
    processes: int,
    died: str,
    deaths: int = 0,
) -> Generator[tuple[Item, Result], None, None]:
    """Call a function with every item, and yield both as they are done.

    Parameters
    ----------
    function : Callable
        Is pickled once for every process; items and results are pickled one by one.
    items : sequence or Queue
        A queue may change its mind about what is next.
    died : str
        The sentence for processes that die again and again.
    deaths : int
        Times that they may, without a result in between.

    Raises
    ------
    HoldfastError
        Processes died too often.
    """
    content = pickle.dumps(function)
    # A script that is not meant to be imported would run again.
    main = b"__main__" in content
    if isinstance(items, Sequence):
        main |= b"__main__" in pickle.dumps(items[:1])
        items = deque(items)
    todo = items
    died_now = 0
    with contextlib.ExitStack() as all_of_them:
        workers: dict[Connection, tuple[contextlib.ExitStack, Item]] = {}
        while todo or workers:
            while todo and len(workers) < processes:
                stack = all_of_them.enter_context(contextlib.ExitStack())
                connection = stack.enter_context(_worker(content, main))
                workers[connection] = stack, _give(connection, todo.popleft())
            for connection in [c for c in wait(list(workers)) if isinstance(c, Connection)]:
                stack, item = workers.pop(connection)
                try:
                    done, value = connection.recv()
                except (EOFError, OSError):
                    stack.close()
                    todo.appendleft(item)
                    died_now += 1
                    if died_now > deaths:
                        raise HoldfastError(died) from None
                    continue
                if not done:
                    raise value
                died_now = 0
                if todo:
                    workers[connection] = stack, _give(connection, todo.popleft())
                else:
                    stack.close()
                yield item, value


@contextlib.contextmanager
def _worker(function: bytes, main: bool) -> Iterator[Connection]:
    ours, theirs = Pipe()
    command = [sys.executable, "-c", _SERVE, *sys.path]
    with ours, theirs, child(command, stdout=theirs.fileno(), env=os.environ | ONE_THREAD):
        theirs.close()
        preparation = spawn.get_preparation_data("worker")
        # Only processes of multiprocessing itself may have it.
        preparation.pop("authkey")
        if not main:
            preparation = {k: v for k, v in preparation.items() if not k.startswith("init_main")}
        # One that is dead already is noticed where its result is received.
        with contextlib.suppress(OSError):
            ours.send(preparation)
            ours.send_bytes(function)
        yield ours


def _give(connection: Connection, item: Item) -> Item:
    with contextlib.suppress(OSError):
        connection.send(item)
    return item


def serve() -> None:
    """Serves in a worker: what the other end of standard output asks for."""
    connection = Connection(os.dup(1))
    # What is printed must not come among the messages.
    os.dup2(2, 1)
    # Both before the first import that takes its time: the other end waits until they are read.
    preparation, content = connection.recv(), connection.recv_bytes()
    spawn.prepare(preparation)
    function = pickle.loads(content)
    with contextlib.suppress(EOFError):
        while True:
            connection.send(_answer(function, connection.recv()))


def _answer(function: Callable[[Any], Any], item: Any) -> tuple[bool, Any]:
    try:
        return True, function(item)
    except Exception as error:
        if not isinstance(error, HoldfastError):
            error.add_note(traceback.format_exc())
        try:
            return False, pickle.loads(pickle.dumps(error))
        except Exception:
            return False, RuntimeError(f"{error}\n{traceback.format_exc()}")
