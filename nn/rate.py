"""The speed column of the progress bars of training."""

from rich.progress import ProgressColumn, Task
from rich.text import Text

__all__ = ["Rate"]


class Rate(ProgressColumn):
    """Images per second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:.0f} images/s")
