"""The parts of a benchmark's JSON file, each written as soon as it is measured."""

import hashlib
import json
from pathlib import Path
from typing import Any

from holdfast.base.files import write_atomically
from holdfast.gen import config


class Parts:
    """A JSON file of parts that were measured on one design.

    A file that is already there keeps its parts if the generator's sources are still the same.

    Parameters
    ----------
    path : Path
        The file.
    """

    def __init__(self, path: Path):
        self.path = path
        sources = sorted(Path(config.__file__).parent.rglob("*.py"))
        design = hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()
        self.content: dict[str, Any] = {"design": design[:16]}
        if path.is_file():
            before = json.loads(path.read_text())
            if before.get("design") == self.content["design"]:
                self.content = before

    def __getitem__(self, part: str) -> Any:
        return self.content.setdefault(part, {})

    def write(self) -> None:
        """Write the file, whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, json.dumps(self.content, indent=1).encode())
