"""The progress bars of commands that take a while."""

import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol, TypeVar

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from .console import console, marked

__all__ = ["Progress", "TaskID", "Tell", "progress_bar", "rated", "tracked", "training_bar",
           "unseen"]  # fmt: skip

Item = TypeVar("Item")


class Tell(Protocol):
    """Takes what is done so far, and what the rate is of if that is another count."""

    def __call__(self, done: int, count: float | None = None) -> None: ...


class _Description(ProgressColumn):
    def render(self, task: Task) -> Text:
        return marked(task.description)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return marked(str(task.fields.get("rate", "")))


class _Images(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:.0f} images/s")


def progress_bar(transient: bool = False) -> Progress:
    """Shows what is done of how much, a ``rate`` that a task may have as a field, and the time."""
    return Progress(
        _Description(),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=transient,
    )


@contextmanager
def rated(what: str, total: int, rate: str) -> Iterator[Tell]:
    """A bar with a rate, such as ``{:,.0f} faults/s``, of what is done or of another count."""
    began = time.monotonic()
    with progress_bar() as progress:
        task = progress.add_task(what, total=total, rate="")

        def tell(done: int, count: float | None = None) -> None:
            each = (done if count is None else count) / max(time.monotonic() - began, 1e-9)
            progress.update(task, completed=done, rate=rate.format(each))

        yield tell


def unseen(what: str, total: int, rate: str) -> AbstractContextManager[Tell]:
    """Takes the place of :func:`rated` where nobody looks."""
    return nullcontext(lambda done, count=None: None)


def training_bar(period: float = 30) -> Progress:
    """Images per second, over so many seconds, and the time that is left."""
    return Progress(
        _Description(),
        BarColumn(),
        _Images(),
        TimeRemainingColumn(),
        console=console,
        speed_estimate_period=period,
    )


def tracked(items: Iterable[Item], what: str, transient: bool = False) -> Iterator[Item]:
    """The items one by one, with a bar of how many are done."""
    total = len(items) if isinstance(items, Sized) else None
    with progress_bar(transient) as progress:
        task = progress.add_task(what, total=total)
        for item in items:
            yield item
            progress.advance(task)
