"""Liveness: the first cycle in which an error in a register bit propagates or is overwritten.

    liveness = LivenessTable.of(netlist, lockstep, names)   # of the lockstep's golden run
    liveness.after(name, bit, cycle)                     # FirstUse, or None: not analysed

A register that is not written and that nothing reads keeps a wrong bit and changes nothing else.
As long as that lasts, an upset is the same as one a cycle later: it can be injected in the cycle in
which it is seen, and is masked if it is overwritten first.

For every bit, the netlist is evaluated with the golden values of every cycle and this one bit
inverted. In some cycles the next value of another register, a write to a memory, the address of a
read or the interrupt differs: there it is *seen*. In some its own next value does not differ: there
it is *written*. All cycles are evaluated at once (`sim.netlist.bitwise`), and nothing
is assumed about what the registers are for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from holdfast.base.files import write_atomically
from holdfast.fault.injection.lockstep import FREE, LockstepRun
from holdfast.fault.model.fault import Fault
from holdfast.gen.roles import Role
from holdfast.sim.netlist.bitwise import Logic, Net
from holdfast.sim.netlist.netlist import Netlist
from holdfast.sim.netlist.rtlil import Cell, parse_module

from .effect import Effect
from .resolver import Decision, Later

__all__ = ["FirstUse", "LivenessTable"]

_PROBE = 1024
"""Cycles in which a bit has to sleep once to be looked at in all others."""
_STATES = 100 << 20
"""Bytes of golden states that are held at once."""
_SETTLE = 16
"""Cycles in which the hidden registers take what follows from all others."""
_INTERRUPT = "interrupt"


class FirstUse(NamedTuple):
    """Says what first happens to a wrong bit.

    Attributes
    ----------
    kind : str
        ``"seen"``; ``"written"``: with its right value, before anything saw it; ``"end"``: the run
        has ended.
    cycle : int
        In which; at the end, one in which it can be injected to learn what the host sees.
    """

    kind: Literal["seen", "written", "end"]
    cycle: int


@dataclass(frozen=True)
class LivenessTable:
    """Cycles in which bits are seen or written, of one golden run.

    Attributes
    ----------
    rows : dict
        Row of each analysed bit, by register and bit.
    seen, ended : uint8 [rows, ceil(cycles / 8)]
        Bit t % 8 of byte t // 8: in cycle t it is seen; it is seen or written.
    hidden : frozenset of str
        Registers that nothing but the port's data can show.
    cycles : int
        Of the golden run.
    """

    rows: dict[tuple[str, int], int]
    seen: NDArray[np.uint8]
    ended: NDArray[np.uint8]
    hidden: frozenset[str]
    cycles: int

    def resolve(self, fault: Fault) -> Decision | Later | None:
        """Decides one inverted bit of a register that is overwritten first, or delays it."""
        if not fault.single:
            return None
        name, _, bit = fault.site
        use = self.after(name, bit, fault.cycle)
        if use is None:
            return None
        if use.kind == "written":
            return Decision("unread", Effect(), died="overwritten")
        return Later(use.cycle)

    def after(self, name: str, bit: int, cycle: int) -> FirstUse | None:
        """Returns what happens first to a bit that is wrong from a cycle on."""
        end = FirstUse("end", max(cycle, self.cycles - _SETTLE))
        if name in self.hidden:
            return end
        row = self.rows.get((name, bit))
        if row is None or cycle >= self.cycles:
            return None
        first = cycle // 8
        head = int(self.ended[row, first]) >> cycle % 8 << cycle % 8
        if not head:
            later = np.flatnonzero(self.ended[row, first + 1 :])
            if not len(later):
                return end
            first += 1 + int(later[0])
            head = int(self.ended[row, first])
        low = head & -head
        moment = 8 * first + low.bit_length() - 1
        return FirstUse("seen" if int(self.seen[row, first]) & low else "written", moment)

    @classmethod
    def of(cls, netlist: Netlist, lockstep: LockstepRun, names: Iterable[str]) -> "LivenessTable":
        """Analyse registers."""
        analysis = _Analysis(netlist, names)
        cycles = lockstep.golden.cycles
        length = max(1024, _STATES // lockstep.state_bytes)
        probe = analysis.between(lockstep, analysis.bits, cycles // 4, cycles // 4 + _PROBE)
        bits = [bit for bit, (sees, keeps) in probe.items() if keeps & ~sees]
        seen = dict.fromkeys(bits, 0)
        kept = dict.fromkeys(bits, 0)
        for begin in range(0, cycles, length):
            end = min(begin + length, cycles)
            for bit, (sees, keeps) in analysis.between(lockstep, bits, begin, end).items():
                seen[bit] |= sees << begin
                kept[bit] |= keeps << begin
        ones = (1 << cycles) - 1
        ended = {bit: ones ^ kept[bit] | seen[bit] for bit in kept}
        # A bit that never sleeps is simulated as soon as looked up.
        chosen = [bit for bit, when in ended.items() if when.bit_count() < cycles // 2]
        size = -(-cycles // 8)

        def table(waves: dict[Net, int]) -> NDArray[np.uint8]:
            data = b"".join(waves[bit].to_bytes(size, "little") for bit in chosen)
            return np.frombuffer(data, np.uint8).reshape(len(chosen), size)

        rows = {bit: row for row, bit in enumerate(chosen)}
        return cls(rows, table(seen), table(ended), analysis.hidden, cycles)

    def save(self, folder: Path) -> None:
        """Write the tables, one file each."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "seen.npy", self.seen)
        np.save(folder / "ended.npy", self.ended)
        text = "".join(f"{name} {bit}\n" for name, bit in self.rows)
        write_atomically(folder / "rows.txt", text.encode())
        write_atomically(folder / "hidden.txt", "\n".join(sorted(self.hidden)).encode())

    @classmethod
    def load(cls, folder: Path, cycles: int) -> "LivenessTable":
        """Map saved tables into memory, shared by all processes that do."""
        lines = [
            line.split() for line in (folder / "rows.txt").read_text(encoding="utf-8").splitlines()
        ]
        rows = {(name, int(bit)): row for row, (name, bit) in enumerate(lines)}
        seen, ended = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("seen", "ended"))
        hidden = frozenset((folder / "hidden.txt").read_text(encoding="utf-8").split())
        return cls(rows, seen, ended, hidden, cycles)


