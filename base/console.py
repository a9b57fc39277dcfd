"""The terminal: one console, to which text is text, whoever wrote it.

    console.print(marked((name, "bold"), f": {path} written."))

Nothing in a text is markup or a control sequence. Lines are not broken, so that paths can be
copied; tables are cut to the terminal.
"""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.status import Status
from rich.text import Text

from .text import printable


class _Console(Console):
    def __init__(self) -> None:
        super().__init__(markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        # All texts come by here, a table's cells and titles too.
        return super().render_str(_lines(text), **options)

    def print(self, *objects: Any, **options: Any) -> None:
        if all(isinstance(item, str | Text) for item in objects):
            options.setdefault("soft_wrap", True)
        super().print(*objects, **options)

    def status(self, status: Any, **options: Any) -> Status:
        return _Status(status, console=self, **options)


class _Status(Status):
    """Rich's own takes texts for markup."""

    def __init__(self, status: Any, **options: Any) -> None:
        super().__init__(marked(status), **options)

    def update(self, status: Any = None, **options: Any) -> None:
        super().update(None if status is None else marked(status), **options)


def marked(*parts: str | tuple[str, str]) -> Text:
    """Returns a text of parts; a pair is a part and its style, such as ``bold``."""
    pairs = [(part, "") if isinstance(part, str) else part for part in parts]
    return Text.assemble(*((_lines(text), style) for text, style in pairs))


def complain(text: str) -> None:
    """Prints a sentence to standard error, beside the results."""
    print(printable(text), file=sys.stderr)


@contextlib.contextmanager
def told(text: str) -> Iterator[None]:
    """Shows a text on a terminal meanwhile. No more, since a signal restores nothing."""
    shown = sys.stderr.isatty()
    print(text if shown else "", end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        print("\r\033[K" if shown else "", end="", file=sys.stderr, flush=True)


def _lines(text: str) -> str:
    """The text with all that a terminal could obey escaped, but for the ends of lines."""
    return "\n".join(map(printable, text.split("\n")))


console = _Console()
