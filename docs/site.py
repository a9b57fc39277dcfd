"""Hooks of the site: links to files outside of the pages become plain text."""

import re

_OUTSIDE = re.compile(r"\[([^\]]+)\]\((\.\./[^)]*)\)")


def on_page_markdown(markdown: str, **_: object) -> str:
    """Replaces ``[text](../file)``, which only a checkout has."""
    return _OUTSIDE.sub(lambda link: f"{link[1]} (`{link[2].removeprefix('../')}`)", markdown)
