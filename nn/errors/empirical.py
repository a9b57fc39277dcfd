"""The calibrated fault model: what a campaign saw upsets do to layers, drawn again at any network.

    calibration = Calibration.load(path)
    chances = calibration.chances(layers)        # corrupted layers per upset, [structure, layer]
    faults = CalibratedFaults(path, rate=1.0)    # every image has one corrupted layer

Rates. An upset of structure s corrupts layer l with probability ``r[s, kind(l)] * e[s, l]``: e is
the layer's exposure (`exposure`), r what the campaign measured, corruptions per exposed upset.

Patterns. Every corruption that the campaign recorded is a template: the change of each wrong sum
before the requantizer, bias included (``sum``), or of each wrong output code (``code``), by output
channel within its group of array columns and pixel. A drawn template goes to a random output
channel; one of a single pixel to a random pixel, any other is stretched over the layer's map. A
code changes as the nearest golden code in its template did.
"""

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from holdfast.base.errors import HoldfastError
from holdfast.base.files import write_atomically
from holdfast.nn.graph.graph import narrowed
from holdfast.nn.networks.spec import Network

from .base import RatedModel, replaced
from .calibration_file import FORMAT, HEADER, read_calibration
from .exposure import KINDS, ArrayShape, LayerWork, exposures, network_work
from .templates import Placed, Templates


