"""Says what an objective is: something that a point is weighed by, such as accuracy or area."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from holdfast.base import options
from holdfast.base.cache import Measurement
from holdfast.base.statistics import Estimate
from holdfast.explore.study import Point, Study


@dataclass(frozen=True)
class Request:
    """A point, and how it is to be measured.

    Attributes
    ----------
    data : Path or None
        CIFAR-10, as in `nn.data.cifar.find_data`.
    folder : Path
        For files of synthesis.
    resident : bool
        Whether all weights fit on chip.
    """

    study: Study
    point: Point
    data: Path | None
    folder: Path
    resident: bool


class Objective:
    """Something that points are weighed by; a new one is a file beside this and a registry entry.

    Attributes
    ----------
    name : str
        In summaries and options.
    title, heading : str
        In sentences and on axes; over columns of terminals.
    unit : str
    scale : float
        By what values are multiplied to have that unit.
    larger : bool
        Whether more is better.
    exact : bool
        Whether values have no interval.
    whole : bool
        Whether values are whole numbers.
    digits : int
        That are shown of those which are not.
    bounds : tuple of float
        Of a limit that a budget may set, as values.
    limit : str
        The name of that limit, without ``min`` or ``max``.
    unlimited : object
        What its option is when it is not given.
    """

    name: str
    title: str
    heading: str
    unit: str = ""
    scale: float = 1
    larger: bool = False
    exact: bool = False
    whole: bool = False
    digits: int = 4
    bounds: tuple[float, float] = (0, 10**15)
    limit: str
    unlimited: Any = None

    def measurements(self, request: Request) -> Mapping[str, Measurement | str]:
        """Returns what it needs measured of a point, by name; a text says why it cannot be."""
        return {}

    def facts(self, request: Request, results: Mapping[str, Any]) -> dict[str, Any]:
        """Returns what it adds to a point's plain data, from the measurements' results."""
        return {}

    def value(self, point: Mapping[str, Any], target: str = "") -> Estimate | None:
        """Reads the value, with its 95 % interval, from a point's plain data.

        Parameters
        ----------
        target : str
            FPGA family; empty: the study's first.

        Returns
        -------
        Estimate or None
            None: it was not measured.
        """
        raise NotImplementedError

    @property
    def axis(self) -> str:
        """Returns the title and unit."""
        return f"{self.title}, {self.unit}" if self.unit else self.title

    @property
    def option(self) -> str:
        """Returns the option of the limit: ``--min-accuracy``."""
        return f"--{'min' if self.larger else 'max'}-{self.limit}"

    def parameter(self) -> Any:
        """Returns the annotation of the limit's option."""
        kind: Any = int if self.whole else float
        check: Any = options.whole if self.whole else options.number
        what = f"{'Least' if self.larger else 'Most'} {self.axis}"
        end = "" if self.exact else f"; the {'lower' if self.larger else 'upper'} end counts"
        return Annotated[kind | None, check(*self.bounds, f"{what}{end}.")]

    def read(self, given: Any) -> float | None:
        """Reads a limit as it was given."""
        return given

    def cell(self, value: Estimate) -> str:
        """Returns a value for a narrow column."""
        return self.text(value.value)

    def text(self, value: float | None) -> str:
        """Returns a value without its unit."""
        if value is None:
            return "not measured"
        return f"{value:,.0f}" if self.whole else f"{self.scale * value:.{self.digits}g}"

    def told(self, value: float) -> str:
        """Returns a value, or the end of its interval that counts, in words."""
        unit = f" {self.unit}" if self.unit else ""
        if self.exact:
            return f"{self.text(value)}{unit} {self.title}"
        return f"{self.title} at {'least' if self.larger else 'most'} {self.text(value)}{unit}"


def of_guard(result: Mapping[str, Any] | None, guard: str) -> dict[str, Any] | None:
    """Returns what a measurement of several guard settings says of one."""
    if result is None:
        return None
    own = {key: part for key, part in result.items() if key != "guards"}
    return {**own, **result["guards"][guard]}
