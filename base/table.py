"""The look of tables in the terminal."""

from collections.abc import Collection

from rich.box import SIMPLE
from rich.table import Table


def plain_table(
    title: str, *columns: str, left: Collection[str] = (), gap: int = 0, wrap: bool = False
) -> Table:
    """Returns a table without a frame and without rows.

    Parameters
    ----------
    columns : str
        Headings: texts to the left in the first column, numbers to the right in the others.
    left : collection of str
        Other columns of texts.
    gap : int
        Spaces between columns, beside the one that is always there.
    wrap : bool
        Cells that are too long are broken into lines, not cut.
    """
    table = Table(title=title, box=SIMPLE, pad_edge=False, padding=(0, 0, 0, gap))
    for number, name in enumerate(columns):
        text = number == 0 or name in left
        table.add_column(name, justify="left" if text else "right", no_wrap=not wrap)
    return table
