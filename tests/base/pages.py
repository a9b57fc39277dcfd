"""HTML pages as a browser takes them apart, and texts that would change one if it let them."""

import json
from collections.abc import Collection
from html.parser import HTMLParser
from typing import Any

HOSTILE = "</script></td><b onclick='x' a=\"y\">&lt;<!--<script>\x1b[1m\udcff\n"


def hostile(value: Any, names: Collection[str]) -> Any:
    """JSON in which each of some texts has markup at its end, where it is a key too."""
    if isinstance(value, dict):
        return {hostile(key, names): hostile(part, names) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [hostile(part, names) for part in value]
    return value + HOSTILE if isinstance(value, str) and value in names else value


def parts(page: str) -> tuple[list[tuple[str, list[str]]], str]:
    """Tags with the names of their attributes, and the texts between them."""
    parser = _Parser()
    parser.feed(page)
    parser.close()
    return parser.tags, "".join(parser.texts)


def figures(page: str) -> dict[str, Any]:
    """The plots of a report by name: title and Vega-Lite specification."""
    text = page.split("const FIGURES = ", 1)[1].split(";\n", 1)[0]
    return json.loads(text)


def needs_nothing(page: str) -> bool:
    """Whether it loads nothing from anywhere."""
    parser = _Parser()
    parser.feed(page)
    style = page.split("</style>", 1)[0]
    return all(link.startswith("#") for link in parser.links) and "url(" not in style


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[str]]] = []
        self.texts: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, [name for name, _ in attrs]))
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        self.tags.append((f"/{tag}", []))

    def handle_comment(self, data: str) -> None:
        self.tags.append(("!--", []))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
