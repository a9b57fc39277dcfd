"""The header and the reference page: written, current, and right."""

import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.documents import DOCUMENTS, c_header, reference
from holdfast.gen.layout import (
    CONTROL,
    DESCRIPTOR,
    DESCRIPTOR_WORDS,
    REGISTERS,
    Descriptor,
    Region,
    Status,
    parameter_words,
)
from holdfast.gen.window import word_stride

ROOT = Path(__file__).parents[2]
CONFIG = AcceleratorConfig()

PROGRAM = """
#include <stdio.h>
#include "holdfast.h"

int main(void)
{
    uint32_t words[HOLDFAST_DESCRIPTOR_WORDS] = {0};
    unsigned index;
    @STATEMENTS@
    for (index = 0; index < HOLDFAST_DESCRIPTOR_WORDS; index++)
        printf("%lu\\n", (unsigned long)words[index]);
    @VALUES@
    return 0;
}
"""


@pytest.mark.parametrize("path", DOCUMENTS)
def test_written_document_is_current(path):
    assert (ROOT / path).read_text() == DOCUMENTS[path](), f"{path} is stale: run nox -s generate"


def c_values(folder, compiler, statements=(), values=()):
    """Compile and run a program that prints a descriptor and further values."""
    (folder / "holdfast.h").write_text(c_header())
    printed = [f'printf("%lu\\n", (unsigned long)({value}));' for value in values]
    text = PROGRAM.replace("@STATEMENTS@", "\n    ".join(statements))
    (folder / "main.c").write_text(text.replace("@VALUES@", "\n    ".join(printed)))
    flags = ["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror"]
    subprocess.run([compiler, *flags, "main.c", "-o", "main"], cwd=folder, check=True)
    output = subprocess.run([folder / "main"], capture_output=True, text=True, check=True).stdout
    numbers = [int(line) for line in output.split()]
    return numbers[:DESCRIPTOR_WORDS], numbers[DESCRIPTOR_WORDS:]


@pytest.fixture
def compiler():
    found = shutil.which("cc") or shutil.which("gcc")
    if found is None:
        pytest.skip("no C compiler")
    return found


def test_header_packs_descriptors(tmp_path, compiler):
    source = random.Random(1)
    chosen = {}
    for field in DESCRIPTOR:
        low = -(1 << field.width - 1) if field.signed else 0
        chosen[field.name] = source.randint(low, low + (1 << field.width) - 1)
    statements = [
        f"HOLDFAST_SET(words, {name.upper()}, {value});" for name, value in chosen.items()
    ]
    words, _ = c_values(tmp_path, compiler, statements)
    assert words == Descriptor(**chosen).pack(CONFIG)


def test_header_holds_addresses_bits_and_codes(tmp_path, compiler):
    expected = {f"HOLDFAST_REG_{r.name.upper()}": r.offset for r in REGISTERS}
    expected |= {f"HOLDFAST_REGION_{r.name}": r << 22 for r in Region}
    expected |= {f"HOLDFAST_CODE_{status.name}": status for status in Status}
    expected |= {f"HOLDFAST_CONTROL_{name.upper()}": 1 << bit for name, bit in CONTROL.items()}
    expected |= {"HOLDFAST_REGION_BANK(3)": (Region.ACTIVATIONS + 3) << 22}
    expected |= {f"HOLDFAST_STRIDE({lanes})": word_stride(lanes) for lanes in range(1, 31)}
    status = 0x1234_0805
    expected |= {
        f"HOLDFAST_STATUS_BUSY({status})": 1,
        f"HOLDFAST_STATUS_DONE({status})": 0,
        f"HOLDFAST_STATUS_REFUSED({status})": 1,
        f"HOLDFAST_STATUS_CODE({status})": Status.PROGRAM_ADDRESS,
        f"HOLDFAST_STATUS_INDEX({status})": 0x1234,
        f"HOLDFAST_LINK_WORDS({status})": 0x1234,
    }
    bias, scale, bounds, _ = parameter_words(CONFIG, -5, 40000, 17, -300, 299)
    expected |= {
        "HOLDFAST_PARAMETER_BIAS(-5)": bias,
        "HOLDFAST_PARAMETER_SCALE(40000, 17)": scale,
        "HOLDFAST_PARAMETER_BOUNDS(-300, 299)": bounds,
    }
    _, values = c_values(tmp_path, compiler, values=expected)
    assert values == [int(value) for value in expected.values()]


def test_reference_names_everything():
    text = reference()
    names = [r.name for r in REGISTERS] + [f.name for f in DESCRIPTOR] + list(CONTROL)
    for name in names + [status.name for status in Status]:
        assert f"| `{name}` |" in text, name


def test_tables_are_well_formed():
    for table in re.findall(r"(?:^\|.*\n)+", reference(), re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1
