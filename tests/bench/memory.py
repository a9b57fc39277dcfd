"""Says how much memory this process has, by what is shared (Linux)."""

from pathlib import Path


def memory() -> dict[str, int]:
    """Returns megabytes: ``rss``, resident; ``pss``, shared pages by the number of processes that
    have them; ``anonymous``, of this process alone; ``mapped``, pages of files; ``peak``, resident
    at most.
    """
    rollup = _kilobytes(Path("/proc/self/smaps_rollup"))
    peak = _kilobytes(Path("/proc/self/status"))["VmHWM"]
    anonymous = rollup["Anonymous"]
    found = {
        "rss": rollup["Rss"], "pss": rollup["Pss"], "anonymous": anonymous,
        "mapped": rollup["Rss"] - anonymous, "peak": peak,
    }  # fmt: skip
    return {name: round(value / 1024) for name, value in found.items()}


def _kilobytes(path: Path) -> dict[str, int]:
    lines = (line.split() for line in path.read_text().splitlines())
    return {parts[0][:-1]: int(parts[1]) for parts in lines if parts[-1:] == ["kB"]}
