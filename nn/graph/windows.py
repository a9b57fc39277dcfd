"""Gathers the windows of a layer that slide over changed pixels of its input."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int8]
Ints = NDArray[np.int64]

_BLOCK = 1 << 19
"""Bytes of windows that are gathered at once: they stay in the processor's cache."""


@dataclass(frozen=True)
class Windows:
    """Gathers the windows of a layer on one image, and on others that differ in some pixels.

    Attributes
    ----------
    image : int8 [H, W, C]
        The golden input, padded.
    kernel, output : (int, int)
        Rows and columns of a window, and of the layer's output.
    """

    image: Codes
    kernel: tuple[int, int]
    output: tuple[int, int]
    stride: int
    padding: int
    dilation: int = 1
    offset: int = 0

    def golden(self) -> Iterator[Codes]:
        """Yields the golden image's windows, [n, kernel * C], in the order of output pixels."""
        found = np.arange(self.output[0] * self.output[1])
        return (windows for _, _, windows in self._blocks(self.image[None], found))

    def changed(
        self, image: Ints, pixel: Ints, codes: Codes, count: int
    ) -> Iterator[tuple[Ints, Ints, Codes]]:
        """Yields the windows that hold changed pixels: image, output pixel, codes [n, kernel * C].

        Parameters
        ----------
        image, pixel, codes : int64 [n], int64 [n], int8 [n, C]
            The changed pixels of ``count`` images.
        """
        height, width, _ = self.image.shape
        images = np.repeat(self.image[None], count, 0)
        marks = np.zeros((count, height, width), bool)
        y, x = np.divmod(pixel, width - 2 * self.padding)
        place = image, y + self.padding, x + self.padding
        images[place] = codes
        marks[place] = True
        yield from self._blocks(images, np.flatnonzero(self._touched(marks)))

    def _touched(self, marks: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Output pixels whose window has a marked pixel, [images, H, W] each."""
        for axis, (size, count) in enumerate(zip(self.kernel, self.output, strict=True), 1):
            starts = (self.offset + k * self.dilation for k in range(size))
            ends = (count - 1) * self.stride + 1
            cuts = [
                marks[(slice(None),) * axis + (slice(start, start + ends, self.stride),)]
                for start in starts
            ]
            marks = cuts[0].copy()
            for cut in cuts[1:]:
                marks |= cut
        return marks

    def _blocks(self, images: Codes, found: Ints) -> Iterator[tuple[Ints, Ints, Codes]]:
        _, height, width, channels = images.shape
        image, pixel = np.divmod(found, self.output[0] * self.output[1])
        row, column = np.divmod(pixel, self.output[1])
        first = image * (height * width) + (row * self.stride + self.offset) * width
        first += column * self.stride + self.offset
        down, across = (np.arange(size) * self.dilation for size in self.kernel)
        within = (down[:, None] * width + across).ravel()
        spots = images.view(f"V{channels}").ravel()
        size = max(1, _BLOCK // (len(within) * channels))
        for begin in range(0, len(found), size):
            part = slice(begin, begin + size)
            codes = spots.take(first[part, None] + within).view(np.int8)
            yield image[part], pixel[part], codes
