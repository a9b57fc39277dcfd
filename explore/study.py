"""Says what an exploration weighs: a grid of networks, arrays and guard settings, from TOML."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from holdfast.base import options
from holdfast.base.errors import HoldfastError
from holdfast.base.files import check_path, read_toml
from holdfast.base.text import printable, shown
from holdfast.constraints.families.registry import FAMILIES
from holdfast.explore.measurements.model_faults import named_model
from holdfast.explore.measurements.networks import load
from holdfast.fault.model.space import STRUCTURES
from holdfast.fault.sampling.plan import MOST_FAULTS
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.configuration_file import checked
from holdfast.nn.compiler.configuration import configuration
from holdfast.nn.data.choice import MOST_IMAGES
from holdfast.nn.graph.guard_modes import GUARDS
from holdfast.nn.graph.shipped import network_file

_ARRAY = re.compile(r"(\d{1,3})x(\d{1,3})", re.ASCII)
_OWN = ("rows", "cols", "act_bits", "weight_bits", "multiplier_bits", "rounding", "guard",
        "learnt_bounds")  # fmt: skip
"""Fields of a configuration that the grid and the network decide."""


@dataclass(frozen=True)
class Point:
    """Makes one choice of everything.

    Attributes
    ----------
    network : Path
    label : str
        The network's name in tables.
    config : AcceleratorConfig
        With the guard in the netlist that the setting needs.
    guard : str
        A setting of `nn.graph.guard_modes.GUARDS`.
    """

    network: Path
    label: str
    config: AcceleratorConfig
    guard: str

    @property
    def name(self) -> str:
        """Returns network, array and guard."""
        return f"{self.label} {self.config.rows}x{self.config.cols} {self.guard}"


@dataclass(frozen=True)
class Study:
    """A grid, and how well its points are measured.

    Parameters
    ----------
    networks : tuple of str
        Shipped networks, or paths of .safetensors files, which say their own widths.
    arrays : tuple of str
        Rows x columns, such as ``8x8``.
    guards : tuple of str
        Settings of the range guard, or modes of other protections. The first is what the others are
        compared with; learnt bounds, fixed bounds and every other protection are netlists with
        faults of their own, each compared with its first.
    targets : tuple of str
        FPGA families, of `constraints.families.registry.FAMILIES`; the first is what plots show.
    faults : int
        Faults of a campaign, equal ones under every guard setting of a netlist; 0: no campaigns.
    minimum : int
        Least faults of a structure.
    structures : tuple of str
        Structures to hit; empty: all.
    images : int
        Images that every fault is injected into.
    models : tuple of str
        Fault models at network level, as `named_model` reads them.
    model_images : int
        Images for those.
    seed : int
    audit : float
        Share of a campaign's faults that plain RTL computes again.
    accelerator : dict
        Further fields of `gen.config.AcceleratorConfig`, such as memory depths.

    Raises
    ------
    HoldfastError
        A value is outside its bounds, or names what does not exist.
    """

    networks: tuple[str, ...] = ("resnet8", "resnet20")
    arrays: tuple[str, ...] = ("4x4", "8x8", "16x16")
    guards: tuple[str, ...] = ("off", "bound")
    targets: tuple[str, ...] = ("ecp5",)
    faults: int = 2000
    minimum: int = 50
    structures: tuple[str, ...] = ()
    images: int = 1
    models: tuple[str, ...] = ("single-flip",)
    model_images: int = 2000
    seed: int = 1
    audit: float = 0.001
    accelerator: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        options.check_whole(0, MOST_FAULTS, faults=self.faults, minimum=self.minimum)
        options.check_whole(1, MOST_IMAGES, images=self.images, model_images=self.model_images)
        options.check_whole(0, options.LAST_SEED, seed=self.seed)
        options.check_range(0, 1, audit=self.audit)
        for name, known in (("guards", GUARDS), ("targets", FAMILIES), ("structures", STRUCTURES)):
            for value in getattr(self, name):
                if value not in known:
                    raise HoldfastError(
                        f"{name} has an unknown {shown(value)}; known are {', '.join(known)}."
                    )
        for name in ("networks", "arrays", "guards", "targets", "models", "structures"):
            values = getattr(self, name)
            if name not in ("models", "structures") and not values:
                raise HoldfastError(f"{name} must not be empty.")
            for value in values:
                if values.count(value) > 1:
                    raise HoldfastError(f"{name} has {shown(value)} twice.")
        for text in self.networks:
            check_path("a network", Path(text))
        for text in self.arrays:
            _size(text)
        for text in self.models:
            named_model(text, self.seed)
        for name in self.accelerator:
            if name in _OWN:
                raise HoldfastError(
                    f"accelerator.{name} is decided by the network, the array and the guard."
                )
            if name not in {f.name for f in fields(AcceleratorConfig)}:
                raise HoldfastError(f"accelerator has an unknown key {shown(name)}.")

    @classmethod
    def from_toml(cls, path: Path) -> "Study":
        """Reads a study; missing keys take their defaults, paths are as seen from the file's
        folder.

        Raises
        ------
        HoldfastError
            The file is missing, is not TOML, or holds an unknown key or a bad value.
        """
        values = read_toml(path, "study")
        known = {f.name: f for f in fields(cls)}
        for key, value in values.items():
            if key not in known:
                raise HoldfastError(
                    f"study {printable(path)} has an unknown key {shown(key)}; "
                    f"known are {', '.join(known)}."
                )
            values[key] = typed(key, value, f"study {printable(path)}: ")
        if "networks" in values:
            values["networks"] = tuple(_beside(path, name) for name in values["networks"])
        return cls(**values)

    def points(self) -> list[Point]:
        """Returns every combination, the guard changing fastest.

        Raises
        ------
        HoldfastError
            A network is unknown or damaged, or two have one name; an array is out of bounds.
        """
        files: dict[str, Path] = {}
        for name in self.networks:
            path = network_file(name)
            if path.stem in files:
                raise HoldfastError(f"two networks are called {path.stem}; rename a file.")
            files[path.stem] = path
        return list(self._points(files))

    def _points(self, files: Mapping[str, Path]) -> Iterator[Point]:
        for label, path in files.items():
            for text in self.arrays:
                config = configuration(load(path), None, *_size(text))
                for guard in self.guards:
                    chosen = checked(with_guard(config.with_(**self.accelerator), [guard]))
                    yield Point(path, label, chosen, guard)

    def as_json(self) -> dict[str, Any]:
        """Returns all values."""
        return asdict(self)

    def changed(self, **values: Any) -> "Study":
        """A copy with those values that are not None."""
        return replace(self, **{k: v for k, v in values.items() if v is not None})


def with_guard(config: AcceleratorConfig, settings: Collection[str]) -> AcceleratorConfig:
    """The accelerator whose guard can do what all of these settings need."""
    needed = [GUARDS[name] for name in settings if name != "off"]
    own = dict.fromkeys(guard.protection.name for guard in needed if guard.protection)
    ranges = [guard for guard in needed if not guard.protection]
    fixed = bool(ranges) and all(guard.fixed for guard in ranges)
    protections = tuple(dict.fromkeys((*config.protections, *own)))
    return config.with_(guard=bool(ranges), learnt_bounds=not fixed, protections=protections)


def _size(text: str) -> tuple[int, int]:
    found = _ARRAY.fullmatch(text)
    if found is None:
        raise HoldfastError(f"an array is ROWSxCOLS, such as 8x8, not {shown(text)}.")
    rows, cols = int(found[1]), int(found[2])
    AcceleratorConfig(rows=rows, cols=cols)
    return rows, cols


def typed(key: str, value: Any, where: str = "") -> Any:
    """A study's value of the kind that its default has.

    Raises
    ------
    HoldfastError
        It is of another kind; the sentence begins with ``where``.
    """
    default = getattr(Study, key, {})
    if isinstance(default, tuple):
        good = isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)
        wanted = "a list of texts"
        value = tuple(value) if good else value
    elif isinstance(default, dict):
        good, wanted = isinstance(value, dict), "a table"
    else:
        kinds = (int, float) if isinstance(default, float) else (int,)
        good = isinstance(value, kinds) and not isinstance(value, bool)
        wanted = "a number" if isinstance(default, float) else "an integer"
    if not good:
        raise HoldfastError(f"{where}{key} must be {wanted}, not {shown(value)}.")
    return value


def _beside(path: Path, name: str) -> str:
    """A network's path as seen from here; shipped names stay."""
    return str(path.parent / name) if name.endswith(".safetensors") else name
