"""The state of the simulated netlist in a cocotb testbench, read and written as a whole.

cocotb's handles cost microseconds each; what lies below them costs a tenth of one, which is what
makes it possible to compare and restore every bit after every fault. The fault itself is injected
through the ordinary handles.
"""

from collections.abc import Iterable, Mapping

from holdfast.sim.netlist.netlist import Netlist

Values = list[int | str]
Contents = dict[str, Values]

_NO_DELAY = 3  # cocotb.handle._GPISetAction.NO_DELAY: visible to the next read
_LONG = 31


class FlipFlops:
    """Reads all registers.

    Attributes
    ----------
    names : list of str
        In the order of the values that :meth:`read` returns.
    """

    def __init__(self, dut, netlist: Netlist):
        self.names = [flip_flop.name for flip_flop in netlist.flip_flops]
        handles = [getattr(dut, name)._handle for name in self.names]
        self._getters = [
            handle.get_signal_val_long if ff.width <= _LONG else handle.get_signal_val_binstr
            for handle, ff in zip(handles, netlist.flip_flops, strict=True)
        ]
        self._setters = [
            handle.set_signal_val_int if ff.width <= _LONG else handle.set_signal_val_binstr
            for handle, ff in zip(handles, netlist.flip_flops, strict=True)
        ]

    def read(self) -> Values:
        """Returns every value; wide registers as binary text."""
        return [get() for get in self._getters]

    def write(self, old: Values, values: Values) -> None:
        """Set every register whose value in ``old`` is another."""
        if old != values:
            for put, before, value in zip(self._setters, old, values, strict=True):
                if before != value:
                    put(_NO_DELAY, value)

    def differing(self, a: Values, b: Values) -> list[str]:
        """Names of the registers whose values differ."""
        if a == b:
            return []
        return [name for name, x, y in zip(self.names, a, b, strict=True) if x != y]


class Memories:
    """Reads and writes all memories; a memory's words get handles when first needed."""

    def __init__(self, dut, netlist: Netlist):
        self._dut = dut
        self._shapes = {memory.name: memory for memory in netlist.memories}
        self._words: dict[str, list] = {}

    @property
    def names(self) -> list[str]:
        """Returns them by name."""
        return list(self._shapes)

    def read(self, name: str) -> Values:
        """Returns every word of a memory."""
        if self._shapes[name].width <= _LONG:
            return [word.get_signal_val_long() for word in self._handles(name)]
        return [word.get_signal_val_binstr() for word in self._handles(name)]

    def snapshot(self, names: Iterable[str]) -> Contents:
        """Returns every word of some memories."""
        return {name: self.read(name) for name in names}

    def restore(self, present: Mapping[str, Values], wanted: Mapping[str, Values]) -> None:
        """Write the words that are not as wanted."""
        for name, words in present.items():
            for address, value in changed(words, wanted[name]):
                self.write(name, address, value)

    def write(self, name: str, address: int, value: int | str) -> None:
        """Writes a word, given as :meth:`read` returns it."""
        word = self._handles(name)[address]
        if isinstance(value, str):
            word.set_signal_val_binstr(_NO_DELAY, value)
        else:
            word.set_signal_val_int(_NO_DELAY, value)

    def _handles(self, name: str) -> list:
        if name not in self._words:
            memory = getattr(self._dut, name)._handle
            depth = self._shapes[name].depth
            self._words[name] = [memory.get_handle_by_index(index) for index in range(depth)]
        return self._words[name]


def changed(words: Values, wanted: Values) -> list[tuple[int, int | str]]:
    """Addresses of differing words, and what is wanted there."""
    if words == wanted:
        return []
    return [(a, w) for a, (v, w) in enumerate(zip(words, wanted, strict=True)) if v != w]
