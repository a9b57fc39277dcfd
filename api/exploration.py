"""Networks, arrays and protection, weighed against each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from holdfast.base.cache import Cache
from holdfast.base.errors import HoldfastError
from holdfast.base.extras import needed
from holdfast.base.figures import Figure
from holdfast.base.files import make_folder
from holdfast.base.options import check_range
from holdfast.base.text import shown

__all__ = ["Exploration", "explore"]


@dataclass(frozen=True)
class Exploration:
    """The points of an exploration.

    Attributes
    ----------
    summary : Mapping
        Everything that was measured, as in ``summary.json``.
    """

    summary: Mapping[str, Any]

    def table(self) -> pa.Table:
        """Returns a row for each point; ``front``: no other is better in everything."""
        with needed():
            from holdfast.explore.exploration import objectives
        return pa.Table.from_pylist(
            [
                {"point": p["name"], "network": p["network"], "guard": p["guard"]}
                | objectives(p)
                | {"front": p["front"]}
                for p in self.summary["points"]
            ]
        )

    def figures(self) -> list[Figure]:
        """Returns plots of one measure against another, which a notebook shows."""
        with needed():
            from holdfast.explore.report import figures
        return list(figures(self.summary["points"]))


def explore(
    networks: Sequence[str] = ("resnet8",),
    arrays: Sequence[str] = ("4x4", "8x8"),
    guards: Sequence[str] = ("off", "bound"),
    *,
    folder: str | Path = "build/explore",
    data: str | Path | None = None,
    jobs: int = 2,
    **study: Any,
) -> Exploration:
    """Measures accuracy, failures, area and latency of every network on every accelerator.

    Parameters
    ----------
    networks, arrays, guards : sequence of str
        Names or paths of networks; arrays such as ``8x8``; settings of the range guard.
    folder : str or Path
        Where measurements are kept: what is known is not measured again.
    data : str, Path or None
        CIFAR-10; where there is none, images are generated and no accuracy is measured.
    study : Any
        Further fields of `explore.study.Study`, such as ``faults``, ``targets`` or ``models``.

    Raises
    ------
    HoldfastError
        A value is out of its bounds, or an accelerator cannot hold a network.
    """
    with needed():
        from holdfast.explore.exploration import check_data, missing, plan_points, summarize
        from holdfast.explore.runner import measure
        from holdfast.explore.study import Study
    check_range(1, 256, jobs=jobs)
    for name in study:
        if name not in Study.__dataclass_fields__:
            known = ", ".join(Study.__dataclass_fields__)
            raise HoldfastError(f"a study has no {shown(name)}; it has {known}.")
    chosen = Study(tuple(networks), tuple(arrays), tuple(guards)).changed(**study)
    chosen.points()
    images = None if data is None else Path(data)
    cache = Cache(Path(folder, "cache"))
    make_folder(cache.folder)
    plans = plan_points(chosen, images, Path(folder), cache)
    wanted = missing(plans, cache)
    check_data(wanted, images)
    measure(wanted, cache, jobs)
    return Exploration(summarize(chosen, plans, Cache(cache.folder), Path("build", "bitstream")))
