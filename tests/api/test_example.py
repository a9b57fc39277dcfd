"""The example of the package's docstring, with smaller numbers."""

import textwrap

import holdfast.api
from holdfast.api import Estimate


def test_the_example_answers_its_question_in_under_fifteen_lines(place):
    text = holdfast.api.__doc__.split("\n\n")
    code = textwrap.dedent("\n".join(part for part in text if part.startswith("    ")))
    assert len(code.splitlines()) < 15
    for written, small in (
        ('"resnet8"', '"small.safetensors"'),
        ("rows=8, cols=8", 'config="chip.toml"'),
        ("faults=20_000", "faults=60, minimum=5"),
    ):
        assert written in code
        code = code.replace(written, small)
    names = {}
    exec(code, names)
    campaign = names["campaign"]
    assert isinstance(campaign.sdc1, Estimate) and campaign.sdc1.low <= campaign.sdc1.high
    assert campaign.table()["structure"].to_pylist()[-1] == "total"
