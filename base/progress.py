"""The progress bars of commands that take a while."""

from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

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

__all__ = ["Progress", "TaskID", "progress_bar", "tracked", "training_bar"]

Item = TypeVar("Item")


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
    """What is done of how much, a ``rate`` that a task may have as a field, and the time."""
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
