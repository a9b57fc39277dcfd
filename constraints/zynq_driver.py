"""Holdfast on a Zynq board under PYNQ: needs only numpy and pynq, and the files beside it.

    accelerator = Holdfast.open("holdfast_pynq_z2.bit")
    accelerator.load("resnet8.npz")
    logits = accelerator.run(image)        # uint8 [3, 32, 32]
    accelerator.counters()

This file is copied into the project folder, with ``registers.json`` of the same version.
"""

import json
import time
from pathlib import Path

import numpy as np


class HoldfastBoardError(Exception):
    """The accelerator is another one, refused a run or did not end it."""


class Holdfast:
    """Drives one accelerator.

    Parameters
    ----------
    words
        The accelerator's addresses as an array of 32-bit words, such as ``pynq.MMIO(...).array``.
    facts : dict
        Content of ``registers.json``.

    Raises
    ------
    HoldfastBoardError
        What answers is not the accelerator of ``registers.json``.
    """

    def __init__(self, words, facts):
        self._words = words
        self._facts = facts
        self._network = None
        for name in ("id", "interface"):
            found = self._read(name)
            if found != facts[name]:
                raise HoldfastBoardError(
                    f"register {name} reads {found:#010x}, not {facts[name]:#010x}: the bitstream "
                    "and registers.json are not of the same build."
                )

    @classmethod
    def open(cls, bitstream):
        """Loads a bitstream; ``registers.json`` has to lie beside it."""
        from pynq import MMIO, Overlay

        path = Path(bitstream)
        facts = json.loads((path.parent / "registers.json").read_text())
        Overlay(str(path))
        return cls(MMIO(facts["base"], facts["range"]).array, facts)

    def load(self, network):
        """Write a network, a file that was made for this configuration."""
        with np.load(network) as arrays:
            loaded = {name: arrays[name] for name in arrays.files}
        if int(loaded["interface"]) != self._facts["interface"]:
            raise HoldfastBoardError(f"{network} was made for another configuration.")
        for number in range(int(loaded["writes"])):
            self._write_block(int(loaded[f"address_{number}"]), loaded[f"data_{number}"])
        self._network = loaded

    def run(self, image, limit_s=10.0):
        """Logits, int8 [classes], of an image, uint8 [C, H, W]; waits for the run's end at most
        ``limit_s`` seconds.
        """
        network = self._network
        if not 0 < limit_s < float("inf"):
            raise HoldfastBoardError(f"limit_s must be finite and above 0, not {limit_s}.")
        if network is None:
            raise HoldfastBoardError("no network is loaded.")
        levels = int(network["levels"])
        codes = (image.astype(np.int32).reshape(-1) * levels + 127) // 255 - (levels + 1) // 2
        # Where a byte of the memory holds no pixel it holds a constant.
        source = network["source"]
        data = np.where(source >= 0, codes[source], network["constant"]).astype(np.int8)
        self._write_block(int(network["input_address"]), data.view(np.uint8).view("<u4"))
        for name, value in (("first", 0), ("count", network["count"]), ("ready", 0xFFFF)):
            self._write(name, int(value))
            found = self._read(name)
            if found != int(value):
                raise HoldfastBoardError(
                    f"register {name} reads {found} after {value} was written."
                )
        self._write("control", 1 << self._facts["start_bit"])
        end = time.monotonic() + limit_s
        while self._read("status") & 1:
            if time.monotonic() > end:
                raise HoldfastBoardError(f"the run has not ended after {limit_s} s.")
        status = self._read("status")
        if status >> 8 & 0xFF or not status & 2:
            raise HoldfastBoardError(f"the run ended with status {status:#010x}.")
        first = int(network["output_address"]) // 4
        words = np.array(self._words[first : first + int(network["output_words"])], "<u4")
        return words.view(np.int8)[network["output_bytes"]]

    def counters(self):
        """Returns the last run's clock cycles and where they went."""
        return {name: self._read(name) for name in self._facts["counters"]}

    def _read(self, name):
        return int(self._words[self._facts["registers"][name] // 4])

    def _write(self, name, value):
        self._words[self._facts["registers"][name] // 4] = value

    def _write_block(self, address, words):
        first = address // 4
        self._words[first : first + len(words)] = words
