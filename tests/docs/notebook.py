"""Executes a notebook's cells in order, without a kernel, and writes their outputs into it.

python -m tests.docs.notebook docs/tutorial.ipynb
"""

import ast
import contextlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

from holdfast.nn.data import cifar


def executed(notebook: dict[str, Any]) -> dict[str, Any]:
    """The notebook with the outputs of its cells."""
    names: dict[str, Any] = {}
    number = 0
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            number += 1
            outputs = _outputs("".join(cell["source"]), names, number)
            cell |= {"execution_count": number, "outputs": outputs}
    return notebook


def _outputs(source: str, names: dict[str, Any], number: int) -> list[dict[str, Any]]:
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    value = None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "cell", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    outputs: list[dict[str, Any]] = []
    if text := printed.getvalue():
        outputs.append({"output_type": "stream", "name": "stdout", "text": text})
    if value is not None:
        shown = getattr(value, "_repr_mimebundle_", dict)()
        data = {"text/plain": f"{type(value).__name__}" if shown else repr(value), **shown}
        outputs.append(
            {"output_type": "execute_result", "execution_count": number, "data": data,
             "metadata": {}}
        )  # fmt: skip
    return outputs


if __name__ == "__main__":
    # Everybody gets the same outputs: of generated images, whatever data are at hand.
    os.environ.pop("HOLDFAST_DATA", None)
    cifar._SHARED = Path("absent")
    path = Path(sys.argv[1])
    found = executed(json.loads(path.read_text(encoding="utf-8")))
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
