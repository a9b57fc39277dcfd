"""The serial pins of an accelerator that runs in the compiled engine.

accelerator = Accelerator(UartTransport(SimulatedLine(model, divisor, limit)))
"""

from holdfast.sim.compiled.model import CompiledModel


class SimulatedLine:
    """The pins ``uart_rx`` and ``uart_tx`` of a simulated design, seen from the other end.

    Parameters
    ----------
    model : CompiledModel
        Its ``uart_rx`` has to be high from reset on.
    divisor : int
        Clock cycles per bit in the design.
    limit : int
        Cycles after which `read` gives up.

    Attributes
    ----------
    period : float
        Clock cycles per sent bit.
    """

    def __init__(self, model: CompiledModel, divisor: int, limit: int):
        self.model = model
        self.period: float = divisor
        self._divisor = divisor
        self._limit = limit
        self._since = 0
        self._bits: list[int] = []
        self._received = bytearray()

    def write(self, data: bytes, stop: int = 1) -> None:
        """Send bytes; `stop` is the value of their stop bits."""
        for byte in data:
            begin = 0
            for index, bit in enumerate([0, *(byte >> n & 1 for n in range(8)), stop], start=1):
                end = round(index * self.period)
                self.model.poke("uart_rx", bit)
                self.wait(end - begin)
                begin = end
            self.model.poke("uart_rx", 1)

    def flush(self) -> None:
        """Nothing to do: `write` returns with the last stop bit."""

    def read(self, size: int) -> bytes:
        """Receive bytes, fewer if nothing comes for the limit."""
        silent = 0
        while len(self._received) < size and silent < self._limit:
            before = len(self._received)
            self.wait(self._divisor)
            silent = 0 if len(self._received) > before else silent + self._divisor
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

    def take(self) -> bytes:
        """Returns what has been received so far."""
        data = bytes(self._received)
        self._received.clear()
        return data

    def wait(self, cycles: int) -> None:
        """Let time pass."""
        # The transmitter's bits all last `divisor` cycles, so that one look in as many sees each.
        while cycles >= self._divisor - self._since:
            rest = self._divisor - self._since
            self.model.step(rest)
            cycles, self._since = cycles - rest, 0
            self._look(self.model.peek("uart_tx"))
        if cycles:
            self.model.step(cycles)
            self._since += cycles

    def _look(self, bit: int) -> None:
        if self._bits or not bit:
            self._bits.append(bit)
        if len(self._bits) == 10:
            self._received.append(sum(b << n for n, b in enumerate(self._bits[1:9])))
            self._bits = []
