"""Says what measurements have in common: what tells one from another is read from their fields."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from holdfast.base.cache import file_hash
from holdfast.base.sources import source_hash
from holdfast.base.versions import computing
from holdfast.gen.config import AcceleratorConfig

from .images import data_identity


class Measured:
    """A measurement that is a dataclass; by it the cache finds a result again."""

    def subject(self) -> dict[str, Any]:
        """Returns all fields as plain data: files and data by their content."""
        return {f.name: _plain(f.name, getattr(self, f.name)) for f in fields(self)}  # type: ignore[arg-type]

    def version(self) -> str:
        """Returns a hash of the sources and tools that the result comes from."""
        return source_hash(type(self).__module__) + str(computing())


def _plain(name: str, value: Any) -> Any:
    if name == "data":
        return data_identity(value)
    if isinstance(value, AcceleratorConfig):
        return value.values
    return file_hash(value) if isinstance(value, Path) else value
