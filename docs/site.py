"""Hooks of the site: the notebook becomes a page, links out of the pages become plain text."""

import json
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

_OUTSIDE = re.compile(r"\[([^\]]+)\]\((\.\./[^)]*)\)")
_NOTEBOOK = Path(__file__).with_name("tutorial.ipynb")


def on_files(files: Any, config: Any) -> Any:
    """Adds the page that the notebook is."""
    text = as_page(json.loads(_NOTEBOOK.read_text("utf-8")))
    files.append(File.generated(config, f"{_NOTEBOOK.stem}.md", content=text))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Replaces ``[text](../file)``, which only a checkout has, and links to the notebook."""
    markdown = markdown.replace(f"]({_NOTEBOOK.name})", f"]({_NOTEBOOK.stem}.md)")
    return _OUTSIDE.sub(lambda link: f"{link[1]} (`{link[2].removeprefix('../')}`)", markdown)


def as_page(notebook: dict[str, Any]) -> str:
    """Returns a notebook as Markdown: texts, code, and what the code gave."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            data = output.get("data", {"text/plain": output.get("text", "")})
            picture = "".join(data.get("image/svg+xml", ""))
            plain = "".join(data["text/plain"])
            parts.append(f"<div>{picture}</div>" if picture else f"```text\n{plain}\n```")
    return "\n\n".join(parts) + "\n"
