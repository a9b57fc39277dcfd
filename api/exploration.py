"""Networks, arrays and protection, weighed against each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from holdfast.base.errors import HoldfastError
from holdfast.base.extras import needed
from holdfast.base.figures import Figure
from holdfast.base.options import check_whole
from holdfast.base.text import shown

from .given import path_of


@dataclass(frozen=True)
class Exploration:
    """Holds the points of an exploration.

    Attributes
    ----------
    summary : Mapping
        Everything that was measured, as in ``summary.json``.
    """

    summary: Mapping[str, Any]

    def table(self) -> pa.Table:
        """Returns a row for each point; ``front``: no other is better in everything."""
        with needed():
            from holdfast.explore.objectives.registry import OBJECTIVES
        rows = []
        for point in self.summary["points"]:
            row = {key: point[key] for key in ("name", "network", "guard", "front")}
            for name, objective in OBJECTIVES.items():
                found = objective.value(point)
                row[name] = None if found is None else found.value
            rows.append(row)
        return pa.Table.from_pylist(rows)

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
    cache: str | Path | None = None,
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
        For files of synthesis.
    cache : str, Path or None
        Where measurements are kept: what is known is not measured again. By default they are with
        those of ``holdfast explore``.
    data : str, Path or None
        CIFAR-10; where there is none, images are generated and no accuracy is measured.
    study : Any
        Further fields of `explore.study.Study`, such as ``faults``, ``targets`` or ``models``.

    Raises
    ------
    HoldfastError
        A value is out of its bounds or of another kind, or an accelerator cannot hold a network.
    RuntimeError
        Plain RTL disagrees with a campaign, which is a mistake of Holdfast.
    """
    with needed():
        from holdfast.explore import exploration
        from holdfast.explore.study import Study, typed
    check_whole(1, 256, jobs=jobs)
    study |= {"networks": networks, "arrays": arrays, "guards": guards}
    for name in study:
        if name not in Study.__dataclass_fields__:
            known = ", ".join(Study.__dataclass_fields__)
            raise HoldfastError(f"a study has no {shown(name)}; it has {known}.")
    chosen = Study(**{n: typed(n, value) for n, value in study.items() if value is not None})
    found = exploration.explore(
        chosen,
        data=path_of("data", data),
        folder=path_of("folder", folder) or Path("build", "explore"),
        cache=path_of("cache", cache),
        jobs=jobs,
    )
    if wrong := exploration.disagreements(found):
        raise RuntimeError(f"plain RTL disagrees with the campaign in {', '.join(wrong)}")
    return Exploration(found)
