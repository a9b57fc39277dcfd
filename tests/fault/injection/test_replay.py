import pytest

from holdfast.base.errors import HoldfastError
from holdfast.fault.injection.replay import replay
from holdfast.sim.cocotb.build import build_cocotb
from holdfast.sim.vcd import samples
from tests.fault.tiny import images, netlist, program


@pytest.fixture(scope="module")
def build():
    return build_cocotb(netlist(), waves=True)


def test_first_divergence(build, tmp_path):
    # The product follows the flipped weight one cycle later.
    text = "b/i0/c100/array__pe_0_1__weight[6]"
    again = replay(build, program(), images(), text, tmp_path)
    assert again.result.id == text
    assert [d.signal for d in again.divergence] == ["array__pe_0_1__product"]
    (first,) = again.divergence
    assert first.cycle == 101
    ((_, golden),) = samples(again.golden, [first.signal], [again.begin + 101 * 10 + 8])
    assert golden == {first.signal: first.golden}
    assert first.golden != first.faulty
    assert again.faulty.stat().st_size > 0


@pytest.mark.long
def test_a_flip_that_nothing_reads(build, tmp_path):
    again = replay(build, program(), images(), "b/i0/c100/weights__lane_0[511][0]", tmp_path)
    assert again.divergence == ()
    assert (again.result.effect, again.result.died) == ("masked", "never_read")


def test_a_fault_that_does_not_exist(build, tmp_path):
    with pytest.raises(HoldfastError, match="bit 8 is beyond array__pe_0_1__weight"):
        replay(build, program(), images(), "b/i0/c100/array__pe_0_1__weight[8]", tmp_path)
    assert not list(tmp_path.iterdir())
