"""Pages of mapped files leave the process and come back."""

import sys

import numpy as np
import pytest

from holdfast.base.memory import give_back, unload


def resident(name):
    """Kilobytes of a mapped file that this process has."""
    found, mine = 0, False
    with open("/proc/self/smaps") as lines:
        for line in lines:
            words = line.split()
            if not words[0].endswith(":"):
                mine = name in line
            elif mine and words[0] == "Rss:":
                found += int(words[1])
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_what_is_unloaded_is_read_again(tmp_path):
    given = np.arange(1 << 20)
    np.save(tmp_path / "large.npy", given)
    mapped = np.load(tmp_path / "large.npy", mmap_mode="r")
    assert np.array_equal(mapped, given) and resident("large.npy") > 8000
    unload([mapped, mapped[10:20], given])
    assert resident("large.npy") < 8000
    assert np.array_equal(mapped, given)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc")
def test_what_is_freed_is_given_back():
    def anonymous():
        with open("/proc/self/smaps_rollup") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous"))

    kept = [bytes(5000) for _ in range(40_000)]
    # What lies between is freed.
    kept = kept[::1000]
    before = anonymous()
    give_back()
    assert before - anonymous() > 100_000
    assert len(kept) == 40
