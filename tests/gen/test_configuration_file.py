"""A configuration that names a part which there is not is refused when it is read."""

import pytest

from holdfast.base.errors import HoldfastError
from holdfast.explore.study import Study
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.configuration_file import read_configuration

WRONG = [
    ('dataflow = "weight_stationery"',
     "dataflow must be one of weight_stationary, not 'weight_stationery'."),
    ('protections = ["parity"]',
     "protections are some of learnt_guard, fixed_guard, program_check, "
     "parameter_parity, weight_parity, descriptor_check, schedule_signature, lane_parity, "
     "stationary_parity, not 'parity'."),
]  # fmt: skip


@pytest.mark.parametrize(("line", "told"), WRONG)
def test_a_wrong_name_is_told_with_those_that_there_are(tmp_path, line, told):
    path = tmp_path / "chip.toml"
    path.write_text(line)
    with pytest.raises(HoldfastError) as error:
        read_configuration(path)
    assert str(error.value) == told
    path.write_text(f'networks = ["resnet8"]\n[accelerator]\n{line}')
    with pytest.raises(HoldfastError) as error:
        Study.from_toml(path).points()
    assert str(error.value) == told


def test_a_whole_one_is_read(tmp_path):
    config = AcceleratorConfig(rows=2, learnt_bounds=False)
    (tmp_path / "chip.toml").write_text(config.to_toml())
    assert read_configuration(tmp_path / "chip.toml") == config
