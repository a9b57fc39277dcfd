import numpy as np
import pytest
import torch

from holdfast.base.errors import HoldfastError
from holdfast.nn.training.checkpoint import read_checkpoint, write_checkpoint

CONTENT = {"plan": {"epochs": 3}, "epoch": 2, "network": {"w": torch.arange(40.0).reshape(5, 8)}}


@pytest.fixture
def file(tmp_path):
    write_checkpoint(tmp_path / "a.pt", CONTENT)
    return tmp_path / "a.pt"


def test_what_was_written_is_read(file):
    for found in (read_checkpoint(file), torch.load(file, weights_only=True)):
        assert found["plan"] == CONTENT["plan"] and found["epoch"] == 2
        assert torch.equal(found["network"]["w"], CONTENT["network"]["w"])
    assert [path.name for path in file.parent.iterdir()] == ["a.pt"]


def test_no_bit_may_change(file):
    kept = file.read_bytes()
    rng = np.random.default_rng(5)
    positions = {*rng.choice(len(kept), 300, replace=False).tolist(), 0, len(kept) - 1}
    # The weights themselves, of which PyTorch checks nothing.
    begin = kept.index(np.arange(1, 4, dtype=np.float32).tobytes())
    for position in {*positions, *range(begin, begin + 12)}:
        content = bytearray(kept)
        content[position] ^= 1 << int(rng.integers(8))
        file.write_bytes(content)
        with pytest.raises(HoldfastError, match=r"a\.pt is damaged, or no checkpoint of Holdfast"):
            read_checkpoint(file)


@pytest.mark.parametrize(
    "change", [lambda c: c[:-1], lambda c: c[:20], lambda c: b"", lambda c: c + b"x"]
)
def test_no_byte_may_be_missing_or_added(file, change):
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(HoldfastError, match="is damaged"):
        read_checkpoint(file)


def test_what_is_no_checkpoint_is_refused(file):
    torch.save(CONTENT, file)
    with pytest.raises(HoldfastError, match="no checkpoint of Holdfast; delete it to start anew"):
        read_checkpoint(file)
    with pytest.raises(HoldfastError, match=r"cannot read checkpoint .*: No such file"):
        read_checkpoint(file.parent / "b.pt")
