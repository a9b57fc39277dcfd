import io

from rich.console import Console

from holdfast.base.table import plain_table


def shown(table, width=60):
    stream = io.StringIO()
    Console(file=stream, width=width).print(table)
    return [line.rstrip() for line in stream.getvalue().rstrip().splitlines()]


def test_texts_to_the_left_and_numbers_to_the_right():
    table = plain_table("Title", "name", "n", "why", left=("why",), gap=1)
    table.add_row("a", "7", "x")
    table.add_row("bcdef", "123", "yz")
    assert [line.strip() for line in shown(table)] == [
        "Title", "", "name     n  why", "───────────────", "a        7  x", "bcdef  123  yz",
    ]  # fmt: skip


def test_long_cells_are_cut_or_broken():
    for wrap, lines in ((False, 1), (True, 2)):
        table = plain_table("", "name", "n", wrap=wrap)
        table.add_row("some words that are too long", "7")
        assert sum("o" in line for line in shown(table, 24)) == lines
