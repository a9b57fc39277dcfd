"""Text for HTML pages: escaped, unless it is markup already."""

import json
from html import escape
from typing import Any

from .text import printable

__all__ = ["Markup", "html", "script_data"]


class Markup(str):
    """Text that is HTML, made of parts that went through :func:`html`."""

    __slots__ = ()


def html(text: object) -> Markup:
    """Returns text escaped for an element or an attribute in double quotes; markup as it is."""
    return text if isinstance(text, Markup) else Markup(escape(printable(text)))


def script_data(value: Any) -> str:
    """Returns JSON that no text in it can end the script around, or begin another."""
    return json.dumps(value).replace("<", "\\u003c")
