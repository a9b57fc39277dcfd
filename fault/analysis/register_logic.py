"""Says in which cycles wrong bits of registers are seen, from the netlist and golden waveforms.

    logic = RegisterLogic(netlist, names)
    found = logic.between(lockstep, logic.bits, begin, end)     # {bit: (seen, kept)}

`fault.analysis.liveness` makes a table of it, and says what it means.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import or_

import numpy as np

from holdfast.fault.injection.lockstep import FREE, LockstepRun
from holdfast.gen.roles import Role
from holdfast.sim.netlist.bitwise import Logic, Net
from holdfast.sim.netlist.netlist import Netlist
from holdfast.sim.netlist.rtlil import Cell, parse_module

_INTERRUPT = "interrupt"
_FEW = 160
"""Registers that a follower reaches at most; those of more are seen all the time."""
_AT_ONCE = 512
"""Cycles whose states are held at once: whole bytes of waveforms."""


class RegisterLogic:
    """Holds the logic that some registers reach, and says when their wrong bits are seen."""

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
        # Cells that something reads which matters.
        self._matters = set(logic.sources(sinks))
        self.followers: dict[str, frozenset[str]] = {}
        self._reach(self.bits)
        self.followers = self._following()
        self._quiet: set[str] = set()
        self._reach(self.bits)

    def forget_loud(self) -> None:
        """Takes for followers only what was seldom seen until now."""
        self.followers = {n: after for n, after in self.followers.items() if n in self._quiet}
        self._reach(self.bits)

    def _reach(self, bits: Sequence[Net]) -> None:
        """Finds what bits and followers can change, and what has to be known for that."""
        logic = self._logic
        follow = (c for c in self._followed if c.name in self.followers)
        nets = [*bits, *(net for cell in follow for net in logic.pin(cell, "\\Q"))]
        self._within = self._matters.intersection(logic.fan_out(nets))
        touched = set(nets)
        needed = {*nets, self._interrupt}
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
            inputs = logic.inputs(cell)
            for net in touched.intersection(inputs):
                self._ports.setdefault(net, []).append(cell)
                needed.update(inputs)
        self._cells = logic.sources(needed)
        read = {net for number in self._cells for net in logic.inputs(logic.cells[number])}
        driven = {net for number in self._cells for net in logic.pin(logic.cells[number], "\\Y")}
        self._given = (needed | read) - driven - {("0", 0), ("1", 0)}

    def _following(self) -> dict[str, frozenset[str]]:
        """Returns registers that bits reach, that are loaded in every cycle and reach no other of
        these, each with the registers that it reaches.
        """
        logic = self._logic
        loaded: dict[Net, list[str]] = {}
        for cell in self._followed:
            for net in (*logic.pin(cell, "\\D"), *logic.pin(cell, "\\EN")):
                loaded.setdefault(net, []).append(cell.name)
        reaches: dict[str, frozenset[str]] = {}
        fed: dict[str, int] = {}
        bits = set(self.bits)
        for cell in {c.name: c for readers in self._next.values() for c, _ in readers}.values():
            nets = list(logic.pin(cell, "\\Q"))
            for number in self._matters.intersection(logic.fan_out(nets)):
                nets += logic.pin(logic.cells[number], "\\Y")
            reaches[cell.name] = frozenset(name for net in nets for name in loaded.get(net, ()))
            nets = logic.pin(cell, "\\D")
            before = (net for n in logic.sources(nets) for net in logic.inputs(logic.cells[n]))
            fed[cell.name] = len(bits.intersection([*before, *nets]))
        found: dict[str, frozenset[str]] = {}
        met: set[str] = set()
        held = {cell.name for cell in self._followed if cell.type != "$dff"}
        # Those first that most bits feed.
        for name in sorted(reaches, key=lambda name: (-fed[name], name)):
            after = reaches[name]
            if len(after) <= _FEW and not after & {name, *found} and name not in met | held:
                found[name] = after
                met |= after
        return found

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
        places = {net: lockstep.place(*net) for net in self._given}
        nets = [net for net, place in places.items() if place is not None]
        bytes_, shifts = np.array([places[net] for net in nets], np.intp).T
        waves = np.empty((len(nets), -(-(end - begin) // 8)), np.uint8)
        for first in range(begin, end, _AT_ONCE):
            states = lockstep.states(first, min(first + _AT_ONCE, end))
            bits = states[:, bytes_] >> shifts.astype(np.uint8) & 1
            packed = np.packbits(bits, axis=0, bitorder="little").T
            at = (first - begin) // 8
            waves[:, at : at + packed.shape[1]] = packed
        values = {
            net: int.from_bytes(wave.tobytes(), "little")
            for net, wave in zip(nets, waves, strict=True)
        }
        del waves
        self._logic.evaluate(self._cells, values, (1 << end - begin) - 1)
        return values

    def next(self, bit: Net, values: dict[Net, int], ones: int) -> tuple[int, int]:
        """Cycles in which a wrong bit is seen, and those after which it is still wrong."""
        changed, seen = self._logic.spread({bit: values[bit] ^ ones}, values, ones, self._within)
        kept = 0
        followed: dict[Net, int] = {}
        own = self._registers[bit[0]].name
        following = {
            (id(cell), place): cell for net in changed for cell, place in self._next.get(net, ())
        }
        for (_, place), cell in following.items():
            differs, unknown = self._next_differs(cell, place, values, changed, ones)
            seen |= unknown
            net = self._logic.pin(cell, "\\Q")[place]
            if net == bit:
                kept = differs
            elif cell.name != own and own not in self.followers.get(cell.name, {own}):
                followed[net] = followed.get(net, 0) | differs
            else:
                seen |= differs
        ports = {id(port): port for net in changed for port in self._ports.get(net, ())}
        for port in ports.values():
            seen |= self._access_differs(port, values, changed, ones)
        seen |= self._logic.differences([self._interrupt], values, changed)
        late = reduce(or_, followed.values(), 0)
        count = ones.bit_count()
        if late.bit_count() <= count // 16 or seen.bit_count() > count // 2:
            # It would not sleep longer. It may follow what was before.
            seen |= late | bool(followed)
        else:
            loud = self._loud(bit, followed, values, ones)
            if loud.bit_count() < count // 8:
                self._quiet.update(self._registers[net[0]].name for net in followed)
            # What follows a bit is still wrong in the cycle after it was written.
            seen |= loud | (ones ^ kept) & (loud >> 1 | ones ^ ones >> 1)
        return seen, kept

    def _loud(self, bit: Net, followed: dict[Net, int], values: dict[Net, int], ones: int) -> int:
        """Cycles in which what follows a bit may reach anything, if both have any values."""
        # In the first cycle of a part it may follow what was before.
        late = {net: (wave << 1 | 1) & ones for net, wave in followed.items()}
        reached, wrong = self._logic.influence(late, {bit: ones}, values, ones, self._within)
        loud = reached.get(self._interrupt, 0)
        for net in reached:
            for cell, place in self._next.get(net, ()):
                pins = [*self._logic.pin(cell, "\\EN"), self._logic.pin(cell, "\\D")[place]]
                loud |= reduce(or_, (reached.get(pin, 0) for pin in pins))
            for port in self._ports.get(net, ()):
                loud |= self._port_reached(port, reached, wrong, values, ones)
        return loud

    def _port_reached(
        self,
        port: Cell,
        reached: Mapping[Net, int],
        wrong: Mapping[Net, int],
        values: Mapping[Net, int],
        ones: int,
    ) -> int:
        logic = self._logic
        address = reduce(or_, (reached.get(net, 0) for net in logic.pin(port, "\\ADDR")), 0)
        if port.type == "$memrd_v2":
            return address
        found = 0
        constants = {("0", 0): 0, ("1", 0): ones}
        for data, enable in zip(logic.pin(port, "\\DATA"), logic.pin(port, "\\EN"), strict=True):
            writes = constants.get(enable, values.get(enable, ones)) | wrong.get(enable, 0)
            found |= reached.get(enable, 0) | writes & (address | reached.get(data, 0))
        return found

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