@dataclass
class Calibration:
    """Holds a fitted model.

    Attributes
    ----------
    bits : dict of int
        Bits of every structure that it covers, in the order of the templates' indices.
    counts : dict
        By structure: ``faults``, injected into images, and ``corrupted`` by kind of layer.
    rates : float64 [structure, kind]
        Corrupted layers per upset and exposure.
    array : ArrayShape
    act_bits, weight_bits, acc_bits : int
        Of the hardware that was struck.
    guard : dict
        Settings of the range guard in the campaign.
    provenance : dict
        Campaigns it comes from.
    """

    bits: dict[str, int]
    counts: dict[str, dict[str, Any]]
    rates: NDArray[np.float64]
    templates: Templates
    array: ArrayShape
    act_bits: int
    weight_bits: int
    acc_bits: int
    guard: dict[str, bool | str]
    provenance: dict[str, Any]

    @property
    def structures(self) -> tuple[str, ...]:
        return tuple(self.bits)

    def chances(self, layers: Sequence[LayerWork]) -> NDArray[np.float64]:
        """Returns the probability that an upset of a structure, at any time of an inference,
        corrupts a layer, [structure, layer].
        """
        share = exposures(layers, self.array)
        rates = self.rates[:, kind_indices(layers).numpy()]
        return rates * np.array([share[name] for name in self.structures])

    def draw(
        self, structure: Tensor, kind: Tensor, templates: Templates, generator: torch.Generator
    ) -> Tensor:
        """Returns a template for every pair of structure and kind of layer, int64."""
        group = templates.structure * len(KINDS) + templates.kind
        sizes = torch.bincount(group, minlength=len(self.bits) * len(KINDS))
        first = sizes.cumsum(0) - sizes
        wanted = structure * len(KINDS) + kind
        # In double precision: below 2**53 templates the last is never exceeded.
        at = torch.rand(
            wanted.shape, generator=generator, dtype=torch.float64, device=wanted.device
        )
        return first[wanted] + (at * sizes[wanted]).long()

    def place(
        self,
        drawn: Tensor,
        shape: tuple[int, int, int],
        templates: Templates,
        generator: torch.Generator,
    ) -> Placed:
        """Puts templates into a layer of ``shape`` (C, H, W), each at random."""
        channels, height, width = shape
        device = drawn.device
        uniform = torch.rand(
            (3, len(drawn)), generator=generator, dtype=torch.float64, device=device
        )
        limits = torch.tensor([[channels], [height], [width]], device=device)
        corner = (uniform * limits).long()

        count = templates.begin[drawn + 1] - templates.begin[drawn]
        owner, within = _expanded(count)
        element = templates.begin[drawn][owner] + within
        column, y, x, change = (
            part[element].long()
            for part in (templates.channel, templates.y, templates.x, templates.change)
        )
        first, last = (
            torch.full((3, len(drawn)), fill, device=device).scatter_reduce(
                1, owner.expand(3, -1), torch.stack([column, y, x]), how
            )
            for fill, how in ((1 << 40, "amin"), (-1, "amax"))
        )
        single = (first == last)[:, owner]
        tile = corner[0] - corner[0] % self.array.cols
        channel = torch.where(single[0], corner[0][owner], tile[owner] + column)
        point = single[1] & single[2]

        # A pixel becomes those whose nearest it is: rows from ceil(y * H / Hs) on.
        spans = []
        for at, size, source in ((y, height, templates.height), (x, width, templates.width)):
            whole = source[drawn][owner]
            begin = -(-at * size // whole)
            spans.append((begin, torch.where(point, 1, -(-(at + 1) * size // whole) - begin)))
        (top, rows), (left, cols) = spans
        parent, nth = _expanded(rows * cols)
        ny, nx = nth // cols[parent], nth % cols[parent]
        draw = owner[parent]
        y = torch.where(point[parent], corner[1][draw], top[parent] + ny)
        x = torch.where(point[parent], corner[2][draw], left[parent] + nx)
        placed = Placed(draw, channel[parent], y, x, change[parent])
        inside = placed.channel < channels
        return Placed(*(part[inside] for part in placed))

    def save(self, path: Path) -> None:
        """Writes the file."""
        header = {name: getattr(self, name) for name in HEADER}
        header |= {"format": FORMAT, "array": vars(self.array), "rates": self.rates.tolist()}
        stream = io.BytesIO()
        arrays = {
            name: narrowed(value.numpy(), np.int16, np.int32)
            for name, value in self.templates.arrays().items()
        }
        arrays["header"] = np.array(json.dumps(header))
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
        write_atomically(path, stream.getvalue())

    @classmethod
    def load(cls, path: Path) -> "Calibration":
        """Reads a file.

        Raises
        ------
        HoldfastError
            There is none, it is damaged, or it is of another format.
        """
        header, arrays = read_calibration(path)
        fields = {name: header[name] for name in HEADER}
        fields["array"] = ArrayShape(**fields["array"])
        fields["rates"] = np.array(fields["rates"], np.float64)
        kinds: dict[str, Any] = {"code": np.bool_, "gain": np.float32}
        kinds |= dict.fromkeys(("channel", "y", "x", "golden", "change"), np.int32)
        templates = Templates(
            **{
                name: torch.from_numpy(value.astype(kinds.get(name, np.int64)))
                for name, value in arrays.items()
            }
        )
        return cls(**fields, templates=templates)


class CalibratedFaults(RatedModel):
    """Corruptions as a campaign saw them, one layer of an image at a time.

    The layer, the structure whose upset is behind it and the template are drawn as likely as upsets
    spread evenly over all bits of the modelled structures and all cycles of an inference make them.
    The gradient passes as if nothing had happened. Learnt bounds of the network clip faulty sums.

    Parameters
    ----------
    path : Path
        File of `Calibration.save`.
    rate : float
        Probability that one layer of an image is corrupted.

    Raises
    ------
    HoldfastError
        From `Calibration.load`; the network's activations have another width.
    """

    name = "calibrated"
    parameter = "FILE"
    needs_parameter = True
    covers_dense_and_pooling = True

    @classmethod
    def named(cls, parameter: str | None, rate: float, seed: int) -> RatedModel:
        path = Path(parameter or "")
        if not path.name:
            raise HoldfastError(f"{cls.name}: needs the name of a file behind it.")
        model = cls(path, rate, seed)
        model.content = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        return model

    def __init__(self, path: Path, rate: float, seed: int = 0) -> None:
        super().__init__(rate, seed)
        self.path = path
        self.calibration = Calibration.load(path)
        self._templates: dict[torch.device, Templates] = {}
        self._spec: Network | None = None
        self._layers: list[LayerWork] = []
        self._hits: dict[str, tuple[Tensor, Tensor]] = {}

    def bind(self, spec: Network) -> None:
        if spec is not self._spec:
            self._spec, self._layers = spec, network_work(spec)
            bits = np.array(list(self.calibration.bits.values()), float)[:, None]
            self._chances = torch.from_numpy(self.calibration.chances(self._layers) * bits)

    def start(self, sizes: Any, images: int, bits: int, device: torch.device) -> None:
        if bits != self.calibration.act_bits:
            raise HoldfastError(
                f"{self.path} was fitted on activations of {self.calibration.act_bits} bits, this "
                f"network's have {bits}."
            )
        generator = self.generator(device)
        if device not in self._templates:
            self._templates[device] = self.calibration.templates.to(device)
        struck = torch.rand(images, generator=generator, device=device) < self.rate
        image = struck.nonzero().flatten()
        self._hits = {}
        chances = self._chances.flatten().to(device)
        if not len(image) or not float(chances.sum()):
            return
        drawn = torch.multinomial(chances, len(image), replacement=True, generator=generator)
        structure, layer = drawn // len(self._layers), drawn % len(self._layers)
        kinds = kind_indices(self._layers).to(device)
        templates = self._templates[device]
        chosen = self.calibration.draw(structure, kinds[layer], templates, generator)
        for number in layer.unique().tolist():
            here = layer == number
            self._hits[self._layers[number].name] = image[here], chosen[here]

    def sums(
        self,
        values: Tensor,
        macs: int,
        bits: int,
        name: str = "",
        unit: Callable[[], Tensor] | None = None,
    ) -> Tensor:
        found = self._placed(values, name, code=False)
        if found is None or unit is None:
            return values
        placed, where, which = found
        gain = self._templates[values.device].gain[which]
        with torch.no_grad():
            there = values.detach()[where].float()
            change = placed.change * unit()[placed.channel]
            moved = there * gain + change
        return replaced(values, where, moved)

    def stored(
        self, name: str, values: Tensor, scale: Tensor, zero_point: int, bits: int
    ) -> Tensor:
        found = self._placed(values, name, code=True)
        if found is None:
            return values
        _, where, which = found
        half = 1 << bits - 1
        with torch.no_grad():
            codes = (values.detach()[where] / scale).round().long() + zero_point
            codes = self._templates[values.device].changed(which, codes)
            moved = (codes.clamp(-half, half - 1) - zero_point) * scale
        return replaced(values, where, moved)

    def _placed(
        self, values: Tensor, name: str, code: bool
    ) -> tuple[Placed, tuple[Tensor, ...], Tensor] | None:
        if name not in self._hits:
            return None
        image, chosen = self._hits[name]
        templates = self._templates[values.device]
        right = templates.code[chosen] == code
        image, chosen = image[right], chosen[right]
        if not len(image):
            return None
        shape = values.shape[1], values.shape[2], values.shape[3]
        generator = self.generator(values.device)
        placed = self.calibration.place(chosen, shape, templates, generator)
        where = image[placed.owner], placed.channel, placed.y, placed.x
        return placed, where, chosen[placed.owner]


def kind_indices(layers: Sequence[LayerWork]) -> Tensor:
    """Returns indices into `nn.errors.exposure.KINDS`, int64."""
    return torch.tensor([KINDS.index(layer.kind) for layer in layers])


def _expanded(count: Tensor) -> tuple[Tensor, Tensor]:
    """For each of ``sum(count)`` parts: which entry it belongs to, and its number there."""
    owner = torch.repeat_interleave(count)
    return owner, torch.arange(len(owner), device=count.device) - (count.cumsum(0) - count)[owner]
