import numpy as np
import pytest

from holdfast.nn.graph.pixels import image_codes, pixel_codes


@pytest.mark.parametrize("bits", range(2, 9))
def test_nearest_code_of_every_pixel(bits):
    pixels = np.arange(256, dtype=np.uint8)
    codes = pixel_codes(pixels, bits).tolist()
    assert image_codes(pixels, bits).tolist() == codes
    levels = 2**bits - 1
    for pixel, code in enumerate(codes):
        assert abs((code + 2 ** (bits - 1)) / levels - pixel / 255) <= 0.5 / levels
    assert (codes[0], codes[255]) == (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def test_eight_bits_shift_the_pixel():
    assert image_codes(np.array([0, 1, 254], np.uint8), 8).tolist() == [-128, -127, 126]
