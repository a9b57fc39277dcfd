"""Plain RTL of many faults of one inference: every state of the whole accelerator is run once.

    plain = PlainRtl(session, engine.seen)
    outcome = plain.run("array__pe_0_0__weight", 3, cycle)    # engine.plain's, but for latency

A fault is a bit inverted in the golden state of its cycle. It runs to its end, unless its state
becomes one that was run before in the same cycle, the golden one or another fault's: from there on
both do the same. States are compared whole: every register, every word of every memory and every
input. Nothing of the engine's knowledge takes part, such as what is live or when anything is read.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from holdfast.fault.campaign.engine import FaultOutcome
from holdfast.fault.injection.session import InferenceOutcome, RtlSession
from holdfast.fault.injection.trace import Differences, RunEnd

_KEPT = 64
"""Cycles behind a fault's in which states are remembered."""


class PlainRtl:
    """Runs faults; those of later cycles first, for most faults become one of the next cycle.

    Parameters
    ----------
    session : RtlSession
        In the golden run's first cycle.
    seen : Callable
        Makes an outcome of a fault's cycle, what the host saw, and a path.
    stride : int
        Between the cycles of faults.
    """

    def __init__(
        self,
        session: RtlSession,
        seen: Callable[[int, InferenceOutcome, str], FaultOutcome],
        stride: int = 1,
    ):
        self._session, self._seen, self._stride = session, seen, stride
        self._model, netlist = session.model, session.netlist
        places = session.model.native().places
        names = [port.name for port in netlist.ports if port.direction == "input"]
        names.remove(netlist.clock)
        names += [item.name for item in (*netlist.flip_flops, *netlist.memories)]
        sizes = [(places[name].offset, places[name].element * places[name].count) for name in names]
        self._bytes = np.concatenate([np.arange(at, at + size) for at, size in sizes])
        self._memories = {memory.name for memory in netlist.memories}
        self._golden = [self._model.snapshot()]
        self.cycles = session.schedule.cycles
        for _ in range(self.cycles):
            self._model.step()
            self._golden.append(self._model.snapshot())
        self._packed = [snapshot.data[self._bytes] for snapshot in self._golden]
        self._last = {name: self._model.read_memory(name) for name in self._memories}
        self._known: dict[int, dict[bytes, FaultOutcome]] = {}
        self.finished = 0
        clean = self._ended(self.cycles)
        self._clean = clean
        self._model.restore(self._golden[0])

    def run(self, signal: str, bit: int, cycle: int) -> FaultOutcome:
        """Runs one fault in a register."""
        model, now, ahead, met = self._model, cycle, self._stride, []
        for moment in [moment for moment in self._known if moment > cycle + _KEPT]:
            del self._known[moment]
        model.restore(self._golden[cycle])
        model.flip(signal, bit)
        found, over = None, bool(now and model.peek("interrupt"))
        while found is None:
            key = self._key(now)
            golden = not key and now <= self.cycles
            found = self._clean if golden else self._known.get(now, {}).get(key)
            if found is None:
                met.append((now, key))
                if over:
                    found = self._ended(now)
                elif now >= self._session.limit:
                    hang = RunEnd("hang", now, 0, self.cycles, None, [])
                    found = self._seen(0, self._session.read_out(hang), "plain")
                else:
                    ran = model.run_until("interrupt", 1, min(ahead, self._session.limit - now))
                    over = ran is not None
                    now += min(ahead, self._session.limit - now) if ran is None else ran
                    ahead *= 2
        for moment, key in met:
            if moment <= cycle + _KEPT:
                self._known.setdefault(moment, {})[key] = found
        return found

    def _key(self, cycle: int) -> bytes:
        """Packs what differs from the golden state of a cycle, or from the last one behind it."""
        golden = self._packed[min(cycle, self.cycles)]
        wrong = self._state() ^ golden
        where = np.flatnonzero(wrong)
        return where.astype(np.uint32).tobytes() + wrong[where].tobytes()

    def _state(self) -> NDArray[np.uint8]:
        return self._model.snapshot().data[self._bytes]

    def _ended(self, cycle: int) -> FaultOutcome:
        """Tells what the host reads after the interrupt."""
        self.finished += 1
        model, memories = self._model, []
        for name in model.differences(self._golden[-1]):
            if name in self._memories:
                words, golden = model.read_memory(name), self._last[name]
                wrong = np.flatnonzero((words != golden).reshape(len(words), -1).any(1))
                nothing = np.zeros_like(wrong)
                memories.append(Differences(name, wrong, nothing, nothing))
        end = RunEnd("ended", cycle, 0, self.cycles, None, memories)
        return self._seen(0, self._session.read_out(end), "plain")
