import random

import pytest

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.layout import (
    DESCRIPTOR,
    DESCRIPTOR_STRIDE,
    DESCRIPTOR_WORDS,
    REGISTERS,
    Descriptor,
    parameter_words,
)
from holdfast.gen.window import word_stride

CONFIG = AcceleratorConfig()


def test_fields_do_not_overlap():
    bits = [(field.word, field.offset + bit) for field in DESCRIPTOR for bit in range(field.width)]
    assert len(set(bits)) == len(bits)
    assert all(0 <= bit < 32 for _, bit in bits)
    assert DESCRIPTOR_STRIDE >= DESCRIPTOR_WORDS == DESCRIPTOR[-1].word + 1
    assert DESCRIPTOR_STRIDE & (DESCRIPTOR_STRIDE - 1) == 0


def test_descriptor_round_trip():
    draw = random.Random(0)
    for _ in range(20):
        values = {}
        for field in DESCRIPTOR:
            low = -(1 << field.width - 1) if field.signed else 0
            values[field.name] = draw.randint(low, low + (1 << field.width) - 1)
        words = Descriptor(**values).pack(CONFIG)
        for field in DESCRIPTOR:
            got = words[field.word] >> field.offset & (1 << field.width) - 1
            assert got == values[field.name] & (1 << field.width) - 1, field.name


def test_magic_is_the_signature():
    words = Descriptor().pack(CONFIG)
    assert words[0] & 0xFFFF == CONFIG.signature
    assert not any(words[1:])


@pytest.mark.parametrize("field", DESCRIPTOR, ids=lambda field: field.name)
def test_values_beyond_a_field_are_refused(field):
    low = -(1 << field.width - 1) if field.signed else 0
    high = low + (1 << field.width) - 1
    for value in (low - 1, high + 1):
        message = f"descriptor field {field.name} must be {low} to {high}, not {value}"
        with pytest.raises(ValueError, match=f"^{message}$"):
            Descriptor(**{field.name: value}).pack(CONFIG)


def test_unknown_field():
    with pytest.raises(TypeError, match="unexpected keyword argument 'strides'"):
        Descriptor(strides=1)


def test_parameters():
    words = parameter_words(CONFIG, -5, 0xFFFF, 39, -7, 9)
    assert words == [0xFFFFFFFB, 0xFFFF | 39 << 24, 0xFFF9 | 9 << 16, 0]
    # Bounds saturate to act_bits + 8 bits.
    narrow = AcceleratorConfig(act_bits=4)
    low, high = -(1 << 11), (1 << 11) - 1
    words = parameter_words(narrow, 0, 0, 0, -(1 << 40), 1 << 40)
    assert words[2] == low & 0xFFFF | high << 16


@pytest.mark.parametrize(("lanes", "stride"), [(1, 4), (4, 4), (5, 8), (8, 8), (9, 16), (16, 16)])
def test_word_stride(lanes, stride):
    assert word_stride(lanes) == stride


def test_registers_are_words_of_their_own():
    offsets = [register.offset for register in REGISTERS]
    assert len(set(offsets)) == len(offsets)
    assert all(offset % 4 == 0 for offset in offsets)
