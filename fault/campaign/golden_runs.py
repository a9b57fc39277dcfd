"""Golden runs of a campaign's images, by RTL and by the golden model, and the liveness tables of
their registers.

    golden_runs(job)                            # into the job's folder, once
    table = liveness_table(job, 0, session)     # of the first image; analysed if it has to be

The cache keeps tables for other campaigns, compressed to a hundredth. In the job's folder they lie
as they are mapped.
"""

import contextlib
import os
import shutil
import zlib
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from holdfast.base.artefact import made
from holdfast.base.cache import digest
from holdfast.base.errors import HoldfastError
from holdfast.base.memory import give_back
from holdfast.base.sources import source_hash
from holdfast.fault.analysis.liveness import LivenessParts, LivenessTable, part_length
from holdfast.fault.injection.session import RtlSession
from holdfast.fault.injection.trace import Trace
from holdfast.fault.model.space import FaultSpace
from holdfast.nn.graph.reference import Reference
from holdfast.sim.netlist.netlist import Netlist
from holdfast.sim.verilate import cache_place, cached

from .manifest import images_hash, program_hash
from .spec import CONTROL, CampaignSpec

_MOST = 256
"""Tables that the cache keeps; most have less than a megabyte."""
_PACKED = ".z"


def golden_runs(job: CampaignSpec) -> None:
    """Records the golden runs that are not yet, or not whole, in the job's folder."""
    assert job.golden is not None
    shared: list[RtlSession] = []

    def record(number: int, folder: Path) -> None:
        if not shared:
            shared.append(RtlSession(job.program, job.netlist, job.guard, job.spacing))
        codes = job.codes[number]
        shared[0].record(codes).save(folder)
        Reference.computed(job.guard.golden(job.program.graph), codes).save(folder)

    for number in range(len(job.codes)):
        made(job.golden / f"{number}", partial(record, number))


def liveness_tables(job: CampaignSpec) -> None:
    """Makes the tables of all images, where the job uses any."""
    if job.golden is not None and job.watches_registers:
        session = RtlSession(job.program, job.netlist, job.guard, job.spacing)
        for number in range(len(job.codes)):
            session.golden = Trace.load(job.golden / f"{number}")
            liveness_table(job, number, session)


def liveness_table(job: CampaignSpec, number: int, session: RtlSession) -> LivenessTable:
    """The table of an image, whose golden run is the session's: of the job's folder, of the cache,
    or made now.
    """
    assert job.golden is not None
    trace = session.golden
    length = part_length(job.netlist)
    begins = range(0, trace.cycles, length)
    parts = [_part(job, number, part) for part in range(len(begins))]
    make = cache(lambda: LivenessParts(job.netlist, session.lockstep, watched(job.netlist)))

    def analyse(folder: Path) -> None:
        for part in range(len(parts)):
            _make_part(job, number, part, make)
        sizes = (min(length, trace.cycles - begin) for begin in begins)
        tables = [LivenessTable.load(*each) for each in zip(parts, sizes, strict=True)]
        LivenessTable.joined(tables).save(folder)

    folder = made(_table(job, number), partial(_taken, job, number, analyse))
    make.cache_clear()
    for part in parts:
        shutil.rmtree(part, ignore_errors=True)
    give_back()
    return LivenessTable.load(folder, trace.cycles)


def liveness_part(
    job: CampaignSpec, number: int, part: int, make: Callable[[], LivenessParts]
) -> None:
    """Makes a part of an image's table, for whoever joins them, unless the table is there."""
    assert job.golden is not None
    key = _key(job, number)
    if not (_table(job, number).is_dir() or cache_place("liveness", key).is_dir()):
        _make_part(job, number, part, make)
    give_back()


def _make_part(
    job: CampaignSpec, number: int, part: int, make: Callable[[], LivenessParts]
) -> None:
    made(_part(job, number, part), lambda folder: make()[part].save(folder))


def _table(job: CampaignSpec, number: int) -> Path:
    assert job.golden is not None
    return job.golden / f"{number}-dormant"


def _part(job: CampaignSpec, number: int, part: int) -> Path:
    return _table(job, number).with_name(f"{number}-dormant-{part}")


def watched(netlist: Netlist) -> dict[str, None]:
    """Registers without a closed form, in order."""
    space = FaultSpace.of(netlist)
    members = (state for name in CONTROL for state in space.members(name))
    return {state.signal: None for state in members if state.kind == "flip-flop"}


def _key(job: CampaignSpec, number: int) -> list[str]:
    """All that a table depends on."""
    codes = images_hash(job.codes[number])
    guard = digest(job.guard.values)
    sources = source_hash("holdfast.fault.campaign.golden_runs")
    return [job.netlist.hash, program_hash(job.program), codes, guard, sources]


def _taken(job: CampaignSpec, number: int, analyse: Callable[[Path], None], folder: Path) -> None:
    """Fills a folder with the cache's table of an image."""

    def pack(place: Path) -> None:
        analyse(place)
        for path in [*place.iterdir()]:
            packed = zlib.compress(path.read_bytes(), 1)
            path.with_name(path.name + _PACKED).write_bytes(packed)
            path.unlink()

    try:
        place = cached("liveness", _key(job, number), pack)
    except (HoldfastError, OSError):
        # A cache that cannot be written costs time, not the campaign.
        analyse(folder)
        return
    for path in place.glob(f"*{_PACKED}"):
        (folder / path.stem).write_bytes(zlib.decompress(path.read_bytes()))
    with contextlib.suppress(OSError):
        os.utime(place)
    _forget(place.parent)


def _forget(tables: Path) -> None:
    """Removes the tables that were not used for longest."""
    with contextlib.suppress(OSError):
        found = [path for path in tables.iterdir() if path.is_dir() and "." not in path.name]
        for path in sorted(found, key=lambda path: path.stat().st_mtime)[:-_MOST]:
            shutil.rmtree(path, ignore_errors=True)
