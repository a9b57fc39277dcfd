"""Environment files: their units, and one sentence for each mistake."""

import pytest

from holdfast.base.errors import HoldfastError
from holdfast.fault.model.space import FaultSpace
from holdfast.fault.results.environment import Environment
from tests.fault.tiny import netlist

HEAD = 'format = 1\nsource = "a report"\n'
RATES = "[rates]\nflip_flop = 40\nblock_ram = 70.5\n"


def read(tmp_path, text):
    path = tmp_path / "environment.toml"
    path.write_text(text)
    return Environment.read(path)


@pytest.mark.parametrize(
    ("head", "rate", "fit"),
    [
        # 1e6 bits with 40 failures in 1e9 hours; 2**20 bits; one upset in 1e9 hours is
        # 2.4e-8 a day; 13 particles an hour through 1e-14 cm2 are 1.3e-13 upsets an hour.
        ('unit = "FIT/Mbit"', 40, 4e-5),
        ('unit = "FIT/Mibit"', 1048576, 1.0),
        ('unit = "upsets/bit/day"', 2.4e-8, 1.0),
        ('unit = "cm2/bit"\nflux = 13', 1e-14, 1.3e-4),
    ],
)
def test_units(tmp_path, head, rate, fit):
    text = f"{HEAD}{head}\n[rates]\nflip_flop = {rate}\n"
    assert read(tmp_path, text).fit("weight", memory=False) == pytest.approx(fit)


def test_kinds_of_memories(tmp_path):
    text = f'{HEAD}unit = "FIT/Mbit"\n{RATES}lut_ram = 30\n[memories]\nprogram_memory = "lut_ram"\n'
    found = read(tmp_path, text)
    assert found.fit("program_memory", memory=True) == pytest.approx(3e-5)
    assert found.fit("program_memory", memory=False) == pytest.approx(4e-5)
    assert found.fit("weight_memory", memory=True) == pytest.approx(7.05e-5)
    found.check(FaultSpace.of(netlist()))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('source = "x"\n', "must begin with format = 1, not None"),
        ("format = 2\n", "must begin with format = 1, not 2"),
        ("format = [\n", "is not valid TOML"),
        ('format = 1\nunit = "FIT/Mbit"\n' + RATES, "must name the source of its rates"),
        (HEAD.replace("a report", " ") + 'unit = "FIT/Mbit"\n' + RATES, "must name the source"),
        (HEAD + RATES, "unit must be FIT/Mbit, "),
        (HEAD + 'unit = "FIT"\n' + RATES, "unit must be FIT/Mbit, "),
        (HEAD + 'unit = "FIT/Mbit"\nflux = 3\n' + RATES, "goes without a flux"),
        (HEAD + 'unit = "cm2/bit"\n' + RATES, "needs a flux"),
        (HEAD + 'unit = "cm2/bit"\nflux = -1\n' + RATES, "flux must be 0 to"),
        (HEAD + 'unit = "FIT/Mbit"\n[rates]\nflip_flop = -1\n', "flip_flop must be 0 to"),
        (HEAD + 'unit = "FIT/Mbit"\n[rates]\nflip_flop = nan\n', "flip_flop must be 0 to"),
        (HEAD + 'unit = "FIT/Mbit"\n[rates]\nflip_flop = true\n', "flip_flop must be 0 to"),
        (HEAD + 'unit = "FIT/Mbit"\n[rates]\nflip_flop = 1e99\n', "flip_flop must be 0 to"),
        (HEAD + f'unit = "FIT/Mbit"\n[rates]\nflip_flop = 1{400 * "0"}\n', "flip_flop must be"),
        (HEAD + 'unit = "FIT/Mbit"\n[rates]\nflip_flop = inf\n', "flip_flop must be 0 to"),
        (HEAD + 'unit = ["FIT/Mbit"]\n' + RATES, "unit must be FIT/Mbit, "),
        (HEAD + 'unit = "FIT/Mbit"\n[rates]\nflipflop = 1\n', "kind of bit 'flipflop'"),
        (HEAD + 'unit = "FIT/Mbit"\nrates = 3\n', "rates must be a table"),
        (HEAD + 'unit = "FIT/Mbit"\nrate = 3\n', "key 'rate' is not known"),
        (HEAD + 'unit = "FIT/Mbit"\n[memories]\nram = "lut_ram"\n', "structure 'ram'"),
        (HEAD + 'unit = "FIT/Mbit"\n[memories]\nskew = "flip_flop"\n', "skew must lie in"),
        (HEAD + 'unit = "FIT/Mbit"\ncovered = ["sdc1"]\n', "covered must be a list of"),
        (HEAD + 'unit = "FIT/Mbit"\ncovered = "hang"\n', "covered must be a list of"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, text, message):
    with pytest.raises(HoldfastError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["flip_flop", "block_ram"])
def test_a_kind_that_exists_but_has_no_rate(tmp_path, kind):
    rates = "".join(line for line in RATES.splitlines(True) if not line.startswith(kind))
    found = read(tmp_path, f'{HEAD}unit = "FIT/Mbit"\n{rates}')
    with pytest.raises(HoldfastError, match=f"has no rate of {kind}, in which bits of"):
        found.check(FaultSpace.of(netlist()))