class _Analysis:
    """The logic that some registers reach."""

    def __init__(self, netlist: Netlist, names: Iterable[str]):
        self._logic = logic = Logic(parse_module(netlist.rtlil))
        self._registers = {logic.pin(cell, "\\Q")[0][0]: cell for cell in logic.registers}
        self._free = {*netlist.names(*FREE)}
        self._guards = {*netlist.names(Role.GUARD_COUNTER)}
        sinks = self._sinks(netlist)
        followed = {logic.pin(cell, "\\Q")[0][0] for cell in self._followed}
        self.hidden = frozenset(self._registers.keys() - followed - self._free)
        self.bits: list[Net] = [
            net
            for name in names
            if name in followed and self._can_keep(self._registers[name])
            for net in logic.pin(self._registers[name], "\\Q")
        ]
        # Cells that a bit reaches and that something reads which matters.
        matters = set(logic.sources(sinks))
        self._within = matters.intersection(logic.fan_out(self.bits))
        touched = set(self.bits)
        needed = {*self.bits, self._interrupt}
        for number in self._within:
            touched.update(logic.pin(logic.cells[number], "\\Y"))
            needed.update(logic.inputs(logic.cells[number]))
        self._next: dict[Net, list[tuple[Cell, int]]] = {}
        """Bits of registers whose next value a net can change."""
        self._ports: dict[Net, list[Cell]] = {}
        """Memory ports that it can change."""
        for cell in self._followed:
            enable = logic.pin(cell, "\\EN")
            pins = zip(logic.pin(cell, "\\D"), logic.pin(cell, "\\Q"), strict=True)
            for place, (data, now) in enumerate(pins):
                hit = touched.intersection([data, *enable, *([now] if enable else [])])
                for net in hit:
                    self._next.setdefault(net, []).append((cell, place))
                if hit:
                    needed.update([data, *enable, now])
        for cell in self._accesses:
            nets = logic.inputs(cell)
            for net in touched.intersection(nets):
                self._ports.setdefault(net, []).append(cell)
                needed.update(nets)
        self._cells = logic.sources(needed)
        inputs = {net for number in self._cells for net in logic.inputs(logic.cells[number])}
        driven = {net for number in self._cells for net in logic.pin(logic.cells[number], "\\Y")}
        self._given = (needed | inputs) - driven - {("0", 0), ("1", 0)}

    def _sinks(self, netlist: Netlist) -> set[Net]:
        """Nets whose change is seen: inputs of registers and memories that matter, the interrupt.

        A register does not matter if only the port's data can show it, and it is a counter, is
        loaded in every cycle, or is read by nothing but the port.
        """
        logic = self._logic
        self._interrupt = logic.net(_INTERRUPT)
        handshake = {
            logic.net(port.name)
            for port in netlist.ports
            if port.direction == "output" and port.name.endswith(("valid", "ready"))
        }
        reads: dict[Net, Cell] = {
            net: cell for cell in logic.memory_reads for net in logic.pin(cell, "\\DATA")
        }
        self._followed: list[Cell] = []
        self._accesses: list[Cell] = list(logic.memory_writes)
        nets = {self._interrupt, *handshake}
        for cell in logic.memory_writes:
            nets.update(logic.inputs(cell))
        rest = dict(self._registers)
        done: set[str] = set()
        found: set[Net] = set()
        while True:
            todo = nets - found
            found |= todo
            reached = {net for n in logic.sources(todo) for net in logic.inputs(logic.cells[n])}
            nets = set()
            for net in reached | todo:
                if net in reads and reads[net].name not in done:
                    done.add(reads[net].name)
                    self._accesses.append(reads[net])
                    nets.update(logic.inputs(reads[net]))
                if net[0] in rest:
                    cell = rest.pop(net[0])
                    self._followed.append(cell)
                    nets.update(logic.inputs(cell))
            if nets - found:
                continue
            kept = self._remembering(rest)
            if not kept:
                return found
            for name in kept:
                cell = rest.pop(name)
                self._followed.append(cell)
                nets.update(logic.inputs(cell))

    def _remembering(self, rest: Mapping[str, Cell]) -> list[str]:
        """Returns those that matter of the registers that only the port's data can show."""
        logic = self._logic
        readers: dict[str, set[str]] = {}
        for reader in (*rest.values(), *logic.memory_reads):
            inputs = logic.inputs(reader)
            inputs += [net for n in logic.sources(inputs) for net in logic.inputs(logic.cells[n])]
            for name, _ in inputs:
                readers.setdefault(name, set()).add(reader.name)

        def matters(name: str, cell: Cell) -> bool:
            by = readers.get(name, set())
            return name not in self._free and cell.name in by and len(by) > 1

        return [n for n, cell in rest.items() if n in self._guards or matters(n, cell)]

    def _can_keep(self, cell: Cell) -> bool:
        """Tells whether the next value may be the present one."""
        logic = self._logic
        if cell.type == "$dffe":
            return True
        now, data = set(logic.pin(cell, "\\Q")), logic.pin(cell, "\\D")
        reached = {net for n in logic.sources(data) for net in logic.inputs(logic.cells[n])}
        return bool(now.intersection(reached.union(data)))

    def between(
        self, lockstep: LockstepRun, bits: Iterable[Net], begin: int, end: int
    ) -> dict[Net, tuple[int, int]]:
        """Returns the cycles of bits from ``begin`` to ``end`` in which each is seen, and after
        which it is still wrong.
        """
        end = min(end, lockstep.golden.cycles)
        values, ones = self.golden(lockstep, begin, end), (1 << end - begin) - 1
        return {bit: self.next(bit, values, ones) for bit in bits}

    def golden(self, lockstep: LockstepRun, begin: int, end: int) -> dict[Net, int]:
        """Golden waveforms of all that is needed, from a cycle on."""
        states = lockstep.states(begin, end)
        values: dict[Net, int] = {}
        columns: dict[int, NDArray[np.uint8]] = {}
        for name, bit in self._given:
            place = lockstep.place(name, bit)
            if place is None:
                continue
            byte, shift = place
            if byte not in columns:
                columns[byte] = np.ascontiguousarray(states[:, byte])
            wave = np.packbits(columns[byte] >> shift & 1, bitorder="little")
            values[name, bit] = int.from_bytes(wave.tobytes(), "little")
        self._logic.evaluate(self._cells, values, (1 << end - begin) - 1)
        return values

    def next(self, bit: Net, values: dict[Net, int], ones: int) -> tuple[int, int]:
        """Cycles in which a wrong bit is seen, and those after which it is still wrong."""
        changed, seen = self._logic.spread({bit: values[bit] ^ ones}, values, ones, self._within)
        kept = 0
        following = {
            (id(cell), place): cell for net in changed for cell, place in self._next.get(net, ())
        }
        for (_, place), cell in following.items():
            differs, unknown = self._next_differs(cell, place, values, changed, ones)
            seen |= unknown
            if self._logic.pin(cell, "\\Q")[place] == bit:
                kept = differs
            else:
                seen |= differs
        ports = {id(port): port for net in changed for port in self._ports.get(net, ())}
        for port in ports.values():
            seen |= self._access_differs(port, values, changed, ones)
        return seen | self._logic.differences([self._interrupt], values, changed), kept

    def _next_differs(
        self, cell: Cell, place: int, values: dict[Net, int], changed: dict[Net, int], ones: int
    ) -> tuple[int, int]:
        """Cycles after which a register's bit differs, and those after which it may."""
        data, now = (self._logic.pin(cell, pin)[place] for pin in ("\\D", "\\Q"))
        if cell.type == "$dff":
            return self._logic.differences([data], values, changed), 0
        (enable,) = self._logic.pin(cell, "\\EN")
        constants = {("0", 0): 0, ("1", 0): ones}
        before = {**values, **constants}
        if enable not in before:
            return 0, ones
        after = {**before, **changed}
        if data not in before:
            # What a memory reads: it matters whether it is taken.
            held = ones ^ before[enable]
            return held & self._logic.differences([now], values, changed), (
                before[enable] ^ after[enable]
            )
        old, new = (v[enable] & v[data] | (ones ^ v[enable]) & v[now] for v in (before, after))
        return old ^ new, 0

    def _access_differs(
        self, port: Cell, values: dict[Net, int], changed: dict[Net, int], ones: int
    ) -> int:
        logic = self._logic
        address = logic.differences(logic.pin(port, "\\ADDR"), values, changed)
        if port.type == "$memrd_v2":
            return address
        constants = {("0", 0): 0, ("1", 0): ones}
        differs = 0
        for data, enable in zip(logic.pin(port, "\\DATA"), logic.pin(port, "\\EN"), strict=True):
            before = constants.get(enable, values.get(enable, ones))
            after = changed.get(enable, before)
            word = logic.differences([data], values, changed)
            differs |= before ^ after | (before | after) & (address | word)
        return differs
