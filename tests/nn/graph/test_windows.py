"""Windows over changed pixels, against slices of padded images."""

import itertools

import numpy as np
import pytest

from holdfast.nn.graph.windows import Windows


def padded(codes, padding):
    return np.pad(codes, ((padding,) * 2, (padding,) * 2, (0, 0)), constant_values=9)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation", "offset"),
    [
        ((1, 1), 1, 0, 1, 0), ((3, 3), 1, 1, 1, 0), ((3, 3), 2, 1, 1, 0), ((1, 3), 2, 2, 2, 0),
        ((3, 1), 1, 0, 1, 1), ((2, 2), 2, 0, 1, 0), ((1, 1), 2, 0, 1, 1), ((5, 7), 1, 0, 1, 0),
    ],
)  # fmt: skip
def test_windows_of_changed_pixels(kernel, stride, padding, dilation, offset):
    draw = np.random.default_rng(3)
    golden = draw.integers(-128, 128, (5, 7, 3)).astype(np.int8)
    height, width = (
        (size + 2 * padding - offset - dilation * (k - 1) - 1) // stride + 1
        for size, k in zip((5, 7), kernel, strict=True)
    )
    windows = Windows(
        padded(golden, padding), kernel, (height, width), stride, padding, dilation, offset
    )
    changed = {
        0: [0], 1: [34], 2: [6, 28], 3: list(range(35)), 4: draw.permutation(35)[:4].tolist(),
    }  # fmt: skip
    image = np.concatenate([[i] * len(pixels) for i, pixels in changed.items()])
    pixel = np.concatenate(list(changed.values()))
    codes = draw.integers(-128, 128, (len(pixel), 3)).astype(np.int8)

    def cut(tensor, y, x):
        rows = offset + y * stride + np.arange(kernel[0]) * dilation
        columns = offset + x * stride + np.arange(kernel[1]) * dilation
        return tensor[np.ix_(rows, columns)].ravel()

    wanted = {}
    for number in changed:
        tensor, marks = golden.copy(), np.zeros((5, 7, 1), int)
        for p, code in zip(pixel[image == number], codes[image == number], strict=True):
            tensor[p // 7, p % 7], marks[p // 7, p % 7] = code, 1
        marks = np.pad(marks, ((padding,) * 2, (padding,) * 2, (0, 0)))
        for y, x in itertools.product(range(height), range(width)):
            if cut(marks, y, x).any():
                found = cut(padded(tensor, padding), y, x)
                wanted[number, y * width + x] = found.tolist()
    parts = list(windows.changed(image, pixel, codes, 5))
    found = {
        (int(i), int(p)): row.tolist()
        for images, pixels, rows in parts
        for i, p, row in zip(images, pixels, rows, strict=True)
    }
    assert found == wanted
    assert list(found) == sorted(found)
    whole = np.concatenate(list(windows.golden()))
    spots = itertools.product(range(height), range(width))
    assert whole.tolist() == [cut(padded(golden, padding), y, x).tolist() for y, x in spots]


def test_blocks_leave_nothing_out(monkeypatch):
    monkeypatch.setattr("holdfast.nn.graph.windows._BLOCK", 9 * 4)
    golden = np.arange(2 * 36, dtype=np.int8).reshape(6, 6, 2)
    windows = Windows(padded(golden, 1), (3, 3), (6, 6), 1, 1)
    parts = list(windows.changed(np.zeros(1, int), np.array([14]), np.ones((1, 2), np.int8), 1))
    assert [len(rows) for _, _, rows in parts] == [2, 2, 2, 2, 1]
    spots = np.concatenate([pixels for _, pixels, _ in parts])
    assert spots.tolist() == [7, 8, 9, 13, 14, 15, 19, 20, 21]
